"""Forms of the pages on which a lead acts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms

from annotation.accounts.models import Rater
from annotation.campaigns.models import OVERALL, Campaign, Criterion
from annotation.comparisons.models import Comparison
from annotation.comparisons.page_texts import scale_steps
from annotation.comparisons.records import Answer
from web.forms import choices_set

from .pairs import rater_name

TOLERANCES = [
    ("", "any strength on this side"),
    ("0", "exactly this step"),
    ("1", "this step or one beside it"),
    ("2", "up to two steps beside it"),
]


class _Moment(forms.DateTimeInput):
    """A field for a date and a time, to the minute."""

    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%dT%H:%M")


def _steps() -> list[tuple[int, str]]:
    return [(step["value"], str(step["says"])) for step in scale_steps()]


class GoldAnswerForm(forms.Form):
    """What is known of a pair; `initial_of` fills it from a gold item that is to be edited."""

    gold_value = forms.TypedChoiceField(label="Right answer", choices=_steps, coerce=int, initial=1)
    tolerance = forms.TypedChoiceField(
        label="Right is", choices=TOLERANCES, coerce=int, empty_value=None, required=False
    )
    explanation = forms.CharField(
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Why this is right. Shown after a wrong answer if the campaign tells people.",
    )

    @staticmethod
    def initial_of(item: Comparison) -> dict[str, Any]:
        return {
            "gold_value": item.gold_value,
            "tolerance": "" if item.gold_tolerance is None else item.gold_tolerance,
            "explanation": item.gold_explanation,
        }


class GoldForm(GoldAnswerForm):
    prompt = forms.CharField(max_length=20_000, widget=forms.Textarea(attrs={"rows": 4}))
    first = forms.CharField(
        label="Answer A", max_length=40_000, widget=forms.Textarea(attrs={"rows": 6})
    )
    second = forms.CharField(
        label="Answer B", max_length=40_000, widget=forms.Textarea(attrs={"rows": 6})
    )
    field_order = ["prompt", "first", "second", "gold_value", "tolerance", "explanation"]


class SettleForm(forms.Form):
    value = forms.TypedChoiceField(
        label="Your answer", choices=_steps, coerce=int, widget=forms.RadioSelect
    )
    both_bad = forms.BooleanField(label="Both are bad", required=False)
    reason = forms.CharField(
        max_length=2000,
        label="Why",
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Those who look after the campaign read it beside the votes.",
    )


class SendBackForm(forms.Form):
    note = forms.CharField(
        max_length=1000,
        label="A word to who gave it",
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="What to look at again. Kindly: a good question teaches more than a verdict.",
    )


class AnswerForm(forms.Form):
    """A whole answer without a script: overall, the criteria, both bad, why; flags, marked parts and ticked
    reasons stay as they were."""

    overall = forms.TypedChoiceField(
        label="Which is better overall?", choices=_steps, coerce=int, widget=forms.RadioSelect
    )
    both_bad = forms.BooleanField(label="Both are bad", required=False)
    rationale = forms.CharField(
        label="Why", required=False, max_length=4000, widget=forms.Textarea(attrs={"rows": 3})
    )

    def __init__(
        self, *args: Any, criteria: Iterable[Criterion], before: Answer, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.initial = {
            "overall": before.values[OVERALL],
            "both_bad": before.both_bad,
            "rationale": before.rationale,
        }
        self.before = before
        self.criteria = {f"criterion-{c.key}": c for c in criteria}
        for name, criterion in self.criteria.items():
            self.fields[name] = forms.TypedChoiceField(
                label=criterion.name,
                choices=[("", "not said"), *_steps()],
                coerce=int,
                empty_value=None,
                required=False,
                initial=before.values.get(criterion.key, ""),
            )

    def answer(self) -> Answer:
        data = self.cleaned_data
        said = {c.key: data[name] for name, c in self.criteria.items() if data[name]}
        return Answer(
            values={OVERALL: data["overall"], **said},
            both_bad=data["both_bad"],
            flags=self.before.flags,
            rationale=data["rationale"],
            reasons=self.before.reasons,
            spans=self.before.spans,
        )


class MessageForm(forms.Form):
    text = forms.CharField(
        label="Your message", max_length=2000, widget=forms.Textarea(attrs={"rows": 4})
    )


class QualificationForm(forms.Form):
    position = forms.IntegerField(min_value=1, widget=forms.HiddenInput)
    value = forms.TypedChoiceField(
        label="Which is better overall?", choices=_steps, coerce=int, widget=forms.RadioSelect
    )


class ExclusionForm(forms.Form):
    """What is to be left out of a campaign: whom, which guidelines, which span, and why."""

    rater = forms.ChoiceField(label="Person", required=False)
    guideline_version = forms.ChoiceField(label="Version of the guidelines", required=False)
    since = forms.DateTimeField(
        label="From",
        required=False,
        widget=_Moment,
        help_text="A span of time, of the person or of everybody. Empty: whenever given.",
    )
    until = forms.DateTimeField(label="Until", required=False, widget=_Moment)
    whole_line = forms.BooleanField(
        label="Leave this person out of every campaign of the line", required=False
    )
    reason = forms.CharField(
        max_length=300, help_text="Kept in the audit log and on the list of what is left out."
    )

    def __init__(self, *args: Any, campaign: Campaign, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.campaign = campaign
        here = Rater.objects.filter(assignments__comparison__campaign=campaign).distinct()
        people = sorted((rater_name(r), str(r.pk)) for r in here.select_related("user"))
        choices_set(self, "rater", [("", "everybody"), *((pk, name) for name, pk in people)])
        numbers = campaign.guidelines.order_by("-number").values_list("number", flat=True)
        versions = [(str(n), f"version {n}") for n in numbers]
        choices_set(self, "guideline_version", [("", "any"), *versions])

    def what(self) -> dict[str, Any]:
        """The arguments of `exclusion_drawn`."""
        data = self.cleaned_data
        number = data["guideline_version"]
        return {
            "rater": Rater.objects.get(pk=data["rater"]) if data["rater"] else None,
            "guideline_version": self.campaign.guidelines.get(number=number) if number else None,
            "whole_line": data["whole_line"],
            "since": data["since"],
            "until": data["until"],
        }
