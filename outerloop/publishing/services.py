"""Writes: order a push, carry it out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.db import connections, transaction

from training import facade as training
from training.digests import DigestError, artifact_verify
from training.facade import ModelVersionRecord
from web.jobs import JobFailed, job_carried
from web.outgoing import OutgoingRefused, target_of
from web.services import audit_record

from .cards import card_of, story_of
from .mlflow_registry import MISSING, RegistryPush, is_installed
from .models import Destination, Push
from .names import files_of, name_problem
from .watching import PushWatch, Sending, watched


def destination_problem(destination: str) -> str:
    """Why nothing can be pushed there from this installation, in a sentence; empty where it can."""
    if destination == Destination.HUB:
        if not settings.OUTERLOOP_HUB_TOKEN:
            return "No token for the model hub: an operator sets OUTERLOOP_HUB_TOKEN."
        try:
            target_of(settings.OUTERLOOP_HUB)
        except OutgoingRefused as refusal:
            return f"The address of OUTERLOOP_HUB is not asked. {refusal}"
        return ""
    if not settings.OUTERLOOP_MLFLOW:
        return "No MLflow registry: an operator sets OUTERLOOP_MLFLOW."
    return "" if is_installed() else MISSING


@transaction.atomic
def push_create(
    *,
    version_id: UUID,
    destination: str,
    name: str,
    private: bool = True,
    actor: str = "command",
) -> Push:
    """Order a push, and write into the audit log who did. Raises `JobFailed` before anything is sent."""
    version = _version(version_id)
    problem = destination_problem(destination) or name_problem(destination, name)
    if problem:
        raise JobFailed(problem)
    push = Push.objects.create(
        line=version.line_id,
        version=version.id,
        destination=destination,
        name=name,
        private=private,
        actor=actor,
    )
    audit_record(
        actor=actor,
        verb="pushed model",
        target=f"{version.name} to {name}"[:200],
        line=version.line_id,
        detail={"push": str(push.pk), "destination": destination, "private": private},
    )
    return push


def push_run(*, push_id: UUID) -> Push | None:
    """Claim a push and carry it out, as `job_carried` says."""
    return job_carried(Push, push_id, _pushed)


def _pushed(push: Push) -> dict[str, Any]:
    problem = destination_problem(push.destination)
    if problem:
        raise JobFailed(problem)
    watch = PushWatch()
    reference = watched(push, watch, _sending(push, _version(push.version)))
    return {
        "reference": reference[:100],
        "bytes_done": watch.total,
        "bytes_total": watch.total,
        "error": "",
    }


def _sending(push: Push, version: ModelVersionRecord) -> Sending:
    """All that is asked of the database is asked here; the rest is done in a thread."""
    story = story_of(version)
    card, tags, metrics = card_of(story), story.tags(), story.metrics()
    relative = version.path.relative_to(settings.ARTIFACT_ROOT)
    stored = training.StoredArtifact(version.name, str(relative), version.sha256)

    def sent(watch: PushWatch) -> str:
        with _held(stored) as folder:
            watch.total = sum(path.stat().st_size for _, path in files_of(folder))
            if push.destination == Destination.HUB:
                # The hub's library is loaded by who pushes to a hub alone.
                from .hub import HubPush

                return HubPush(push.name, push.private, folder, card, version.name).sent(watch)
            return RegistryPush(
                str(push.pk), push.name, folder, card, version.name, tags, metrics
            ).sent(watch)

    return sent


@contextmanager
def _held(stored: training.StoredArtifact) -> Iterator[Path]:
    """The files on this machine, fetched and verified. Raises `JobFailed`."""
    try:
        held = training.artifact_hold(stored)
    except training.ArtifactMismatch as error:
        raise JobFailed(str(error)) from error
    try:
        artifact_verify(held.path, stored.sha256)
        yield held.path
    except DigestError as error:
        raise JobFailed(f"{stored.name}: {error}") from error
    finally:
        held.release()
        connections.close_all()  # those of this thread: the store's cache asks what is in use


def _version(version_id: UUID) -> ModelVersionRecord:
    try:
        return training.model_version_get(version_id)
    except ObjectDoesNotExist as error:
        raise JobFailed(f"There is no model version {version_id}.") from error
