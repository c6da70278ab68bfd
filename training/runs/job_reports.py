"""What a job that shares no folder with its worker asks of the site, and tells it.

Every write holds the run's row: a job whose attempt is over, or that has begun anew elsewhere, changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from training.contracts import ContractError, RunEvent

from .models import JobReport, Run, RunEventRow, RunState
from .selectors import run_events
from .storage import StoreAway
from .storage.door import object_store

logger = logging.getLogger(__name__)

LOG_LENGTH = 64_000


class AttemptOver(RuntimeError):
    """The attempt has ended, was cancelled or replaced, or another job carries it out."""


@dataclass(frozen=True)
class Told:
    """A message of a job, taken apart. What is None was not told; `end` has code, failure and manifest."""

    begun: int
    events: tuple[RunEvent, ...]
    log: str | None
    tree: dict[str, str] | None
    end: Mapping[str, Any] | None


def told_read(document: Mapping[str, Any]) -> Told:
    """Raises `ContractError` for what is no message of a job."""
    try:
        begun, log = int(document["begun"]), document.get("log")
        events = tuple(_events_read(document.get("events", ())))
        tree, end = document.get("tree"), document.get("end")
        return Told(
            begun,
            events,
            None if log is None else str(log)[-LOG_LENGTH:].replace("\0", ""),
            None if tree is None else {str(k): str(v) for k, v in dict(tree).items()},
            None if end is None else _end_read(dict(end)),
        )
    except (KeyError, TypeError, ValueError) as error:  # a ContractError is one
        raise ContractError(f"The message of the job cannot be read: {error}") from error


def _events_read(documents: Iterable[Any]) -> Iterator[RunEvent]:
    """Those that are events: as with a file of them, another keeps none back."""
    for document in documents:
        try:
            event = RunEvent.from_json(document)
        except ContractError:
            logger.warning("an event of a job could not be read: %.200r", document)
            continue
        yield replace(event, message=event.message.replace("\0", ""))


def _end_read(end: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in ("failure", "manifest"):
        if not isinstance(end.get(name), dict | None):
            raise TypeError(f"{name} is no object")
    return {**end, "code": int(end["code"])}


@contextmanager
def _attempt(run_id: UUID, attempt: int) -> Iterator[JobReport]:
    """The attempt's report, in a transaction that holds the run's row. Raises `AttemptOver`."""
    with transaction.atomic():
        live = Run.objects.select_for_update(no_key=True).filter(
            pk=run_id,
            fence=attempt,
            job_fence=attempt,
            state__in=[RunState.PENDING, RunState.RUNNING],
        )
        run = live.first()
        report = JobReport.objects.filter(run=run_id, fence=attempt).first()
        if run is None or report is None:
            raise AttemptOver(f"Attempt {attempt} of this run is over, or was replaced.")
        report.run = run
        yield report


def attempt_begin(run_id: UUID, attempt: int, job: str) -> dict[str, Any]:
    """The order, and where everything lies that the job needs. The first job that begins has the attempt.

    Raises `AttemptOver`, `DigestError`, `StoreAway`."""
    with _attempt(run_id, attempt) as report:
        if report.holder not in ("", job):
            raise AttemptOver(f"Attempt {attempt} of this run belongs to job {report.holder}.")
        report.holder, report.begun, report.heard_at = job, report.begun + 1, timezone.now()
        report.exit_code = report.failure = report.manifest = None
        report.save()
    inputs = [(ref["path"], ref["sha256"]) for ref in report.run.spec["inputs"].values()]
    return {
        "begun": report.begun,
        "spec": report.run.spec,
        "accelerate": report.accelerate,
        "events": [event.to_json() for event in run_events(run_id)],
        "inputs": _links(inputs),
        "tree": _links(report.tree.items()),
    }


def _links(artifacts: Any) -> list[dict[str, Any]]:
    from .storage.links import fetch_links  # with the client of object storage, which is an extra

    store = object_store()
    return [fetch_links(store, path, sha256) for path, sha256 in dict(artifacts).items()]


def attempt_tell(run_id: UUID, attempt: int, told: Told) -> bool:
    """Take in what the job tells; whether its program is to stop.

    Raises `AttemptOver`, `StoreAway`, and `ContractError` for a tree of which something is not in the store.
    """
    if told.tree is not None:
        _tree_check(run_id, told.tree)
    with _attempt(run_id, attempt) as report:
        if report.begun != told.begun:
            raise AttemptOver(f"Attempt {attempt} of this run has begun anew elsewhere.")
        rows = [RunEventRow(run=report.run, **vars(event)) for event in told.events]
        RunEventRow.objects.bulk_create(rows, ignore_conflicts=True)
        gone = _report_change(report, told)
        stop = report.stop or report.run.cancel_requested_at is not None
    _objects_drop(gone)
    return stop


def _report_change(report: JobReport, told: Told) -> set[tuple[str, str]]:
    """Save what is new; what of the run directory is not needed any more."""
    gone: set[tuple[str, str]] = set()
    report.heard_at = timezone.now()
    if told.log is not None:
        report.log = told.log
    if told.tree is not None:
        gone = report.tree.items() - told.tree.items()
        report.tree = told.tree
    if told.end is not None:
        report.exit_code = told.end["code"]
        report.failure, report.manifest = told.end.get("failure"), told.end.get("manifest")
    report.save()
    return gone


def _tree_check(run_id: UUID, tree: Mapping[str, str]) -> None:
    store = object_store()
    report = JobReport.objects.filter(run=run_id).first()
    known = report.tree.items() if report else set()
    for path, sha256 in tree.items() - known:
        if not path.startswith(f"runs/{run_id}/") or not store.has(path, sha256):
            raise ContractError(f"{path}: nothing whole of {sha256[:12]}... is kept.")


def _objects_drop(gone: set[tuple[str, str]]) -> None:
    """What stays because the storage is away goes with the run."""
    try:
        for path, sha256 in gone:
            object_store().remove(f"{path}/{sha256}")
    except StoreAway as error:
        logger.warning("a checkpoint that is not needed stays in the store: %s", error)


def attempt_send(run_id: UUID, attempt: int, document: Mapping[str, Any]) -> dict[str, Any]:
    """Where the files of something that the job made go. Raises `AttemptOver`, `DigestError`, `StoreAway`."""
    from .storage.links import entry_told, send_links

    entry = entry_told(document, below=f"runs/{run_id}")
    with _attempt(run_id, attempt):
        pass
    return {"files": send_links(object_store(), entry)}


def attempt_keep(run_id: UUID, attempt: int, document: Mapping[str, Any]) -> None:
    """The files have come: the store has it from now on. Raises as `attempt_send`."""
    from .storage.links import entry_told, send_end

    entry = entry_told(document, below=f"runs/{run_id}")
    with _attempt(run_id, attempt):
        pass
    send_end(object_store(), entry)
