"""The steps of setting a line up that are the loop's own: its base policy, and the look over everything."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse

from annotation import facade as annotation
from evaluation import facade as evaluation
from training import facade as training
from web.access import ENGINEER, LEAD
from web.registry import SetUpStep, StepAct, StepState

from .models import BaseOrder, BaseState, PolicyLine
from .pages.offer import any_prompts, anything_to_compare
from .selectors import active_round

STAFF = frozenset({ENGINEER, LEAD})


def line_address(page: str, line_id: UUID) -> str:
    slug = PolicyLine.objects.values_list("slug", flat=True).get(pk=line_id)
    return reverse(f"rounds:{page}", args=[slug])


def base_state(line: PolicyLine) -> StepState:
    if line.base_version is not None:
        base = training.model_version_get(line.base_version)
        return StepState(True, f"The line starts from “{base.name}” ({base.sha256[:12]}).")
    order = line.base_orders.first()
    if order is None:
        return StepState(False, "The line has no base policy yet: choose a model.")
    if order.state == BaseState.FAILED:
        return StepState(False, f"The model was not taken. {order.error}")
    return StepState(False, _under_way(order), under_way=True)


def _under_way(order: BaseOrder) -> str:
    return {
        BaseState.QUEUED: "The model waits for a worker, which checks and copies it.",
        BaseState.CHECKING: "A worker checks whether the model fits.",
        BaseState.COPYING: "The model fits; it is being copied and hashed.",
    }[BaseState(order.state)]


def pairs_state(line: PolicyLine) -> StepState:
    """Whether there is something to compare, and who makes it."""
    if anything_to_compare(line):
        return StepState(True, "There are pairs to compare.")
    running = active_round(line)
    if running is not None:
        return StepState(False, "The policy is writing the first pairs.", under_way=True)
    if line.rounds.exists():
        return StepState(False, "The first pairs were not written: the line's rounds say why.")
    if evaluation.deployed_version(line.id) is None:
        return StepState(False, "No pairs yet: a base policy has to write them.")
    if not any_prompts(line):
        return StepState(False, "No pairs yet: the policy needs prompts to answer.")
    if not annotation.line_campaigns(line_id=line.id):
        return StepState(False, "No pairs yet: a campaign has to take them.")
    return StepState(
        False,
        "No pairs yet: the first policy has to write them.",
        StepAct("Write first pairs", reverse("rounds:first_pairs", args=[line.slug])),
    )


def _base(request: HttpRequest, line_id: UUID) -> StepState:
    return base_state(PolicyLine.objects.get(pk=line_id))


def _pairs(request: HttpRequest, line_id: UUID) -> StepState:
    return pairs_state(PolicyLine.objects.get(pk=line_id))


STEPS = (
    SetUpStep(
        "base", "Base policy", STAFF, 10, lambda line_id: line_address("base", line_id), _base
    ),
    SetUpStep(
        "review",
        "Review and first pairs",
        STAFF,
        90,
        lambda line_id: line_address("set_up", line_id),
        _pairs,
    ),
)
