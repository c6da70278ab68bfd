"""What leaves this app: frozen, without model instances."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from training.facade import RunRecord


class GateError(ValueError):
    """An act that the gate does not allow; the message says why, and what would be allowed."""


@dataclass(frozen=True)
class JudgedRound:
    """What the rounds say of a round: who is compared, which of its runs measured it, since when.

    The gate policy of `started_at` counts: nobody moves the bar under a candidate. The maximum age
    counts from `waiting_since`. Training labels are new from `fresh_since` on; None: all are.
    """

    line_id: UUID
    round_id: UUID
    number: int
    candidate: UUID | None
    incumbent: UUID
    reward_models: tuple[UUID, ...]
    snapshot: UUID | None
    policy_run: RunRecord | None
    reward_run: RunRecord | None
    started_at: datetime
    waiting_since: datetime
    fresh_since: datetime | None = None


@dataclass(frozen=True)
class ErrorControl:
    """A line's ended gate tests: how many, how many discoveries, and what they cost together."""

    tests: int
    discoveries: int
    spent: float


@dataclass(frozen=True)
class OverrideState:
    """A request to let one check through; `active` once confirmed and until it expires."""

    id: UUID
    round_id: UUID
    check_id: str
    reason: str
    evidence_sha256: str
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    confirmed_by: str
    confirmed_at: datetime | None
    active: bool


PolicyRequestStanding = Literal[
    "waiting", "confirmed", "declined", "withdrawn", "expired", "superseded"
]


@dataclass(frozen=True)
class PolicyRequestState:
    """A request for a weaker gate policy: what is weaker in it and what else differs, in sentences.

    `requested_by` and `answered_by` are names to show, `asked_by` is the id of who asked.
    """

    id: UUID
    line_id: UUID
    standing: PolicyRequestStanding
    weaker: tuple[str, ...]
    otherwise: tuple[str, ...]
    reason: str
    asked_by: str
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    answered_by: str
    answered_at: datetime | None


DeploymentKindName = Literal["initial", "deploy", "rollback"]


@dataclass(frozen=True)
class LineDeployment:
    """One move of a line's pointer; `actor` is a name to show.

    `served_at` is None until the policy server answered with it; `served_error` is the last failure
    to bring it to answer, empty when it answers.
    """

    id: UUID
    line_id: UUID
    version_id: UUID
    artifact_sha256: str
    kind: DeploymentKindName
    round_id: UUID | None
    actor: str
    reason: str
    started_at: datetime
    served_at: datetime | None
    served_error: str


@dataclass(frozen=True)
class ShadowRecord:
    """A shadow; `actor` and `ended_by` are names to show. `ended_at` is None while it is under way."""

    id: UUID
    line_id: UUID
    version_id: UUID
    beside_version: UUID
    share: int
    actor: str
    started_at: datetime
    served_at: datetime | None
    served_error: str
    ended_at: datetime | None
    ended_by: str


@dataclass(frozen=True)
class ShadowCounts:
    """What became of requests that were drawn for a shadow, as `ShadowDay` counts it."""

    answered: int = 0
    failed: int = 0
    dropped: int = 0
    seconds: float = 0.0
    deployed_seconds: float = 0.0
    characters: int = 0
    deployed_characters: int = 0
    refused: int = 0
    deployed_refused: int = 0
    refused_alone: int = 0
    deployed_refused_alone: int = 0


@dataclass(frozen=True)
class ShadowDayRecord:
    day: date
    counts: ShadowCounts


CanaryOutcome = Literal["", "widened", "taken_back", "worse", "overtaken"]


@dataclass(frozen=True)
class CanaryRecord:
    """A canary; `actor` and `ended_by` are names to show. `outcome` is empty while it is under way.

    From `widened_from` on it may be widened whatever was shown.
    """

    id: UUID
    line_id: UUID
    version_id: UUID
    round_id: UUID
    beside_version: UUID
    share: int
    actor: str
    started_at: datetime
    widened_from: datetime
    served_at: datetime | None
    served_error: str
    crashes: int
    crashed_at: datetime | None
    outcome: CanaryOutcome
    ended_at: datetime | None
    ended_by: str
