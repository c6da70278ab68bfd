"""Reads: the canary that is under way on a line, that of a round, and those that are over."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from evaluation.gates.canary_models import Canary, CanaryEnd
from evaluation.gates.models import Approval
from evaluation.gates.records import CanaryRecord
from evaluation.gates.selectors import decision_row
from web.audit import people_named
from web.records import record_of


def canary_running(line_id: UUID) -> CanaryRecord | None:
    row = Canary.objects.filter(line=line_id, outcome="").select_related("beside").first()
    return canary_to_record(row) if row else None


def canaries_running() -> list[CanaryRecord]:
    """Of every line."""
    return _records(Canary.objects.filter(outcome="").select_related("beside"))


def canaries_ended(line_id: UUID, *, most: int) -> list[CanaryRecord]:
    """The last ones of a line, newest first."""
    rows = Canary.objects.filter(line=line_id).exclude(outcome="").select_related("beside")
    return _records(rows.order_by("-started_at")[:most])


def rounds_widened(since: datetime) -> list[UUID]:
    """Rounds whose canary was widened since then: their reports were written before."""
    rows = Canary.objects.filter(outcome=CanaryEnd.WIDENED, ended_at__gte=since)
    return list(rows.values_list("round", flat=True))


def approved_share(round_id: UUID) -> int | None:
    """What the lead who approved the round chose: percent of the users, 0 for everybody at once; None where
    nobody approved it."""
    decision = decision_row(round_id)
    row = Approval.objects.filter(decision=decision, approved=True).first() if decision else None
    return row.canary_share if row else None


def canary_to_record(row: Canary, names: Mapping[str, str] | None = None) -> CanaryRecord:
    named = names or people_named(key for key in (row.actor, row.ended_by) if key)
    return record_of(
        CanaryRecord,
        row,
        beside_version=row.beside.version,
        actor=named[row.actor],
        ended_by=named.get(row.ended_by, ""),
        widened_from=row.started_at + timedelta(days=row.days),
    )


def _records(found: Collection[Canary]) -> list[CanaryRecord]:
    rows = list(found)
    names = people_named({key for row in rows for key in (row.actor, row.ended_by) if key})
    return [canary_to_record(row, names) for row in rows]
