"""Letting the labels of decided gates into training, and their prompts out of evaluation for ever."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from annotation.comparisons.models import GateQueue, Prompt, Purpose, RetiredRoot
from annotation.comparisons.streams import training_values
from annotation.contracts import AnnotationError, LabelsReleased


@transaction.atomic
def gate_labels_release(*, line_id: UUID, round_ids: Collection[UUID]) -> LabelsReleased:
    """Let later snapshots take the gate labels of these rounds, which the caller knows to be decided;
    returns what that came to. Rounds whose labels were released before are passed over.

    Every root conversation on which anybody gave an answer for these gates is retired with it, whether the
    answer counts or not: a rater who is taken in again brings no label on a prompt that is still drawn.
    Raises `AnnotationError` while pairs of such a round wait for labels.
    """
    queues = list(
        GateQueue.objects.select_for_update().filter(
            round_id__in=round_ids, campaign__line=line_id, released_at=None
        )
    )
    for queue in queues:
        if queue.closed_at is None:
            raise AnnotationError(
                f"The pairs of the gate of round {queue.round_id} are still with people: release their"
                " labels after the decision."
            )
    now, rounds = timezone.now(), [queue.round_id for queue in queues]
    judged = Prompt.objects.filter(
        comparisons__purpose=Purpose.GATE,
        comparisons__round_id__in=rounds,
        comparisons__assignments__judgments__isnull=False,
    )
    roots = set(judged.values_list("root_hash", flat=True))
    RetiredRoot.objects.bulk_create(
        [RetiredRoot(line=line_id, root_hash=root, retired_at=now) for root in roots],
        ignore_conflicts=True,
    )
    GateQueue.objects.filter(round_id__in=rounds).update(released_at=now)
    of_these = {
        "judgment__assignment__comparison__purpose": Purpose.GATE,
        "judgment__assignment__comparison__round_id__in": rounds,
    }
    labels = training_values(line_id=line_id).filter(**of_these).count()
    return LabelsReleased(rounds=len(rounds), labels=labels, roots=len(roots))
