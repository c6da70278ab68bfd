"""Which server answers whom: the deployed policy's, and while a canary is under way its own for its users.

A canary whose server is not there yet, or has died, leaves its users to the deployed policy until it is back;
then it answers the same users as before. What it had begun when it died, and what it fails on, is answered by
the deployed policy too, unless the first words of a stream have gone out.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured

from annotation import facade as annotation
from evaluation.gates.routing import CanarySplit, conversation_key

from .chat import ChatRequest
from .limits import ModelLimits, limits_read

logger = logging.getLogger(__name__)


class Answering(Protocol):
    """The replicas of one version: how many there should be, and the local ports that may be asked now."""

    size: int

    @property
    def ports(self) -> Sequence[int]: ...


@dataclass(frozen=True)
class Current:
    """A server that is current: its replicas, what its model can take, which version that is, and whether it is
    the canary's."""

    server: Answering
    limits: ModelLimits | None
    version: UUID | None = None
    canary: bool = False


@dataclass(frozen=True)
class CanaryRoute:
    split: CanarySplit
    server: Current | None = None


@dataclass(frozen=True)
class ShadowRoute:
    """`share` percent of the requests that the deployed policy has answered."""

    id: UUID
    share: int
    server: Current | None = None


class Routes:
    """Read by the threads of the relay, changed by the supervisor; each change is one assignment."""

    def __init__(self) -> None:
        self.deployed: Current | None = None
        self.canary: CanaryRoute | None = None
        self.shadow: ShadowRoute | None = None

    def point(self, server: Answering | None, artifact: Path | None, version: UUID | None) -> None:
        """Let these replicas answer for the deployed policy; None: nobody."""
        self.deployed = _current(server, artifact, version)

    def point_beside(
        self, server: Answering | None, artifact: Path | None, version: UUID | None
    ) -> None:
        """The same for the canary that `split` has begun, or the shadow that `shade` has."""
        current = _current(server, artifact, version)
        if self.canary is None and self.shadow is not None:
            self.shadow = replace(self.shadow, server=current)
        if self.canary is not None:
            self.canary = replace(
                self.canary, server=replace(current, canary=True) if current else None
            )

    def split(self, split: CanarySplit | None) -> None:
        """Say which users are the canary's; a canary that goes on keeps its server."""
        if split is None:
            self.canary = None
        elif self.canary is None or self.canary.split != split:
            self.canary = CanaryRoute(split)

    def shade(self, shadow: ShadowRoute | None) -> None:
        """Say what answers unseen; a shadow that goes on keeps its server."""
        if shadow is None or self.shadow is None or self.shadow.id != shadow.id:
            self.shadow = shadow

    def server_for(self, request: ChatRequest) -> Current | None:
        canary = self.canary
        if canary is None or canary.server is None:
            return self.deployed
        try:
            key = _key(request)
        except ImproperlyConfigured as error:
            logger.error("The canary answers nobody, as users cannot be told apart: %s", error)
            return self.deployed
        return canary.server if canary.split.takes(key) else self.deployed


def _key(request: ChatRequest) -> str:
    """The name under which feedback is kept, or the conversation where nobody is named."""
    if request.user:
        return annotation.user_hash(request.user)
    return conversation_key(request.messages)


def _current(
    server: Answering | None, artifact: Path | None, version: UUID | None
) -> Current | None:
    if server is None:
        return None
    limits = None
    if artifact is not None:
        try:
            limits = limits_read(artifact)
        except (OSError, ValueError, KeyError) as error:
            logger.warning("The limits of %s cannot be read: %s", artifact, error)
    return Current(server, limits, version)
