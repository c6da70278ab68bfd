"""What makes one gate policy weaker than another, setting by setting.

Pure: no database. Weaker is whatever lets a candidate through that was held back before: a check that
is off or only warns, a threshold moved to its permissive side (`Bound.weaker`). Whatever is not known
to be harmless counts as weaker, so that a new setting needs two leads until somebody thinks about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from evaluation.contracts import CheckSettings, GatePolicySettings
from evaluation.gates.bounds import (
    BOUNDS,
    CHOICES,
    ROUND_BOUNDS,
    STRICTEST_CHOICES,
    Bound,
    choice_words,
)
from evaluation.policy import CHECKS, check_settings

USES = ("off", "only warns", "required")  # from the weakest


@dataclass(frozen=True)
class Change:
    """One setting that differs: its `path`, a sentence for people, and whether it is weaker now."""

    path: str
    says: str
    weaker: bool


def policy_changes(before: GatePolicySettings, after: GatePolicySettings) -> tuple[Change, ...]:
    """Every setting that differs, rounds first, then checks in the order of the gate table."""
    return (*_of_rounds(before, after), *_of_checks(before, after))


def weakenings(before: GatePolicySettings, after: GatePolicySettings) -> tuple[Change, ...]:
    """The settings that are weaker in `after`."""
    return tuple(change for change in policy_changes(before, after) if change.weaker)


def _of_rounds(before: GatePolicySettings, after: GatePolicySettings) -> Iterator[Change]:
    for spec in fields(GatePolicySettings):
        was, now = getattr(before, spec.name), getattr(after, spec.name)
        if spec.name in ("version", "checks") or was == now:
            continue
        bound = ROUND_BOUNDS.get(spec.name)
        if bound is not None:
            yield _change(spec.name, "", bound, was, now)
        else:
            question, _ = CHOICES.get(spec.name, (spec.name.replace("_", " "), {}))
            new, old = (choice_words(spec.name, str(value)) for value in (now, was))
            weaker = STRICTEST_CHOICES.get(spec.name) != now
            yield Change(spec.name, f"{question}: {new} (instead of: {old}).", weaker)


def _of_checks(before: GatePolicySettings, after: GatePolicySettings) -> Iterator[Change]:
    was, now = check_settings(before), check_settings(after)
    for check_id, chosen in now.items():
        name = f"{check_id} {CHECKS[check_id].name}: "
        use, former = _use(chosen), _use(was[check_id])
        if use != former:
            weaker = USES.index(use) < USES.index(former)
            yield Change(f"{check_id}.use", f"{name}{use} (instead of {former}).", weaker)
        for threshold, value in chosen.thresholds.items():
            old = was[check_id].thresholds[threshold]
            if value != old:
                bound = BOUNDS[check_id, threshold]
                yield _change(f"{check_id}.{threshold}", name, bound, old, value)


def _use(chosen: CheckSettings) -> str:
    return ("required" if chosen.required else "only warns") if chosen.enabled else "off"


def _change(path: str, name: str, bound: Bound, was: float, now: float) -> Change:
    says = f"{name}{bound.sentence(now)[:-1]} (instead of {bound.shown(was)})."
    weaker = bound.weaker == "either" or bound.weaker == ("higher" if now > was else "lower")
    return Change(path, says, weaker)
