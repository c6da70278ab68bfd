"""What the page of a line's judge gets, with the words already chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from evaluation.judges.client import has_key
from evaluation.judges.models import JudgeRun, LineJudge
from evaluation.judges.selectors import judge_runs, line_judge, with_rubric
from evaluation.judges.services import TriedAnswer
from evaluation.judges.wording import candidate_value, value_of_both
from web.audit import people_named
from web.registry import line_name

RUNS_SHOWN = 10
SIDES = {1.0: "the one text", 0.0: "the other text", 0.5: "neither"}


@dataclass(frozen=True)
class JudgeRunRow:
    """What one round asked, in words."""

    started: JudgeRun
    says: str


@dataclass(frozen=True)
class JudgePage:
    """`judge` is None until one is set; `rubric` is what it would be given now, with where it is from."""

    line_id: UUID
    line_name: str
    judge: LineJudge | None
    by: str
    key: str
    rubric: str
    rubric_from: str
    runs: tuple[JudgeRunRow, ...]


def judge_page(line_id: UUID) -> JudgePage:
    judge = line_judge(line_id)
    rubric = source = key = by = ""
    if judge is not None:
        full, found = with_rubric(judge.judge_settings, line_id)
        rubric, source = full.rubric, found.label
        key = _key_words(judge.judge_settings.chat_url)
        by = people_named([judge.saved_by]).get(judge.saved_by, "")
    rows = tuple(
        JudgeRunRow(run, _run_words(run)) for run in judge_runs(line_id, newest=RUNS_SHOWN)
    )
    return JudgePage(line_id, line_name(line_id), judge, by, key, rubric, source, rows)


def _key_words(url: str) -> str:
    return "an operator's, for this host alone" if has_key(url) else "none is sent"


def _run_words(run: JudgeRun) -> str:
    kept = f"{run.answers.count():,} of {2 * run.pairs:,} questions answered"
    under_way = "" if run.ended_at else ", under way"
    return f"{kept}{under_way}. {run.reason}".rstrip()


def tried_words(tried: Sequence[TriedAnswer]) -> str:
    """What both orders together say; empty where the judge was not asked."""
    if all(each.answer is None and not each.error for each in tried):
        return ""
    if any(each.error for each in tried):
        return "The judge gave no answer to one order at least: the pair would stay unanswered."
    values = [
        candidate_value(each.verdict, candidate_first=place == 0)
        for place, each in enumerate(tried)
        if each.verdict is not None
    ]
    if len(values) < len(tried):
        return "One answer at least gives no verdict that can be read: the pair would be left out."
    if values[0] != values[1]:
        return "The verdict changes with the order: the pair would count as a tie."
    return f"In both orders the judge prefers {SIDES[value_of_both(*values)]}."
