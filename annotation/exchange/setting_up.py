"""The step of setting a line up that brings its prompts."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse

from annotation.comparisons.models import Prompt, Split
from web.access import ENGINEER, LEAD
from web.jobs import JobState
from web.registry import SetUpStep, StepState

from .models import ImportJob

MOST_COUNTED = 10_000
UNDER_WAY = (JobState.QUEUED, JobState.RUNNING)


def prompts_step(line_id: UUID) -> StepState:
    """How many there are, and how many of them the gate judges on."""
    rows = Prompt.objects.filter(line=line_id).order_by().values_list("split", flat=True)
    found = Counter(rows[: MOST_COUNTED + 1])
    waits = ImportJob.objects.filter(line=line_id, state__in=UNDER_WAY).exists()
    if not found:
        says = (
            "An import is under way."
            if waits
            else "No prompts yet: the policy needs some to answer."
        )
        return StepState(False, says, under_way=waits)
    says = _counted(found.total(), found[Split.EVALUATION])
    return StepState(True, f"{says} A further import is under way." if waits else says)


def _counted(total: int, aside: int) -> str:
    if total > MOST_COUNTED:
        return f"More than {MOST_COUNTED:,} prompts."
    return (
        f"{total:,} {'prompt' if total == 1 else 'prompts'}, {aside:,} of them kept for evaluation."
    )


def _read(request: HttpRequest, line_id: UUID) -> StepState:
    return prompts_step(line_id)


STEP = SetUpStep(
    "prompts",
    "Prompts",
    frozenset({ENGINEER, LEAD}),
    30,
    lambda line_id: reverse("exchange:set_up", args=[line_id]),
    _read,
)
