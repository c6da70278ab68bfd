"""A round in one row: its state in a word, how long it took, what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from outerloop.rounds.models import WAITING, Round, State
from training import facade as training

MEANINGS = {"PROMOTE": "good", "REJECT": "bad", "INCONCLUSIVE": "attention"}


@dataclass(frozen=True)
class RoundRow:
    number: int
    title: str
    meaning: str
    word: str
    labels: int
    summary: str
    started: datetime
    seconds: float
    trigger: str


def round_row(round_: Round) -> RoundRow:
    return round_rows([round_])[0]


def round_rows(rounds: Iterable[Round]) -> list[RoundRow]:
    """What their snapshots hold is asked in one query for all of them."""
    found = list(rounds)
    labels = training.snapshot_rows({r.snapshot for r in found if r.snapshot})
    return [
        _row(round_, labels.get(round_.snapshot, 0) if round_.snapshot else 0) for round_ in found
    ]


def _row(round_: Round, labels: int) -> RoundRow:
    ended = round_.closed_at or timezone.now()
    meaning, word = _state_word(round_)
    return RoundRow(
        number=round_.number,
        title=round_.title,
        meaning=meaning,
        word=word,
        labels=labels,
        summary=round_.error or round_.summary,
        started=round_.created_at,
        seconds=(ended - round_.created_at).total_seconds(),
        trigger=round_.get_trigger_display(),
    )


def _state_word(round_: Round) -> tuple[str, str]:
    """While a round is active its state says more than its verdict."""
    if round_.state == State.FAILED:
        return "bad", "Failed"
    if round_.state == State.CANCELLED:
        return "neutral", "Cancelled"
    if round_.state in WAITING:
        return "attention", round_.get_state_display()
    if round_.active:
        return "running", round_.get_state_display()
    if round_.verdict:
        return MEANINGS[round_.verdict], round_.verdict
    return "neutral", "Closed"
