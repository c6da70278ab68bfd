"""The words of the compare page, translatable: the scale, the keys, and what its script says."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _


def scale_steps() -> list[dict[str, Any]]:
    """The seven steps from left to right: 1 = A much better, 4 = tie, 7 = B much better.

    `word` stands between the letters A and B; `alone` names its side, for a screen on which the two
    answers cannot be seen together; `says` is for a screen reader.
    """
    rows = [
        ("a", _("much better"), _("A much better"), _("A is much better")),
        ("a", _("better"), _("A better"), _("A is better")),
        ("a", _("slightly"), _("A slightly better"), _("A is slightly better")),
        ("tie", _("tie"), _("tie"), _("They are equal")),
        ("b", _("slightly"), _("B slightly better"), _("B is slightly better")),
        ("b", _("better"), _("B better"), _("B is better")),
        ("b", _("much better"), _("B much better"), _("B is much better")),
    ]
    return [
        {"value": value, "side": side, "word": word, "alone": alone, "says": says}
        for value, (side, word, alone, says) in enumerate(rows, start=1)
    ]


def keys_help(*, has_criteria: bool, one_gesture: bool) -> list[dict[str, Any]]:
    strength = (
        _("say how much and submit: 1 A much better, 4 a tie, 7 B much better")
        if one_gesture
        else _("choose a strength: 1 A much better, 4 a tie, 7 B much better")
    )
    rows = [
        (["1", "…", "7"], strength),
        (["←", "→"], _("move the strength towards A or B")),
        (["B"], _("both are bad (a tie, and marked)")),
        (["Ctrl+Enter"], _("submit and go on")),
        (["U"], _("undo: take the last answer back and show it again")),
        (["E"], _("edit the last answer; it counts until you submit the new one")),
        (["S"], _("skip, with a reason")),
        (["D"], _("mark the words that only one answer has")),
        (["T"], _("show the whole thread")),
        (["A"], _("change between A and B on a narrow screen")),
        *([(["C"], _("open the criteria; 1 to 7 then count for the one in focus"))] if has_criteria else []),
        (["F"], _("open the flags")),
        (["W"], _("write why; Esc leaves the field")),
        (["G"], _("guidelines")),
        (["?"], _("these keys")),
    ]  # fmt: skip
    return [{"keys": keys, "says": says} for keys, says in rows]


def share_spent_text(share: int | None) -> str:
    """Why a rater gets none of the pairs that are still open; empty where none is kept from them."""
    if share is None:
        return ""
    return _(
        "You have compared your share of this round's pairs ({n}). The others are for other people, so"
        " that no one person decides. Thank you; new pairs come here by themselves."
    ).format(n=share)


def page_text() -> dict[str, Any]:
    """What the script says; {n}, {goal}, {s}, {time} are filled there."""
    return {
        "progress": _("{n} of {goal} today"),
        "median": _("median {s} s"),
        "saving": _("saving…"),
        "saved": _("draft saved {time}"),
        "local": _("draft kept on this device; the server is not reachable"),
        "restored": _("draft of {time} restored"),
        "reopened": _("opened again as you left it"),
        "waiting": _("{n} not sent yet, kept on this device"),
        "refused": _("An answer was not accepted."),
        "sent_in": _("{says} · sent in {n} s"),
        "undo_says": _("{says}. U takes it back within three seconds."),
        "both_bad": _("Both are bad"),
        "signed_out": _(
            "You are signed out. Sign in again in another tab: your answers are kept here and sent then."
        ),
        "unreachable": _(
            "The server is not reachable. Your answers are kept on this device and sent when it is back."
        ),
        "undo_offline": _(
            "This needs the server, which is not reachable now. Try again in a moment."
        ),
        "choose_first": _("Choose a strength first: 1 to 7."),
        "looking": _("Looking for the next pair…"),
        "nothing": _(
            "There is nothing to compare now: every pair is judged or with someone else."
            " This page looks again by itself."
        ),
        "next_shown": _("Pair {n} is shown."),
        "cut": _("(cut off at the length limit)"),
        "too_long": _("These answers are too long to compare word by word."),
        "no_guidelines": _("This campaign has no guidelines yet."),
        "version": _("version {n}"),
        "guidelines_new": _("Please read these before the next pair."),
        "read_first": _("Read the guidelines first; the next pair comes then."),
        "have_read": _("I have read them"),
        "close": _("Close"),
        "roles": {"user": _("User"), "assistant": _("Assistant"), "system": _("System")},
    }
