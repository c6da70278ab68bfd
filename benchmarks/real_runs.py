"""Recipes as programs of their own, by their run specs; what each took is written beside its manifest.

A run that has ended is not run again, and one that was killed goes on from its checkpoint: the spec is the
same, and the recipe does the rest.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from training.contracts import RECIPE_MODULES, InputRef, JsonContract, RunKind, RunSpec
from training.digests import path_sha256

TAKEN = "taken.json"
LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Done:
    """A run that has ended: where it lies, what it says, and what it took.

    `base_mb` is what its process held in memory when it began, before any model; `cpu_seconds` are those
    of all its threads; both of the last attempt.
    """

    directory: Path
    manifest: dict[str, Any]
    base_mb: float
    seconds: float
    cpu_seconds: float

    @property
    def results(self) -> dict[str, Any]:
        found: dict[str, Any] = self.manifest["results"]
        return found

    @property
    def peak_mb(self) -> float:
        """The most that it held, files mapped from the disk (weights that only score) included."""
        return float(self.manifest["peak_memory_mb"])

    def artifact(self, name: str) -> Path:
        paths: dict[str, str] = {each["name"]: each["path"] for each in self.manifest["artifacts"]}
        return self.directory / paths[name]

    def events(self, phase: str) -> list[dict[str, Any]]:
        return events_read(self.directory, phase)

    @property
    def took(self) -> dict[str, float]:
        return {
            "seconds": round(self.seconds),
            "cpu_seconds": round(self.cpu_seconds),
            "peak_mb": round(self.peak_mb),
            "base_mb": round(self.base_mb),
        }


def events_read(directory: Path, phase: str) -> list[dict[str, Any]]:
    lines = (directory / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["phase"] == phase]


def recipe_run(
    kind: str,
    config: JsonContract,
    inputs: Mapping[str, Path],
    directory: Path,
    *,
    seed: int,
) -> Done:
    """Run one recipe to its end; SystemExit with its log where it fails."""
    references = {name: InputRef(str(path), path_sha256(path)) for name, path in inputs.items()}
    spec = RunSpec(directory.name, cast(RunKind, kind), seed, references, config.to_json())
    path = directory / "spec.json"
    if not (directory / TAKEN).exists() or path.read_text() != _text(spec):
        directory.mkdir(parents=True, exist_ok=True)
        path.write_text(_text(spec))
        taken = _carried_out(RECIPE_MODULES[spec.kind], path)
        (directory / TAKEN).write_text(json.dumps(taken) + "\n")
    manifest = json.loads((directory / "manifest.json").read_text())
    return Done(directory, manifest, **json.loads((directory / TAKEN).read_text()))


def _text(spec: RunSpec) -> str:
    return json.dumps(spec.to_json(), indent=1, sort_keys=True) + "\n"


def _carried_out(module: str, spec: Path) -> dict[str, float]:
    began, running = time.monotonic(), Program(module, [str(spec)], spec.parent / "child.log")
    base, cpu = resident_mb(_status(running.pid)), 0.0
    while (code := running.poll()) is None:
        cpu = _cpu_seconds(running.pid) or cpu
        time.sleep(LOOK_SECONDS)
    if code != 0:
        said = running.log.read_text()[-2000:]
        raise SystemExit(f"{module} ended with {code}:\n{said}")
    seconds = time.monotonic() - began
    return {"base_mb": base, "seconds": seconds, "cpu_seconds": cpu}


class Program:
    """`python -m MODULE ARGUMENTS` in a fork of this process, which has imported torch already.

    Shaped like `subprocess.Popen`, so that a round of the product may follow it. It leads a process group.
    """

    stdin = None

    def __init__(self, module: str, arguments: Sequence[str], log: Path) -> None:
        importlib.import_module(module)
        self.log, self.code = log, None  # type: Path, int | None
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(_as_program(module, arguments, log))

    def poll(self) -> int | None:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def wait(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.05)
        return code


def _as_program(module: str, arguments: Sequence[str], log: Path) -> int:
    """Be the program until its end; returns its exit code."""
    os.setsid()
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def resident_mb(status: str) -> float:
    """What a process holds in memory, by its /proc/PID/status; 0 where it does not say."""
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _status(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return ""


def _cpu_seconds(pid: int) -> float:
    """Of the process so far, up to a look before its end."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
