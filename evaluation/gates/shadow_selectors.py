"""Reads: the shadow that is under way on a line, the last one, and which policies may be one."""

from __future__ import annotations

from uuid import UUID

from evaluation.gates.models import Decision, Deployment, GateTest
from evaluation.gates.records import ShadowCounts, ShadowDayRecord, ShadowRecord
from evaluation.gates.shadow_models import Shadow
from training import facade as training
from web.audit import people_named
from web.records import record_of

POLICIES_OFFERED = 10


def shadow_running(line_id: UUID) -> ShadowRecord | None:
    rows = Shadow.objects.filter(line=line_id, ended_at=None).select_related("beside")
    return _found(rows.first())


def shadow_last(line_id: UUID) -> ShadowRecord | None:
    """The one under way, or the last that was."""
    rows = Shadow.objects.filter(line=line_id).select_related("beside")
    return _found(rows.order_by("-started_at").first())


def shadow_days(shadow_id: UUID) -> list[ShadowDayRecord]:
    """Oldest first."""
    rows = Shadow.objects.get(pk=shadow_id).days.order_by("day")
    return [ShadowDayRecord(row.day, record_of(ShadowCounts, row)) for row in rows]


def shadow_policies(line_id: UUID) -> list[training.ModelVersionRecord]:
    """Policies that a gate of the line tests or has tested, or that were deployed on it, but the one that is;
    those whose files are there, newest first."""
    known: set[UUID] = set()
    for rows, field in ((Decision, "candidate"), (GateTest, "candidate"), (Deployment, "version")):
        known |= set(rows.objects.filter(line=line_id).values_list(field, flat=True))
    current = Deployment.objects.filter(line=line_id).order_by("-started_at", "-id").first()
    found = training.policies_present(known - ({current.version} if current else set()))
    return found[: -POLICIES_OFFERED - 1 : -1]


def _found(row: Shadow | None) -> ShadowRecord | None:
    if row is None:
        return None
    named = people_named(key for key in (row.actor, row.ended_by) if key)
    return record_of(
        ShadowRecord,
        row,
        beside_version=row.beside.version,
        actor=named[row.actor],
        ended_by=named.get(row.ended_by, ""),
    )
