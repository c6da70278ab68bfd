"""From the answers that are kept, and people's labels, to what the gate and the report read of a judge.

The same rows and labels give the same figures: nobody is asked again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from statistics import median
from urllib.parse import urlsplit
from uuid import UUID

import numpy as np

from evaluation.contracts import LEAST_LABELS, Interval, JudgeMeasurements
from evaluation.judges.models import JudgeAnswer, JudgeRun
from evaluation.judges.wording import as_read, candidate_value, value_of_both
from evaluation.statistics.intervals import two_way_share_interval
from evaluation.statistics.judging import (
    agreement_interval,
    corrected_win_rate,
    longer_excess_interval,
    longer_share_interval,
    share_or_none,
)
from web.json_contract import canonical_json


@dataclass(frozen=True)
class PersonSaid:
    """What a person said of a prompt's pair: 1 the candidate is preferred, 0.5 a tie, 0 the incumbent."""

    rater: str
    value: float


@dataclass(frozen=True)
class PairVerdict:
    """A pair that the judge compared in both orders; `longer` is the candidate's length less the other's."""

    prompt: str
    group: str
    value: float
    consistent: bool
    longer: int


def judge_measured(
    round_id: UUID, people: Mapping[str, PersonSaid], *, ceiling: Interval | None
) -> JudgeMeasurements | None:
    """What the round's judge said, beside what people said of the same prompts; None where none was asked."""
    run = JudgeRun.objects.filter(round=round_id).first()
    if run is None:
        return None
    answers = list(run.answers.order_by("prompt", "-candidate_first"))
    pairs = pairs_judged(answers)
    measured = replace(_begun(run, answers), pairs=len(pairs), ceiling=ceiling)
    return _beside_people(_by_itself(measured, pairs, answers), pairs, people)


def pairs_judged(answers: Sequence[JudgeAnswer]) -> list[PairVerdict]:
    """The pairs with a readable verdict in both orders, from answers in the order of their prompts."""
    found = []
    for prompt, rows in groupby(answers, key=lambda answer: answer.prompt):
        both = list(rows)
        read = [_value(answer) for answer in both]
        if len(both) == 2 and None not in read:
            one, other = (value for value in read if value is not None)
            longer = both[0].candidate_length - both[0].incumbent_length
            value = value_of_both(one, other)
            found.append(PairVerdict(str(prompt), both[0].group, value, one == other, longer))
    return found


def _value(answer: JudgeAnswer) -> float | None:
    read = as_read(answer.verdict)
    return None if read is None else candidate_value(read, candidate_first=answer.candidate_first)


def _begun(run: JudgeRun, answers: Sequence[JudgeAnswer]) -> JudgeMeasurements:
    settings = run.judge_settings
    kept = [[a.request_sha256, a.answer] for a in answers]
    return JudgeMeasurements(
        model=settings.model,
        host=urlsplit(settings.url).netloc,
        rubric_source=run.rubric_source,
        rubric_sha256=hashlib.sha256(settings.rubric.encode()).hexdigest(),
        temperature=settings.temperature,
        asked=run.pairs,
        pairs=0,
        unreadable=sum(not answer.verdict for answer in answers),
        unanswered=2 * run.pairs - len(answers),
        reason=run.reason,
        seconds=round(median(a.seconds for a in answers), 3) if answers else None,
        answers_sha256=hashlib.sha256(canonical_json(kept).encode()).hexdigest(),
    )


def _by_itself(
    measured: JudgeMeasurements, pairs: Sequence[PairVerdict], answers: Sequence[JudgeAnswer]
) -> JudgeMeasurements:
    values, groups = _values(pairs), [pair.group for pair in pairs]
    sided = [answer for answer in answers if as_read(answer.verdict) in ("first", "second")]
    return replace(
        measured,
        win_rate=share_or_none(values, groups),
        inconsistent=share_or_none(np.array([float(not p.consistent) for p in pairs]), groups),
        first=share_or_none(
            np.array([float(a.verdict == "first") for a in sided]), [a.group for a in sided]
        ),
        longer=longer_share_interval(values, [pair.longer for pair in pairs], groups),
    )


def _beside_people(
    measured: JudgeMeasurements, pairs: Sequence[PairVerdict], people: Mapping[str, PersonSaid]
) -> JudgeMeasurements:
    """With how far judge and people agree, where both compared `LEAST_LABELS` pairs; before, the counts."""
    shared = [pair for pair in pairs if pair.prompt in people]
    said = [people[pair.prompt] for pair in shared]
    judged, values = _values(shared), np.array([each.value for each in said])
    raters = {each.rater for each in said}
    counted = replace(
        measured,
        labels=len(shared),
        annotators=len(raters),
        decided=int(((judged != 0.5) & (values != 0.5)).sum()) if shared else 0,
    )
    groups = [pair.group for pair in shared]
    if len(shared) < LEAST_LABELS or min(len(raters), len(set(groups))) < 2:
        return counted
    longer = [pair.longer for pair in shared]
    return replace(
        counted,
        agreement=agreement_interval(judged, values, groups),
        people=two_way_share_interval(values, [each.rater for each in said], groups),
        corrected=_corrected(pairs, people),
        longer_by_people=longer_share_interval(values, longer, groups),
        longer_excess=longer_excess_interval(judged, values, longer, groups),
    )


def _corrected(pairs: Sequence[PairVerdict], people: Mapping[str, PersonSaid]) -> Interval:
    said = [people.get(pair.prompt) for pair in pairs]
    return corrected_win_rate(
        _values(pairs),
        [each.value if each else None for each in said],
        [pair.group for pair in pairs],
        [each.rater if each else None for each in said],
    )


def _values(pairs: Sequence[PairVerdict]) -> np.ndarray:
    return np.array([pair.value for pair in pairs], dtype=np.float64)
