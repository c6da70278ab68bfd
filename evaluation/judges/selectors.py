"""Reads: the judge of a line, and the rubric that it would be given now."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from annotation import facade as annotation
from evaluation.contracts import JudgeSettings
from evaluation.judges.models import JudgeRun, LineJudge, RubricSource


def line_judge(line_id: UUID) -> LineJudge | None:
    return LineJudge.objects.filter(line=line_id).first()


def judge_settings_of(line_id: UUID, round_id: UUID) -> JudgeSettings | None:
    """What the round's judge was begun with, else the settings of the line's; None where none is active."""
    run = JudgeRun.objects.filter(round=round_id).first()
    if run is not None:
        return run.judge_settings
    judge = LineJudge.objects.filter(line=line_id, active=True).first()
    return judge.judge_settings if judge else None


def judge_runs(line_id: UUID, *, newest: int) -> list[JudgeRun]:
    return list(JudgeRun.objects.filter(line=line_id).order_by("-started_at")[:newest])


def with_rubric(settings: JudgeSettings, line_id: UUID) -> tuple[JudgeSettings, RubricSource]:
    """The settings with the rubric in full: the line's own, or the guidelines of the campaign to which its
    pairs go; and where it comes from."""
    if settings.rubric.strip():
        return settings, RubricSource.SETTING
    guidelines = annotation.guidelines_text(line_id=line_id)
    source = RubricSource.GUIDELINES if guidelines else RubricSource.NONE
    return replace(settings, rubric=guidelines), source
