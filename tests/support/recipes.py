"""Start recipes as programs, kill them in the middle, and read what they left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

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


def recipe_start_on_two(
    module: str, spec: Path, *, sharded: bool = False
) -> subprocess.Popen[bytes]:
    """The recipe as two processes on the CPU, which speak through gloo, each with whole models or parts.

    The variables are those of `accelerate launch --config_file training/configs/cpu-two-fsdp.yaml`.
    """
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    environment = {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "PYTHONPATH": os.getcwd()}
    if sharded:
        environment |= {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}
    with (spec.parent / "child.log").open("ab") as log:
        return subprocess.Popen(
            [*command, "-m", module, str(spec)],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **environment},
        )


def recipe_run_on_two(
    module: str, spec: Path, timeout: float = 300, *, sharded: bool = False
) -> int:
    process = recipe_start_on_two(module, spec, sharded=sharded)
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        recipe_kill(process, spec)
        raise


def recipe_kill(process: subprocess.Popen[bytes], spec: Path) -> None:
    """SIGKILL the launcher and everything it started for this run; those have sessions of their own."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(spec).encode() in path.read_bytes().split(b"\0"):
                os.kill(int(path.parent.name), signal.SIGKILL)
    process.wait()


def recipe_run(module: str, spec: Path, *arguments: str, timeout: float = 120) -> int:
    return recipe_start(module, spec, *arguments).wait(timeout)


def recipe_kill_after(
    module: str, spec: Path, phase: str, step: int, *, on_two: bool = False
) -> None:
    """Start a recipe and SIGKILL all of it once it has reported `step` of `phase`.

    `on_two`: as two processes with a part of the weights each.
    """
    start = partial(recipe_start_on_two, sharded=True) if on_two else recipe_start
    process = start(module, spec)
    deadline = time.monotonic() + (250 if on_two else 60)
    while not any(e["phase"] == phase and e["step"] >= step for e in events(spec)):
        assert process.poll() is None, (spec.parent / "child.log").read_text()
        assert time.monotonic() < deadline, "the recipe never got that far"
        time.sleep(0.01)
    recipe_kill(process, spec)
    assert not (spec.parent / "manifest.json").exists(), "killed too late to prove anything"


def events(spec: Path) -> list[dict[str, Any]]:
    path = spec.parent / "events.jsonl"
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def manifest(spec: Path) -> RunManifest:
    return RunManifest.from_json(json.loads((spec.parent / "manifest.json").read_text()))
