"""The thresholds of a gate policy as a form, and the reason for a rollback."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms

from evaluation.contracts import CheckSettings, GatePolicySettings
from evaluation.gates import bounds
from evaluation.gates.bounds import BOUNDS, Bound
from evaluation.gates.models import PolicyAnswer
from evaluation.gates.records import GateError
from evaluation.gates.weakening import Change, weakenings
from evaluation.policy import CHECKS, DEFAULT_CHECKS, NEVER_REQUIRED, check_settings
from evaluation.policy.registry import Check

FIXED = "G0"  # integrity is always on and always required


@dataclass(frozen=True)
class CheckFields:
    """The fields of one check, for the template."""

    id: str
    check: Check
    fields: tuple[forms.BoundField, ...]


SHADOW_SHARES = (5, 10, 25, 50, 100)  # in percent of the requests


class ScaledField(forms.FloatField):
    """A number that is written `scale` times as large: 100 for a share written as a percentage."""

    def __init__(self, *, scale: int, **options: Any) -> None:
        super().__init__(**options)
        self.scale = scale

    def prepare_value(self, value: Any) -> Any:
        return bounds.plain(value * self.scale) if isinstance(value, float) else value

    def clean(self, value: Any) -> Any:
        return round(super().clean(value) / self.scale, 10)


class GatePolicyForm(forms.Form):
    """Every setting of a gate policy; `settings()` after validation gives only the departures.

    `weaker` are then the settings that are weaker than `current`: they take a reason and two leads.
    """

    version = forms.IntegerField(widget=forms.HiddenInput)
    reason = forms.CharField(
        label="Why, if the gate becomes weaker",
        help_text="A check that is off or only warns, or a threshold that lets more through, counts once"
        " a second lead agrees. Everybody on this line can read the reason, and reports show it.",
        widget=forms.Textarea(attrs={"rows": 3}),
        max_length=2000,
        required=False,
        initial="",
    )

    def __init__(self, *args: Any, current: GatePolicySettings, **options: Any) -> None:
        super().__init__(*args, **options)
        self.current = current
        self.weaker: tuple[Change, ...] = ()
        self.fields["version"].initial = current.version
        self._add("alpha", bounds.ALPHA, current.alpha)
        self._add("max_labels", bounds.MAX_LABELS, current.max_labels, whole=True)
        self._add("max_age_hours", bounds.MAX_AGE_HOURS, current.max_age_hours)
        self._add("smallest_effect", bounds.SMALLEST_EFFECT, current.smallest_effect)
        for name, (label, choices) in bounds.CHOICES.items():
            self.fields[name] = forms.ChoiceField(
                label=label, choices=list(choices.items()), initial=getattr(current, name)
            )
        for check_id, chosen in check_settings(current).items():
            if check_id != FIXED:
                self._add_switches(check_id, chosen)
            for name, value in chosen.thresholds.items():
                bound = BOUNDS[check_id, name]
                self._add(f"{check_id}.{name}", bound, value, whole=bound.whole)

    def _add(self, name: str, bound: Bound, value: float, *, whole: bool = False) -> None:
        scale = 100 if bound.percent else 1
        low, high = bound.low * scale, bound.high * scale
        unit = "in %, " if bound.percent else ""
        options: dict[str, Any] = {
            "label": bound.words.replace("{}.", "…").replace("{}", "…"),
            "initial": int(value) if whole else value,
            "min_value": low,
            "max_value": high,
            "help_text": f"{unit}from {bounds.read(low)} to {bounds.read(high)}",
            "widget": forms.NumberInput(attrs={"step": 1 if whole else "any"}),
        }
        self.fields[name] = (
            forms.IntegerField(**options) if whole else ScaledField(scale=scale, **options)
        )

    def _add_switches(self, check_id: str, chosen: CheckSettings) -> None:
        self.fields[f"{check_id}.enabled"] = forms.BooleanField(
            label="Use this check", required=False, initial=chosen.enabled
        )
        if check_id in NEVER_REQUIRED:
            return
        self.fields[f"{check_id}.required"] = forms.BooleanField(
            label="A failure holds the candidate back (otherwise it only warns)",
            required=False,
            initial=bool(chosen.required),
        )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors:
            try:
                bounds.settings_require_bounds(self.settings())
            except GateError as error:
                raise forms.ValidationError(str(error)) from error
            self.weaker = weakenings(self.current, self.settings())
            if self.weaker and not cleaned["reason"].strip():
                named = " ".join(change.says for change in self.weaker)
                self.add_error("reason", f"Weaker than now, so say why. {named}")
        return cleaned

    def settings(self) -> GatePolicySettings:
        """The settings as entered; a check that is as by default is left out."""
        data = self.cleaned_data
        checks = {check_id: self._check(check_id) for check_id in DEFAULT_CHECKS}
        default = check_settings(GatePolicySettings())
        return GatePolicySettings(
            version=data["version"],
            alpha=data["alpha"],
            max_labels=data["max_labels"],
            max_age_hours=data["max_age_hours"],
            smallest_effect=data["smallest_effect"],
            **{name: data[name] for name in bounds.CHOICES},
            checks={k: v for k, v in checks.items() if v != default[k]},
        )

    def _check(self, check_id: str) -> CheckSettings:
        data = self.cleaned_data
        names = DEFAULT_CHECKS[check_id].thresholds
        return CheckSettings(
            enabled=bool(data.get(f"{check_id}.enabled", True)),
            required=bool(data.get(f"{check_id}.required", check_id not in NEVER_REQUIRED)),
            thresholds={name: float(data[f"{check_id}.{name}"]) for name in names},
        )

    def round_fields(self) -> list[forms.BoundField]:
        numbers = ("alpha", "max_labels", "max_age_hours", "smallest_effect")
        return [self[name] for name in (*numbers, *bounds.CHOICES)]

    def check_fields(self) -> list[CheckFields]:
        return [
            CheckFields(
                check_id,
                CHECKS[check_id],
                tuple(self[name] for name in self.fields if name.startswith(f"{check_id}.")),
            )
            for check_id in DEFAULT_CHECKS
        ]


class PolicyAnswerForm(forms.Form):
    """What the pressed button says of a weaker policy that waits."""

    answer = forms.TypedChoiceField(choices=PolicyAnswer.choices, coerce=PolicyAnswer)


class RollbackForm(forms.Form):
    version = forms.UUIDField(widget=forms.HiddenInput)
    reason = forms.CharField(
        label="Why",
        help_text="What went wrong with the deployed policy; everybody on this line can read it.",
        widget=forms.Textarea(attrs={"rows": 3}),
        max_length=2000,
    )


class ShadowForm(forms.Form):
    version = forms.UUIDField()
    share = forms.TypedChoiceField(
        choices=[(share, f"{share}%") for share in SHADOW_SHARES], coerce=int
    )
