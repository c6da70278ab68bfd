"""What a supervisor is to serve, and whom it tells how that went: the line's pointer, or its canary."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from evaluation.gates import selectors, services
from evaluation.gates.canary_selectors import canary_running
from evaluation.gates.records import CanaryRecord, LineDeployment
from evaluation.gates.serving.notices import (
    canary_crash_tell,
    canary_failure_tell,
    serving_failure_tell,
)


class ToServe(Protocol):
    """A deployment or a canary: its version, and when that was first served."""

    @property
    def id(self) -> UUID: ...
    @property
    def version_id(self) -> UUID: ...
    @property
    def served_at(self) -> datetime | None: ...


class Duty(Protocol):
    name: str

    def wanted(self) -> Any: ...
    def served(self, wanted: Any) -> None: ...
    def failed(self, wanted: Any, error: str, *, still_serving: bool) -> None: ...
    def ended(self, wanted: Any, last_words: str) -> None: ...


@dataclass
class DeployedDuty:
    """What the line's pointer shows."""

    line_id: UUID
    name: str = "deployment"

    def wanted(self) -> LineDeployment | None:
        return selectors.deployment_current(self.line_id)

    def served(self, wanted: LineDeployment) -> None:
        services.deployment_mark_served(wanted.id)

    def failed(self, wanted: LineDeployment, error: str, *, still_serving: bool) -> None:
        services.deployment_mark_failed(wanted.id, error)
        serving_failure_tell(wanted, error.splitlines()[0], still_serving=still_serving)

    def ended(self, wanted: LineDeployment, last_words: str) -> None:
        services.deployment_mark_failed(wanted.id, last_words)


@dataclass
class CanaryDuty:
    """The line's canary while one is under way."""

    line_id: UUID
    name: str = "canary"

    def wanted(self) -> CanaryRecord | None:
        return canary_running(self.line_id)

    def served(self, wanted: CanaryRecord) -> None:
        services.canary_mark_served(wanted.id)

    def failed(self, wanted: CanaryRecord, error: str, *, still_serving: bool) -> None:
        services.canary_mark_failed(wanted.id, error)
        canary_failure_tell(wanted, error.splitlines()[0])

    def ended(self, wanted: CanaryRecord, last_words: str) -> None:
        services.canary_mark_crashed(wanted.id, last_words)
        canary_crash_tell(wanted, last_words.splitlines()[0])
