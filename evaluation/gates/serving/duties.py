"""What a supervisor is to serve, and whom it tells how that went: the line's pointer, or its canary."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from evaluation.gates import selectors, services
from evaluation.gates.canary_selectors import canary_running
from evaluation.gates.records import CanaryRecord, LineDeployment, ShadowRecord
from evaluation.gates.serving.notices import (
    canary_crash_tell,
    canary_failure_tell,
    serving_failure_tell,
)
from evaluation.gates.shadow_selectors import shadow_running


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


@dataclass
class ShadowDuty:
    """The line's shadow while one is under way; nobody waits for it, so the page alone says how it stands."""

    line_id: UUID
    name: str = "shadow"

    def wanted(self) -> ShadowRecord | None:
        return shadow_running(self.line_id)

    def served(self, wanted: ShadowRecord) -> None:
        services.shadow_mark_served(wanted.id)

    def failed(self, wanted: ShadowRecord, error: str, *, still_serving: bool) -> None:
        services.shadow_mark_failed(wanted.id, error)

    def ended(self, wanted: ShadowRecord, last_words: str) -> None:
        services.shadow_mark_failed(wanted.id, last_words)


@dataclass
class BesideDuty:
    """What is served beside the deployed policy: the canary, else the shadow."""

    line_id: UUID
    name: str = "canary or shadow"

    def wanted(self) -> CanaryRecord | ShadowRecord | None:
        return CanaryDuty(self.line_id).wanted() or ShadowDuty(self.line_id).wanted()

    def served(self, wanted: CanaryRecord | ShadowRecord) -> None:
        self._of(wanted).served(wanted)

    def failed(
        self, wanted: CanaryRecord | ShadowRecord, error: str, *, still_serving: bool
    ) -> None:
        self._of(wanted).failed(wanted, error, still_serving=still_serving)

    def ended(self, wanted: CanaryRecord | ShadowRecord, last_words: str) -> None:
        self._of(wanted).ended(wanted, last_words)

    def _of(self, wanted: CanaryRecord | ShadowRecord) -> Duty:
        kind = CanaryDuty if isinstance(wanted, CanaryRecord) else ShadowDuty
        return kind(self.line_id)
