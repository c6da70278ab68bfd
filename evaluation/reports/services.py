"""Writing reports. A report is stored, never changed: a later state is a further revision."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from evaluation.contracts import RoundRecord
from evaluation.reports.listing import report_list
from evaluation.reports.models import RoundReport
from training.contracts import json_sha256


def report_store(*, record: RoundRecord) -> RoundReport:
    """Store `record` as the round's next revision; the same record again stores nothing new.

    ValueError names the field where the round's or line's id is missing or a number is not finite.
    """
    round_id, line_id = _required_id(record, "round_id"), _required_id(record, "line_id")
    for path in _not_finite(record.to_json(), "record"):
        raise ValueError(f"{path} is not a finite number; leave it out or give None.")
    # Read back once, so that 1 and 1.0 have one spelling and the digest is the one of what is served.
    document = RoundRecord.from_json(record.to_json()).to_json()
    digest = json_sha256(document)
    with transaction.atomic():
        _lock_round(round_id)
        last = RoundReport.objects.filter(round=round_id).order_by("-revision").first()
        if last is None or last.sha256 != digest:
            last = RoundReport.objects.create(
                round=round_id,
                line=line_id,
                line_slug=record.line,
                number=record.number,
                revision=1 if last is None else last.revision + 1,
                record=document,
                sha256=digest,
            )
            report_list(last)
    return last


def _lock_round(round_id: UUID) -> None:
    """Hold other writers of this round's report until the surrounding transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 7))", [str(round_id)])


def _required_id(record: RoundRecord, name: str) -> UUID:
    try:
        return UUID(getattr(record, name))
    except ValueError as error:
        raise ValueError(
            f"the record of round {record.number} needs {name}, a UUID, to be stored."
        ) from error


def _not_finite(value: Any, where: str) -> Iterator[str]:
    if isinstance(value, float) and not math.isfinite(value):
        yield where
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _not_finite(item, f"{where}.{name}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _not_finite(item, f"{where}[{index}]")
