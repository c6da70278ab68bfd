"""The words of the compare page, translatable: the scale, the keys, and what its script says."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.utils.translation import gettext as _

from .keys import given_keys, keys_say


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


def keys_help(
    *, left_out: Collection[str], one_gesture: bool, ranks: bool = False
) -> list[dict[str, Any]]:
    """The acts that have a key, each with its key and what it does, but for those that the campaign lacks."""
    says, given = keys_say(one_gesture=one_gesture, ranks=ranks), given_keys(ranks=ranks)
    acts = sorted(act for act in given if act.startswith("choose_"))
    acts += [act for act in given if act not in acts and act not in left_out]
    return [{"act": act, "key": _key_shown(given[act]["key"]), "says": says[act]} for act in acts]


def _key_shown(key: str) -> str:
    return {"arrowleft": "←", "arrowright": "→"}.get(key, key.upper())


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
        "lost": _(
            "draft not saved: neither the server nor this browser takes it; leave this page open"
        ),
        "waiting": _("{n} not sent yet, kept on this device"),
        "waiting_here": _("{n} not sent yet, and this browser keeps nothing: leave this page open"),
        "surplus": _(
            "Your answer to “{about}” came after its time had run out, and somebody else had answered"
            " meanwhile. It is kept as surplus and does not count."
        ),
        "skipped": _("skipped; U takes the skip back"),
        "parked": _("parked with its draft; U brings it back"),
        "park_answered": _(
            "This pair is answered already: submit the change, or leave it as it is."
        ),
        "rest": _(
            "You have compared for {n} minutes on end. A short break keeps your eyes fresh and your answers"
            " even; everything waits here as you leave it."
        ),
        "press_key": _("Press the new key for “{act}”. Esc leaves it as it is."),
        "keys_unchanged": _("Nothing was changed."),
        "key_refused": _("Use a letter, a digit, a mark or an arrow, without Ctrl or Alt."),
        "keys_kept": _("Your keys are kept, on your other devices too."),
        "keys_reset": _("These are the keys as they were given."),
        "refused": _("An answer was not accepted."),
        "sent_in": _("{says} · sent in {n} s"),
        "undo_says": _("{says}. U takes it back within three seconds."),
        "both_bad": _("Both are bad"),
        "signed_out": _(
            "You are signed out. Your answers are kept here, and sent when you have signed in again."
        ),
        "unreachable": _(
            "The server is not reachable. Your answers are kept on this device and sent when it is back."
        ),
        "undo_offline": _(
            "This needs the server, which is not reachable now. Try again in a moment."
        ),
        "choose_first": _("Choose a strength first: 1 to 7."),
        "rank_first": _(
            "Put the answers in order first. If they are in order as they stand, submit once more."
        ),
        "pick_first": _("Pick an answer up first: press its number, or its letter here."),
        "picked": _("{a}, picked up"),
        "put_down": _("{a} put down"),
        "place": _("{a}: place {n} of {of}"),
        "equal_with": _("equal with {others}"),
        "order": _("The order is {order}."),
        "and_equal": _("equal to"),
        "then": _("then"),
        "mark_as": _("Mark the selected part as"),
        "mark_here": _("Marked here"),
        "mark_says": _("{a}, {label}: “{quote}”"),
        "mark_there": _("This part has that label already: {says}"),
        "marks_full": _("{n} parts are marked already, and more are not kept: remove one first."),
        "marked": _("Marked: {says}"),
        "unmarked": _("No longer marked: {says}"),
        "remove": _("Remove"),
        "remove_mark": _("Remove “{label}”"),
        "remove_this": _("Remove the mark {says}"),
        "select_first": _("Select a part of the text first."),
        "looking": _("Looking for the next pair…"),
        "nothing": _(
            "There is nothing to compare now: every pair is judged or with someone else."
            " This page looks again by itself."
        ),
        "talk_place": _("turn {n} of {of} at most"),
        "talk_over": _("That conversation is over. Your next message begins another."),
        "talk_ended": _(
            "The conversation has ended; its answers are kept. Your next message begins another."
        ),
        "talk_same": _(
            "There was nothing to compare: both answers were the same, or had been compared before. The"
            " conversation goes on."
        ),
        "talk_empty": _("Write a message first."),
        "talk_writing": _("the policy is writing two answers…"),
        "talk_kept": _("kept on this device until it is sent"),
        "talk_unkept": _("this browser keeps nothing: leave this page open"),
        "talk_broken": _(
            "The connection broke off before the answers were there. What you wrote is kept here: send it again."
        ),
        "talk_elsewhere": _(
            "This turn is open in another tab of yours. The conversation goes on here when you are through with"
            " it there."
        ),
        "next_shown": _("Pair {n} is shown."),
        "cut": _("(cut off at the length limit)"),
        "empty": _("(empty)"),
        "otherwise": _("looks like the other answer, written differently"),
        "too_long": _("These answers are too long to compare word by word."),
        "no_guidelines": _("This campaign has no guidelines yet."),
        "version": _("version {n}"),
        "guidelines_new": _("Please read these before the next pair."),
        "read_first": _("Read the guidelines first; the next pair comes then."),
        "have_read": _("I have read them"),
        "close": _("Close"),
        "roles": {"user": _("User"), "assistant": _("Assistant"), "system": _("System")},
    }
