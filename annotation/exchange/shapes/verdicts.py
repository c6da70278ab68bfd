"""What a row says of two completions, as votes on the scale of 1 (first much better) to 7."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from annotation.campaigns.models import OVERALL
from annotation.comparisons.records import FLAGS
from annotation.comparisons.scale import HIGHEST, LOWEST, TIE
from annotation.exchange.naming import criterion_key
from annotation.exchange.records import RowRejected, Vote

from .fields import (
    dict_field,
    name_field,
    number_field,
    shown,
    text_field,
    time_field,
    whole_field,
    yes_field,
)
from .tracked import Fields

# Who judged when the row does not say; one such rater for each source.
UNNAMED = "unnamed"
# A vote or a chosen/rejected pair says which is better, not by how much: the middle step.
FIRST, SECOND = 2, 6
LONGEST_SECONDS = 86_400.0
_PLACES = ("{}", "{} is better", "{} wins", "{} win")
_FIRST = ("a1", "a", "first", "left", "1st", "model_a", "modela", "candidate_a", "option_a")
_SECOND = ("a2", "b", "second", "right", "2nd", "model_b", "modelb", "candidate_b", "option_b")
_TIES = ("equal", "tie", "same", "draw", "both", "neither", "no preference", "tied")
_SIDES = ("", "left", "right")
_BAD = ("both bad", "bothbad", "tie (both bad)", "tie (bothbad)", "both are bad", "neither is good")


def better(first: bool) -> int:
    return FIRST if first else SECOND


def gap_value(gap: float) -> int:
    """The step for a gap in favour of the first: 1 slightly, 2 better, 3 and more much better."""
    return TIE - max(-3, min(3, round(gap)))


def verdict(value: Any, names: tuple[str, str], name: str) -> tuple[int, bool]:
    """(step, both bad) of a word: the name of a completion, its side, or a tie."""
    word = re.sub(r"[\s_-]+", " ", text_field(value, name).strip().lower())
    if word in _BAD:
        return TIE, True
    if word in _TIES:
        return TIE, False
    for step, own, sides in ((FIRST, names[0], _FIRST), (SECOND, names[1], _SECOND)):
        known = {re.sub(r"[\s_-]+", " ", side.lower()) for side in (own, *sides)}
        if word in {place.format(side) for side in known for place in _PLACES}:
            return step, False
    raise RowRejected(
        f"{name} is {shown(value)}; it should name {names[0]} or {names[1]} (or a, b), or be a tie."
    )


def vote_of(fields: Fields, value: int, *, rater: str = "", both_bad: bool = False) -> Vote:
    """A vote with what the row (or the vote in it) says beside the value, as far as it is of our kind."""
    named = next((k for k in ("rater", "worker", "annotator") if fields.get(k) is not None), None)
    return Vote(
        rater=rater or (UNNAMED if named is None else name_field(fields[named], named)),
        value=value,
        criteria=_criteria(fields),
        both_bad=both_bad or _both_bad(fields),
        flags=_flags(fields),
        rationale=_rationale(fields),
        seconds=seconds_field(fields, "seconds"),
        at=None
        if fields.get("judged_at") is None
        else time_field(fields["judged_at"], "judged_at"),
    )


def step_field(value: Any, name: str) -> int:
    return whole_field(value, name, low=LOWEST, high=HIGHEST)


def criteria_kept(values: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """The steps in the order of their names; refused where two of them would be one criterion's."""
    known: dict[str, str] = {}
    for name in sorted(values):
        key = criterion_key(name)
        if key == OVERALL:
            raise RowRejected(
                f"criteria holds {name}, which is the vote itself: leave it out there."
            )
        if key and key in known:
            raise RowRejected(
                f"criteria holds {known[key]} and {name}, which are one criterion: leave one out."
            )
        known[key] = name
    return tuple(sorted(values.items()))


def reason_field(fields: Fields, *names: str) -> str:
    """The texts that give a reason, one after the other."""
    found = []
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) and value.strip():
            found.append(text_field(value, name).strip())
    return "\n\n".join(found)


def seconds_field(fields: Fields, name: str) -> float | None:
    value = fields.get(name)
    if value is None:
        return None
    seconds = number_field(value, name)
    if seconds < 0:
        raise RowRejected(f"{name} is {shown(value)}; it should be 0 or more.")
    return min(seconds, LONGEST_SECONDS)


def _criteria(fields: Fields) -> tuple[tuple[str, int], ...]:
    if fields.get("criteria") in (None, "", {}):
        return ()
    found = dict_field(fields["criteria"], "criteria")
    return criteria_kept({key: step_field(found[key], f"criteria.{key}") for key in found})


def _both_bad(fields: Fields) -> bool:
    return fields.get("both_bad") is not None and yes_field(fields["both_bad"], "both_bad")


def _flags(fields: Fields) -> tuple[str, ...]:
    """Flags of ours ("unsafe", "unsafe:left"); others are left, and named as not used."""
    found = fields.get("flags")
    if not isinstance(found, list) or not all(isinstance(flag, str) for flag in found):
        fields.leave("flags")
        return ()
    unknown = [
        f for f in found if f.partition(":")[0] not in FLAGS or f.partition(":")[2] not in _SIDES
    ]
    if unknown:
        raise RowRejected(f"There is no flag {shown(unknown[0])}; use one of {', '.join(FLAGS)}.")
    return tuple(dict.fromkeys(found))


def _rationale(fields: Fields) -> str:
    found = fields.get("rationale")
    if found is None or found == "":
        return ""
    if not isinstance(found, str):
        fields.leave("rationale")
        return ""
    return text_field(found, "rationale").strip()
