"""The lock of a line: who starts a round, or lets one go on, holds it, so that none runs on an archived line."""

from __future__ import annotations

from uuid import UUID

from .models import PolicyLine

ARCHIVED = "The line is archived; a lead takes it back on its page."


class RoundRefused(RuntimeError):
    """A round cannot start (or be taken up) now; the message says why and what to do."""


def line_locked(line_id: UUID) -> PolicyLine:
    """The line as it is now, locked until the transaction ends; `RoundRefused` where it is archived."""
    line = PolicyLine.objects.select_for_update().get(pk=line_id)
    if line.archived_at is not None:
        raise RoundRefused(ARCHIVED)
    return line
