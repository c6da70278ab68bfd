"""What a run reads comes to this machine before its program starts; what it made goes to the store at its end.

With a shared folder there is nothing to do. With object storage both may take minutes: the lease is prolonged
meanwhile, and whoever follows the run is told how far it is.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from training.contracts import RunEvent, RunManifest
from web.outages import DATABASE_AWAY, connection_drop, first_line

from .claims import run_heartbeat
from .event_ingest import Beat
from .inventory import WORKING_FOLDERS, store_path
from .models import JobReport, Run
from .storage import Held, StoreAway, StoreSettings, artifact_store
from .storage.door import object_store

logger = logging.getLogger(__name__)

MB = 1_000_000
LOG_BYTES = 64_000


class FetchStopped(RuntimeError):
    """Somebody cancelled the run while its inputs were on their way."""


class _Watch:
    """Tells of what takes longer than a heartbeat; `FetchStopped` where the run is to stop."""

    def __init__(self, run: Run, beat: Beat, phase: str, message: str, *, may_stop: bool) -> None:
        self.run, self.beat, self.phase, self.message = run, beat, phase, message
        self.may_stop = may_stop
        self.next = time.monotonic() + settings.OUTERLOOP_HEARTBEAT_SECONDS

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() < self.next:
            return
        self.next = time.monotonic() + settings.OUTERLOOP_HEARTBEAT_SECONDS
        logger.info("run %s: %s (%d of %d MB)", self.run.id, self.message, done // MB, total // MB)
        try:
            self.beat(None)
            stop = run_heartbeat(self.run) and self.may_stop
            self.beat(self._event(done, total))
        except DATABASE_AWAY as error:
            connection_drop()
            logger.warning(
                "run %s: the database does not answer: %s", self.run.id, first_line(error)
            )
            return
        if stop:
            raise FetchStopped

    def _event(self, done: int, total: int) -> RunEvent:
        at = timezone.now().isoformat()
        whole = max(1, -(-total // MB))
        return RunEvent(0, at, self.phase, min(done // MB, whole), whole, {}, self.message)


def inputs_hold(run: Run, beat: Beat) -> list[Held]:
    """Every stored input on this machine, until each is released.

    Raises `DigestError`, `StoreAway`, `FetchStopped`, and what a heartbeat raises; then nothing is held.
    """
    held: list[Held] = []
    store = artifact_store()
    if store.shared:
        return held
    try:
        for name, reference in run.spec["inputs"].items():
            path = store_path(reference["path"])
            if path is not None:
                words = name.replace("_", " ")
                watch = _Watch(run, beat, "fetch", f"Fetching the input “{words}”", may_stop=True)
                held.append(store.hold(path, reference["sha256"], watch=watch))
    except BaseException:
        inputs_release(held)
        raise
    return held


def inputs_send(run: Run, beat: Beat) -> None:
    """Every input in the store, for a program that works elsewhere: this machine needs none of them.

    Raises as `inputs_hold`, and `StoreSettings` for one that is not of the store."""
    store = artifact_store()
    for name, reference in run.spec["inputs"].items():
        path, words = str(reference["path"]), name.replace("_", " ")
        if Path(path).is_absolute():
            raise StoreSettings(
                f"the input “{words}” lies in {path}, which a job without a shared folder cannot"
                " read. Import the model, or give `files` as shared."
            )
        if not store.has(path, reference["sha256"]):
            watch = _Watch(run, beat, "fetch", f"Sending the input “{words}”", may_stop=True)
            store.keep(path, reference["sha256"], watch=watch)


def results_fetch(run: Run, beat: Beat) -> None:
    """What a program made on another machine, verified. Raises `DigestError`, `StoreAway`, and what a heartbeat
    raises."""
    try:
        manifest = RunManifest.from_json(json.loads((run.directory / "manifest.json").read_text()))
    except (OSError, ValueError):
        return  # whoever reads it says so
    store = artifact_store()
    for artifact in manifest.artifacts:
        path, words = f"{run.stored}/{artifact.path}", artifact.name.replace("_", " ")
        watch = _Watch(run, beat, "send", f"Fetching the result “{words}”", may_stop=False)
        store.local(path, artifact.sha256, watch=watch)


def inputs_release(held: Sequence[Held]) -> None:
    for each in held:
        each.release()


def results_keep(run: Run, manifest: RunManifest, beat: Beat) -> None:
    """Send what a verified manifest lists. Raises `DigestError`, `StoreAway`, and what a heartbeat raises."""
    store = artifact_store()
    for artifact in manifest.artifacts:
        words = artifact.name.replace("_", " ")
        watch = _Watch(run, beat, "send", f"Sending the result “{words}”", may_stop=False)
        store.keep(f"{run.stored}/{artifact.path}", artifact.sha256, watch=watch)


def run_leave(run: Run, *, finished: bool) -> None:
    """The run has ended: its log is read elsewhere too, and a finished one needs its checkpoints no more."""
    if not settings.OUTERLOOP_ARTIFACT_STORE:
        return
    try:
        with suppress(FileNotFoundError):
            log = (run.directory / "child.log").read_bytes()
            artifact_store().note_put(f"{run.stored}/child.log", log[-LOG_BYTES:])
    except (StoreAway, StoreSettings) as error:
        logger.warning("run %s: its log stays on this machine: %s", run.id, error)
    if finished:
        _tree_drop(run)
        for folder in WORKING_FOLDERS:
            shutil.rmtree(run.directory / folder, ignore_errors=True)


def _tree_drop(run: Run) -> None:
    """Of what a job kept for the next attempt only its results are needed now, and they are on the run's row."""
    report = JobReport.objects.filter(run=run.pk).first()
    if report is None:
        return
    manifest = Run.objects.values_list("manifest", flat=True).get(pk=run.pk) or {}
    results = {f"{run.stored}/{each['path']}" for each in manifest.get("artifacts", ())}
    try:
        store = object_store()
        for path in store.below(run.stored) - results:
            store.remove(path)
    except (StoreAway, StoreSettings) as error:
        logger.warning("run %s: its checkpoints stay in the store: %s", run.id, error)
    report.delete()
