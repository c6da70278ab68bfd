"""The step of setting a line up that brings its people."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse

from web.access import ADJUDICATOR, ANNOTATOR, LEAD, people_with
from web.registry import SetUpStep, StepState


def people_step(line_id: UUID) -> StepState:
    """People are there once one may compare."""
    number = people_with(ANNOTATOR, ADJUDICATOR, line_id=line_id).count()
    if not number:
        return StepState(False, "No annotator yet: nobody is there to compare.")
    return StepState(True, f"{number:,} {'person' if number == 1 else 'people'} may compare.")


def _read(request: HttpRequest, line_id: UUID) -> StepState:
    return people_step(line_id)


STEP = SetUpStep(
    "people",
    "People",
    frozenset({LEAD}),
    40,
    lambda line_id: reverse("accounts:set_up", args=[line_id]),
    _read,
)
