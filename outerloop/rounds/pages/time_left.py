"""How long the programs of a round will still take, by the steps of the line's earlier rounds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import median

from django.db.models import F
from django.utils import timezone

from evaluation.contracts import StateEntry
from outerloop.rounds.models import WAITING, Round, RoundStep, State
from outerloop.rounds.steps import LEARNING
from training import facade as training

EARLIER = 5  # the newest rounds that count


def seconds_left(
    round_: Round, steps: Sequence[StateEntry], run: training.RunFollowed | None
) -> float | None:
    """Seconds of work for the steps that are not done, waiting for people left aside.

    `steps` are those of the round's page, steps to come included; `run` works on the present one.
    None where a learning step was never measured on this line, and while the round waits for people.
    """
    if not round_.active or round_.state in WAITING:
        return None
    known = _medians(round_)
    left = 0.0
    for step in steps:
        if step.left_at or step.name in WAITING:
            continue
        if step.name == round_.state:
            here = _left_here(step, known.get(step.name), run)
        else:
            here = known.get(step.name, None if State(step.name) in LEARNING else 0.0)
        if here is None:
            return None
        left += here
    return left


def _left_here(
    step: StateEntry, usual: float | None, run: training.RunFollowed | None
) -> float | None:
    """The present step: what it usually takes less the time gone, and no less than its run expects."""
    expected = run.standing.seconds_left if run and run.standing else None
    if usual is None or step.entered is None:
        return expected
    gone = (timezone.now() - step.entered).total_seconds()
    return max(usual - gone, expected or 0.0, 0.0)


def _medians(round_: Round) -> dict[str, float]:
    """Step -> median seconds of the newest earlier rounds whose policy was trained the same way."""
    done = RoundStep.objects.filter(
        round__line=round_.line_id,
        round__number__lt=round_.number,
        started_at__isnull=False,
        finished_at__isnull=False,
    ).filter(round__plan__optimizer=round_.plan.get("optimizer"))
    seconds: dict[str, list[float]] = defaultdict(list)
    rows = done.annotate(took=F("finished_at") - F("started_at")).order_by("-round__number")
    for name, took in rows.values_list("name", "took"):
        if len(seconds[name]) < EARLIER:
            seconds[name].append(took.total_seconds())
    return {name: median(found) for name, found in seconds.items()}
