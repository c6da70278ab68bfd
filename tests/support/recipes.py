"""Start recipes as programs, kill them in the middle, and read what they left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.support.recipe_processes import Forked
from training.contracts import RunManifest

LAUNCH = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes=1", "-m"]


def recipe_start(
    module: str, spec: Path, *arguments: str, stdin: int = subprocess.DEVNULL, **environment: str
) -> subprocess.Popen[bytes]:
    """`accelerate launch -m MODULE SPEC` in a process group of its own, on one thread."""
    log = (spec.parent / "child.log").open("ab")
    with log:
        return subprocess.Popen(
            [*LAUNCH, module, str(spec), *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=stdin,
            start_new_session=True,
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "PYTHONPATH": os.getcwd(),
                **environment,
            },
        )


def recipe_run_on_two(
    module: str, spec: Path, timeout: float = 300, *, sharded: bool = False
) -> int:
    """The recipe as two processes, each with whole models or parts."""
    return Forked(module, spec, processes=2, sharded=sharded).wait(timeout)


def recipe_run(module: str, spec: Path, timeout: float = 120) -> int:
    return Forked(module, spec).wait(timeout)


def recipe_kill_after(
    module: str, spec: Path, phase: str, step: int, *, on_two: bool = False
) -> None:
    """Start a recipe and SIGKILL all of it once it has reported `step` of `phase`.

    `on_two`: as two processes with a part of the weights each.
    """
    program = Forked(module, spec, processes=2 if on_two else 1, sharded=on_two)
    deadline = time.monotonic() + (250 if on_two else 60)
    try:
        while not any(e["phase"] == phase and e["step"] >= step for e in events(spec)):
            assert program.poll() is None, (spec.parent / "child.log").read_text()
            assert time.monotonic() < deadline, "the recipe never got that far"
            time.sleep(0.01)
    finally:
        program.kill()
    assert not (spec.parent / "manifest.json").exists(), "killed too late to prove anything"


def events(spec: Path) -> list[dict[str, Any]]:
    path = spec.parent / "events.jsonl"
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def manifest(spec: Path) -> RunManifest:
    return RunManifest.from_json(json.loads((spec.parent / "manifest.json").read_text()))
