"""A campaign with answers whose every figure can be counted by hand."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any
from unittest import mock

from django.utils import timezone

from annotation.accounts.models import Rater
from annotation.campaigns.models import Campaign
from annotation.comparisons.models import Assignment, AssignmentState, Comparison, Judgment, Purpose
from annotation.comparisons.records import Answer
from annotation.comparisons.scale import value_turned
from annotation.comparisons.services import judgment_submit


def say(
    rater: Rater,
    pair: Comparison,
    value: int,
    *,
    order: tuple[int, int] = (1, 2),
    imported: bool = False,
    late: bool = False,
    at: datetime | None = None,
    **answer: Any,
) -> Assignment:
    """The rater's answer to this pair, `value` in slot order, the slots shown in this order."""
    pair.refresh_from_db()
    pair.leased = 0 if late else 1
    pair.wanted = pair.judged if late else pair.judged + 1
    pair.save(update_fields=["wanted", "leased"])
    state = AssignmentState.EXPIRED if late else AssignmentState.LEASED
    assignment = Assignment.objects.create(
        comparison=pair, rater=rater, shown_order=list(order), state=state
    )
    created: Any = Judgment._meta.get_field("created_at")
    with mock.patch.object(created, "_get_default", return_value=at or timezone.now()):
        judgment_submit(
            rater=rater,
            assignment_id=assignment.pk,
            answer=Answer(values={"overall": value_turned(value, order)}, **answer),
            idempotency_key=str(uuid.uuid4()),
        )
    if not imported:
        Assignment.objects.filter(pk=assignment.pk).update(lease_expires_at=pair.created_at)
    return assignment


def again(pair: Comparison, campaign: Campaign) -> Comparison:
    """A repeat of the pair."""
    made = Comparison.objects.create(
        campaign=campaign,
        prompt=pair.prompt,
        purpose=Purpose.REPEAT,
        repeat_of=pair,
        pair_digest=pair.pair_digest,
        wanted=1,
    )
    for slot in pair.slots.all():
        made.slots.create(position=slot.position, completion=slot.completion)
    return made
