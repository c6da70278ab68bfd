"""The reason that an act must give, and the share that a canary may have."""

from __future__ import annotations

from evaluation.gates.records import GateError
from evaluation.gates.routing import LEAST_SHARE, MOST_SHARE

REASON_SHORTEST = 10


def require_reason(reason: str, what: str) -> None:
    """GateError where `what` is done without saying why."""
    if len(reason.strip()) < REASON_SHORTEST:
        raise GateError(f"{what} needs a reason of at least {REASON_SHORTEST} letters.")


def share_require(share: int) -> None:
    """GateError where a canary cannot have this share of the users."""
    if not LEAST_SHARE <= share <= MOST_SHARE:
        raise GateError(
            f"A canary answers {LEAST_SHARE} to {MOST_SHARE} percent of the users; {share} is outside."
        )
