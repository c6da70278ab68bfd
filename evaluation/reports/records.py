"""What the report room hands to others."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from evaluation.contracts import RoundRecord


@dataclass(frozen=True)
class ReportRecord:
    """One stored revision of a round's report."""

    id: UUID
    round_id: UUID
    line_id: UUID
    line_slug: str
    number: int
    revision: int
    sha256: str
    created_at: datetime
    record: RoundRecord
