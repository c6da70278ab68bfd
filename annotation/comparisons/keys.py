"""The keys of the compare page: one for each act, by its letter or by its place, changed by each person."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from .levels import letters
from .records import AnswerInvalid

Binding = Mapping[
    str, str
]  # {"key": the letter in lower case, "code": the place, as browsers name it}
Bindings = Mapping[str, Binding]

_LETTERS = {
    "both_bad": "b", "undo": "u", "edit": "e", "skip": "s", "park": "p", "differences": "d", "raw": "r",
    "thread": "t", "side": "a", "criteria": "c", "flags": "f", "why": "w", "guidelines": "g",
}  # fmt: skip
GIVEN: Bindings = {
    **{f"choose_{n}": {"key": str(n), "code": f"Digit{n}"} for n in range(1, 8)},
    "to_a": {"key": "arrowleft", "code": "ArrowLeft"},
    "to_b": {"key": "arrowright", "code": "ArrowRight"},
    **{act: {"key": key, "code": f"Key{key.upper()}"} for act, key in _LETTERS.items()},
    "help": {"key": "?", "code": ""},
    # Last: a person who gave this key to another act keeps it there.
    "marks": {"key": "m", "code": "KeyM"},
}
# Where answers are ranked: a number picks one up, the arrows move it, and there is a key for the same level.
_RANKED: Bindings = {
    "choose_8": {"key": "8", "code": "Digit8"},
    "choose_9": {"key": "9", "code": "Digit9"},
    "same": {"key": "=", "code": "Equal"},
}
_OF_PAIRS = ("differences", "criteria")
_CODE = re.compile(r"[A-Za-z]+[0-9]{0,2}|")


def given_keys(*, ranks: bool) -> Bindings:
    """The acts of a campaign of pairs, or of one that ranks, with the keys that they have at first."""
    if not ranks:
        return GIVEN
    return {**_RANKED, **{act: key for act, key in GIVEN.items() if act not in _OF_PAIRS}}


def keys_say(*, one_gesture: bool = False, ranks: bool = False) -> dict[str, str]:
    """What each act does, in words."""
    strengths = [
        _("A much better"), _("A better"), _("A slightly better"), _("a tie"),
        _("B slightly better"), _("B better"), _("B much better"),
    ]  # fmt: skip
    sends = _("{says}, and submit") if one_gesture else "{says}"
    if ranks:
        picks = {f"choose_{n}": _("pick up {a}").format(a=a) for n, a in enumerate(letters(9), 1)}
        return {**keys_say(), **picks, **_ranked_say()}
    return {
        **{f"choose_{n}": sends.format(says=says) for n, says in enumerate(strengths, 1)},
        "to_a": _("move the strength towards A"),
        "to_b": _("move the strength towards B"),
        "both_bad": _("both are bad (a tie, and marked)"),
        "undo": _("undo: take back the last answer or skip, and show the pair again"),
        "edit": _("edit the last answer; it counts until you submit the new one"),
        "skip": _("skip, with a reason"),
        "park": _("park the pair with its draft, and come back to it later"),
        "differences": _("mark the words that only one answer has"),
        "raw": _("show the texts as they were written, or rendered"),
        "thread": _("fold the thread before the prompt, or open it"),
        "side": _("change between A and B on a narrow screen"),
        "criteria": _("open the criteria; the numbers then count for one after the other"),
        "flags": _("open the flags"),
        "why": _("write why; Esc leaves the field"),
        "guidelines": _("guidelines"),
        "help": _("these keys"),
        "marks": _("mark a part of an answer, or remove a mark"),
    }


def _ranked_say() -> dict[str, str]:
    return {
        "to_a": _("move the answer that is picked up towards the best"),
        "to_b": _("move the answer that is picked up towards the worst"),
        "same": _("the same level as the answer before it, or a level of its own again"),
        "both_bad": _("all are bad"),
        "side": _("change to the next answer on a narrow screen"),
    }


def keys_of(changed: Bindings, *, ranks: bool = False) -> dict[str, Binding]:
    """Every act with its key: those that a person changed, and the given ones."""
    given = given_keys(ranks=ranks)
    return {**given, **{act: binding for act, binding in changed.items() if act in given}}


def keys_read(value: Any) -> dict[str, dict[str, str]]:
    """The keys that a person changed, checked: `AnswerInvalid` says which two acts would share one."""
    if not isinstance(value, dict):
        raise AnswerInvalid("keys: send an object of acts and their keys.")
    own = {act: _binding_read(act, binding) for act, binding in value.items()}
    for ranks in (False, True):
        _check_apart(keys_of(own, ranks=ranks), keys_say(ranks=ranks))
    given = {**given_keys(ranks=True), **GIVEN}
    return {act: binding for act, binding in own.items() if binding != given[act]}


def _check_apart(keys: Bindings, says: Mapping[str, str]) -> None:
    taken: dict[str, str] = {}
    for act, binding in keys.items():
        for name in filter(None, (f"key {binding['key']}", f"code {binding['code']}")):
            other = taken.setdefault(name, act)
            if other != act and name != "code ":
                shown = binding["key"].removeprefix("arrow").upper()
                raise AnswerInvalid(
                    _(
                        "{key} would be the key for “{one}” and for “{other}”: give one of them another key first."
                    ).format(key=shown, one=says[other], other=says[act])
                )


def _binding_read(act: str, binding: Any) -> dict[str, str]:
    if act not in GIVEN and act not in _RANKED:
        raise AnswerInvalid(f"keys: there is no act {act[:60]!r}.")
    key, code = (
        binding.get(part) if isinstance(binding, dict) else None for part in ("key", "code")
    )
    if not isinstance(key, str) or not isinstance(code, str) or not _CODE.fullmatch(code):
        raise AnswerInvalid(f"keys: send the key and the code of {act}.")
    arrow = key in ("arrowleft", "arrowright", "arrowup", "arrowdown")
    if not arrow and (len(key) != 1 or not key.isprintable() or key.isspace()):
        raise AnswerInvalid(
            _("Use a letter, a digit, a mark or an arrow: others have a task in every page.")
        )
    return {"key": key.lower()[:1] if not arrow else key, "code": code[:30]}
