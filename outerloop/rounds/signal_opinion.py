"""A second opinion of each round: a reward head on users' signals, trained beside people's reward model.

It is asked for where a lead has switched it on, and shown in the report and on the page of the signals. No step,
verdict or snapshot reads it, and whatever goes wrong with it stops no round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from annotation import facade as annotation
from evaluation import facade as evaluation
from evaluation.contracts import SignalOpinion
from outerloop.rounds.claims import step_heartbeat
from training import facade as training

from .models import PolicyLine, Round, RoundOpinion

if TYPE_CHECKING:
    from .steps.context import StepContext


def opinion_take(context: StepContext) -> None:
    """Once a round, after its reward model was measured; minutes where there are many signals."""
    round_ = context.round
    if not annotation.signal_opinion_on(round_.line_id):
        return
    if RoundOpinion.objects.filter(round=round_).exists():
        return
    try:
        found = _asked(context)
    except (training.ArtifactMismatch, OSError, ValueError) as error:
        found = SignalOpinion(f"No head was trained: {error}")
    RoundOpinion.objects.get_or_create(round=round_, defaults={"found": found.to_json()})


def opinion_of(round_: Round) -> SignalOpinion | None:
    row = RoundOpinion.objects.filter(round=round_).first()
    return SignalOpinion.from_json(row.found) if row else None


def opinion_latest(line: PolicyLine) -> tuple[Round, SignalOpinion] | None:
    """That of the last round that has one."""
    rows = RoundOpinion.objects.filter(round__line=line).select_related("round")
    row = rows.order_by("-round__number").first()
    return (row.round, SignalOpinion.from_json(row.found)) if row else None


def _asked(context: StepContext) -> SignalOpinion:
    round_ = context.round
    assert round_.reward_model is not None
    assert round_.snapshot is not None
    snapshot = training.input_from_snapshot(training.snapshot_get(round_.snapshot))
    held = training.model_version_hold(round_.reward_model)
    try:
        return evaluation.signal_opinion_ask(
            reward_model=held.path,
            preferences=training.input_local(snapshot),
            examples=_examples(round_.line_id),
            beat=lambda: step_heartbeat(context.step),
        )
    finally:
        held.release()


def _examples(line_id: UUID) -> list[dict[str, Any]]:
    """The program needs to tell users apart, and not their names in the table."""
    numbers: dict[str, str] = {}
    return [
        {
            "user": numbers.setdefault(each.user, str(len(numbers))),
            "conversation": each.conversation,
            "messages": list(each.messages),
            "text": each.text,
            "other": each.other,
            "up": each.up,
        }
        for each in annotation.signal_examples(line_id)
    ]
