"""Carrying out a past run again, from its stored order, beside everything that exists.

The order names every input by its digest, the settings and the seed, so the same software on the same
kind of machine must make the same bytes. Nothing of the past run is touched, and no row is written.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings

from training.contracts import ArtifactRef, ContractError, InputRef, RunManifest, canonical_json

from .launching import child_environment, launch_command
from .models import Run, RunState
from .services import ArtifactMismatch, input_local

TOKEN = 0
STOP_SECONDS = 20.0


class ReproductionFailed(RuntimeError):
    """The run cannot be carried out again; the message says why."""


@dataclass(frozen=True)
class ArtifactComparison:
    """One artifact then and now; an empty digest stands for one that was not made."""

    name: str
    recorded: str
    again: str

    @property
    def equal(self) -> bool:
        return self.recorded == self.again != ""


@dataclass(frozen=True)
class Reproduction:
    """`differences` are (what, then, now) of software and machine; they may explain a mismatch."""

    run_id: UUID
    kind: str
    artifacts: tuple[ArtifactComparison, ...]
    differences: tuple[tuple[str, str, str], ...]
    seconds: float

    @property
    def equal(self) -> bool:
        return all(artifact.equal for artifact in self.artifacts)


def run_reproduce(*, run_id: UUID, directory: Path) -> Reproduction:
    """Carry out a finished run again in `directory`, which is emptied first, and compare.

    Raises `ReproductionFailed` where the run never finished, an input is gone or changed, or the
    program fails.
    """
    run = Run.objects.get(pk=run_id)
    if run.state != RunState.SUCCEEDED:
        raise ReproductionFailed(
            f"The run {run} is {run.get_state_display().lower()}; only a finished one can be compared."
        )
    recorded = RunManifest.from_json(run.manifest)
    _directory_prepare(run, directory)
    began = time.monotonic()
    _carry_out(run.kind, directory)
    again = _manifest(directory)
    return Reproduction(
        run_id=run.id,
        kind=run.kind,
        artifacts=artifacts_compare(recorded.artifacts, again.artifacts),
        differences=environments_compare(recorded.environment, again.environment),
        seconds=time.monotonic() - began,
    )


def _directory_prepare(run: Run, directory: Path) -> None:
    """Only a folder that an earlier reproduction made is emptied; anything else is left alone."""
    mark = directory / ".reproduction"
    if directory.exists() and any(directory.iterdir()) and not mark.exists():
        raise ReproductionFailed(f"{directory} holds other files; name an empty folder.")
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    mark.touch()
    (directory / "spec.json").write_text(canonical_json(_order(run)))
    (directory / "fence").write_text(str(TOKEN))


def _order(run: Run) -> dict[str, Any]:
    """The stored order, with its inputs where they lie now; the program checks each by its digest."""
    try:
        inputs = {
            name: {**reference, "path": str(input_local(InputRef.from_json(reference)))}
            for name, reference in run.spec["inputs"].items()
        }
    except ArtifactMismatch as error:
        raise ReproductionFailed(str(error)) from error
    return {**run.spec, "inputs": inputs}


def _carry_out(kind: str, directory: Path) -> None:
    """Run the program to its end; when this process is stopped, the program saves and ends too."""
    command = launch_command(kind, directory / "spec.json", token=TOKEN)
    with (directory / "child.log").open("wb") as log:
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=settings.BASE_DIR,
            env=child_environment(OUTERLOOP_LIFELINE="stdin"),
        )
        try:
            code = child.wait()
        finally:
            if child.stdin is not None:
                child.stdin.close()  # the program's lifeline
            if child.poll() is None:
                child.wait(timeout=STOP_SECONDS)
    if code != 0:
        raise ReproductionFailed(_last_words(directory))


def _last_words(directory: Path) -> str:
    try:
        return str(json.loads((directory / "error.json").read_text())["message"])
    except (OSError, ValueError, KeyError):
        return f"The program ended without a word; see {directory / 'child.log'}."


def _manifest(directory: Path) -> RunManifest:
    try:
        return RunManifest.from_json(json.loads((directory / "manifest.json").read_text()))
    except (OSError, ValueError, ContractError) as error:
        raise ReproductionFailed(
            f"The program left no manifest that can be read: {error}"
        ) from error


def artifacts_compare(
    recorded: tuple[ArtifactRef, ...], again: tuple[ArtifactRef, ...]
) -> tuple[ArtifactComparison, ...]:
    """Every artifact of either side by its name, in the order of the record."""
    then = {artifact.name: artifact.sha256 for artifact in recorded}
    now = {artifact.name: artifact.sha256 for artifact in again}
    return tuple(
        ArtifactComparison(name, then.get(name, ""), now.get(name, "")) for name in {**then, **now}
    )


def environments_compare(
    recorded: Mapping[str, Any], again: Mapping[str, Any]
) -> tuple[tuple[str, str, str], ...]:
    """(what, then, now) of every version and every fact of the machine that differs."""
    then, now = _flat(recorded), _flat(again)
    return tuple(
        (name, then.get(name, "not recorded"), now.get(name, "not recorded"))
        for name in sorted({**then, **now})
        if then.get(name) != now.get(name)
    )


def _flat(environment: Mapping[str, Any]) -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in environment.items():
        if isinstance(value, Mapping):
            flat |= {inner: str(found) for inner, found in value.items()}
        else:
            flat[name] = str(value)
    return flat
