"""The reason that an act must give."""

from __future__ import annotations

from evaluation.gates.records import GateError

REASON_SHORTEST = 10


def require_reason(reason: str, what: str) -> None:
    """GateError where `what` is done without saying why."""
    if len(reason.strip()) < REASON_SHORTEST:
        raise GateError(f"{what} needs a reason of at least {REASON_SHORTEST} letters.")
