"""The answers of a campaign as arrays: read once from the database, measured many times."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
from django.db import connection
from django.db.models import (
    BooleanField,
    ExpressionWrapper,
    FloatField,
    Q,
    QuerySet,
)
from django.db.models.functions import Cast, Extract

from annotation.accounts.models import Rater
from annotation.campaigns.models import OVERALL, Campaign
from annotation.comparisons.exclusions import left_out
from annotation.comparisons.models import Judgment, JudgmentValue, Purpose
from annotation.comparisons.scale import TIE, answer_right
from annotation.statistics.estimates import FloatArray, IntArray

NEWEST = 20_000  # answers that the figures of a campaign rest on at most
PAIR = "judgment__assignment__comparison"
PURPOSES = (Purpose.TRAINING, Purpose.GATE, Purpose.GOLD, Purpose.REPEAT)
ASKED = (PURPOSES.index(Purpose.TRAINING), PURPOSES.index(Purpose.GATE))
GOLD, REPEAT = PURPOSES.index(Purpose.GOLD), PURPOSES.index(Purpose.REPEAT)
FIELDS = (
    f"{PAIR}_id",
    "judgment__rater_id",
    "value",
    "judgment__assignment__shown_order__0",
    "drawn",
    "judgment__seconds",
    "at",
    "judgment__both_bad",
    f"{PAIR}__purpose",
    f"{PAIR}__gold_value",
    f"{PAIR}__gold_tolerance",
    f"{PAIR}__repeat_of_id",
    f"{PAIR}__adaptive",
    "out",
)


@dataclass(frozen=True)
class AnswerArrays:
    """Answers, newest first, each array [n]: those that count, and all of people who are left out whole.

    `out` [raters] marks these people. `pair` and `rater` are codes; `value` is in slot order 1..7,
    `flipped` where slot 2 stood left, `drawn` where the sides were drawn by us; `longer` is -1 or 1 where
    slot 1 or 2 is the longer text. `right` is of answers to gold items. `original` is the pair that a
    repeat asks again (-1: none). `adaptive` marks pairs of which the answers decided how many people
    were asked. `cut`: there are older answers, left out.
    """

    pair: IntArray
    rater: IntArray
    value: IntArray
    flipped: IntArray
    drawn: npt.NDArray[np.bool_]
    seconds: FloatArray
    at: FloatArray
    both_bad: npt.NDArray[np.bool_]
    purpose: IntArray
    right: npt.NDArray[np.bool_]
    original: IntArray
    adaptive: npt.NDArray[np.bool_]
    longer: IntArray
    raters: tuple[Rater, ...]
    out: npt.NDArray[np.bool_]
    cut: bool

    def where(self, mask: npt.NDArray[np.bool_]) -> AnswerArrays:
        kept = {
            field.name: getattr(self, field.name)[mask]
            for field in fields(self)
            if field.name not in ("raters", "out", "cut")
        }
        return replace(self, **kept)

    @property
    def side(self) -> IntArray:
        """-1: slot 1 is better, 0 a tie, 1: slot 2."""
        return np.asarray(np.sign(self.value - TIE))

    @property
    def left(self) -> IntArray:
        """-1: the left text is better, 0 a tie, 1: the right one."""
        return np.where(self.flipped == 1, -self.side, self.side)

    @property
    def asked(self) -> npt.NDArray[np.bool_]:
        """Answers to training and gate pairs, not to gold items and repeats."""
        return np.isin(self.purpose, ASKED)

    @property
    def of_counted_raters(self) -> npt.NDArray[np.bool_]:
        return np.asarray(~self.out[self.rater])


def answers_in_force(*, campaign: Campaign) -> QuerySet[JudgmentValue, JudgmentValue]:
    """The overall values of a campaign that are in force: neither superseded, taken back nor surplus. Some
    may be left out."""
    return JudgmentValue.objects.filter(
        criterion__key=OVERALL,
        judgment__active=True,
        judgment__surplus=False,
        **{f"{PAIR}__campaign": campaign},
    )


def judgments_in_force(
    *, campaign: Campaign, rater: Rater | None = None
) -> QuerySet[Judgment, Judgment]:
    """The same answers as judgments, for lists: of everybody those that count, of one person all."""
    rows = Judgment.objects.filter(
        active=True, surplus=False, assignment__comparison__campaign=campaign
    )
    if rater is not None:
        return rows.filter(rater=rater)
    return rows.filter(~left_out(judgment=""))


def answer_arrays(*, campaign: Campaign, newest: int = NEWEST) -> AnswerArrays:
    """The newest answers of the campaign. One query for them, one for the lengths of their texts."""
    rows = answers_in_force(campaign=campaign).annotate(
        out=left_out(),
        # read as plain numbers: 20,000 dates would take longer than all the rest
        at=Cast(Extract("judgment__created_at", "epoch"), FloatField()),
        drawn=ExpressionWrapper(
            Q(judgment__assignment__lease_expires_at__isnull=False), BooleanField()
        ),
    )
    rows = rows.order_by("-judgment__created_at", "-judgment_id")
    found = list(rows.values_list(*FIELDS)[: newest + 1])
    cut, found = len(found) > newest, found[:newest]
    columns: list[Any] = list(zip(*found, strict=True)) or [()] * len(FIELDS)
    pair, pairs = _codes(columns[0])
    rater, raters = _codes(columns[1])
    known = Rater.objects.select_related("user").in_bulk(raters)
    counts = ~np.array(columns[13], dtype=bool)
    out = np.bincount(rater[counts], minlength=len(raters)) == 0
    answers = AnswerArrays(
        pair=pair,
        rater=rater,
        value=np.array(columns[2], dtype=np.int64),
        flipped=(np.array(columns[3], dtype=np.int64) == 2).astype(np.int64),
        drawn=np.array(columns[4], dtype=bool),
        seconds=np.array([np.nan if s is None else s for s in columns[5]], dtype=np.float64),
        at=np.array(columns[6], dtype=np.float64),
        both_bad=np.array(columns[7], dtype=bool),
        purpose=np.array([PURPOSES.index(p) for p in columns[8]], dtype=np.int64),
        right=np.array(list(map(_right, columns[2], columns[9], columns[10])), dtype=bool),
        original=_codes_in(columns[11], pairs),
        adaptive=np.array(columns[12], dtype=bool),
        longer=_longer(pairs)[pair] if len(pair) else np.zeros(0, dtype=np.int64),
        raters=tuple(known[pk] for pk in raters),
        out=out,
        cut=cut,
    )
    return answers.where(counts | out[rater])


def _right(value: int, known: int | None, tolerance: int | None) -> bool:
    return known is not None and answer_right(value, known, tolerance)


def _codes(keys: Any) -> tuple[IntArray, list[UUID]]:
    """Numbers from 0 in order of first appearance, and the keys that they stand for."""
    seen: dict[UUID, int] = {}
    codes = np.array([seen.setdefault(key, len(seen)) for key in keys], dtype=np.int64)
    return codes, list(seen)


def _codes_in(keys: Any, known: list[UUID]) -> IntArray:
    place = {key: code for code, key in enumerate(known)}
    return np.array([place.get(key, -1) for key in keys], dtype=np.int64)


def _longer(pairs: list[UUID]) -> IntArray:
    """-1, 0 or 1 by the lengths in characters of the texts in slots 1 and 2, in the order of `pairs`."""
    with connection.cursor() as cursor:
        # told by the database, one row a pair: 40,000 lengths would take longer than all the rest
        cursor.execute(
            """
            SELECT one.comparison_id, sign(length(second.text) - length(first.text))::int
            FROM comparisons_slot one
            JOIN comparisons_slot two ON two.comparison_id = one.comparison_id AND two.position = 2
            JOIN comparisons_completion first ON first.id = one.completion_id
            JOIN comparisons_completion second ON second.id = two.completion_id
            WHERE one.position = 1 AND one.comparison_id = ANY(%s)
            """,
            [pairs],
        )
        told = dict(cursor.fetchall())
    return np.array([told.get(pair, 0) for pair in pairs], dtype=np.int64)
