"""What people raised beside their preferences: flags, and parts of answers that they marked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from annotation.campaigns.models import Campaign
from annotation.contracts import Remark, RemarkedLabel

from .exclusions import left_out
from .models import Judgment, Purpose
from .records import FLAGS

CHUNK = 2000
SpanNames = Mapping[str, str]


def span_names(campaigns: Collection[UUID]) -> dict[UUID, SpanNames]:
    """Campaign -> key -> name of its labels for marks."""
    rows = Campaign.objects.filter(pk__in=campaigns).values_list("pk", "span_labels")
    return {pk: {label["key"]: label["name"] for label in labels} for pk, labels in rows}


def remarks_of(
    flags: Sequence[Mapping[str, Any]], spans: Sequence[Mapping[str, Any]], names: SpanNames
) -> tuple[Remark, ...]:
    """Each flag or label once for each answer, in the order in which they were raised."""
    found = [
        Remark("flag", flag["key"], FLAGS.get(flag["key"], flag["key"]), _from_zero(flag["slot"]))
        for flag in flags
    ]
    found += [
        Remark("mark", span["label"], names.get(span["label"], span["label"]), span["slot"] - 1)
        for span in spans
    ]
    return tuple(dict.fromkeys(found))


def training_remarks(
    *, line_id: UUID, since: datetime | None, until: datetime
) -> list[RemarkedLabel]:
    """Every label on the training comparisons of a line that counts and was given from `since` on, before `until`,
    rankings too: most have no remark, and they are what a share is of."""
    rows = Judgment.objects.filter(
        ~left_out(judgment=""),
        active=True,
        surplus=False,
        created_at__lt=until,
        assignment__comparison__purpose=Purpose.TRAINING,
        assignment__comparison__campaign__line=line_id,
    )
    if since is not None:
        rows = rows.filter(created_at__gte=since)
    names = span_names(Campaign.objects.filter(line=line_id).values_list("pk", flat=True))
    fields = rows.order_by("created_at", "pk").values_list(
        "rater__pseudonym",
        "assignment__comparison__prompt__root_hash",
        "assignment__comparison__campaign_id",
        "flags",
        "spans",
    )
    return [
        RemarkedLabel(rater, group, remarks_of(flags, spans, names[campaign]))
        for rater, group, campaign, flags, spans in fields.iterator(chunk_size=CHUNK)
    ]


def _from_zero(slot: int | None) -> int | None:
    return slot - 1 if slot else None
