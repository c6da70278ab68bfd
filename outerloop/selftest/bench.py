"""Where the self-test's learning programs run: each order in a folder named by what it asks for.

What is finished is only read, what was interrupted goes on from its last checkpoint: the recipes see to
both. The programs share one process, which is started at the first order and ended with the bench.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from training.contracts import (
    RECIPE_MODULES,
    AttemptError,
    InputRef,
    JsonContract,
    RunEvent,
    RunKind,
    RunManifest,
    RunSpec,
    json_sha256,
)
from training.digests import path_sha256
from web.files import file_write

Told = Callable[[str], None]
LOOK_SECONDS = 1.0
WORDS: dict[RunKind, str] = {
    "sft": "first policy",
    "sample_pairs": "answers to compare",
    "reward_model": "reward model",
    "ppo": "PPO",
    "evaluate_reward_model": "evaluation of the reward model",
    "evaluate_policy": "evaluation of the policy",
}


class LearningFailed(Exception):
    """A program of the self-test ended without its result; the sentence says which, and where it lies."""


@dataclass(frozen=True)
class Finished:
    """A run that is done."""

    directory: Path
    manifest: RunManifest

    def artifact(self, name: str) -> Path:
        return self.directory / self.manifest.artifact(name).path

    def document(self, name: str) -> Any:
        return json.loads(self.artifact(name).read_text(encoding="utf-8"))

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Of an artifact of JSON lines."""
        return rows_read(self.artifact(name))

    def events(self, phase: str) -> list[RunEvent]:
        lines = (self.directory / "events.jsonl").read_text(encoding="utf-8").splitlines()
        events = [RunEvent.from_json(json.loads(line)) for line in lines]
        return [event for event in events if event.phase == phase]


@dataclass
class Bench:
    """`tell` hears what is being done."""

    work: Path
    tell: Told = lambda _: None
    _child: subprocess.Popen[str] | None = field(default=None, repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None

    def run(
        self, kind: RunKind, seed: int, inputs: Mapping[str, Path], config: JsonContract
    ) -> Finished:
        """Carry out one order, or read what it left. Raises `LearningFailed`."""
        references = {
            name: InputRef(str(path.resolve()), path_sha256(path)) for name, path in inputs.items()
        }
        asked = [kind, seed, {n: r.sha256 for n, r in references.items()}, config.to_json()]
        directory = self.work / f"{kind}-{json_sha256(asked)[:16]}"
        manifest = directory / "manifest.json"
        if not manifest.exists():
            self.tell(WORDS[kind])
            spec = RunSpec(directory.name, kind, seed, references, config.to_json())
            file_write(directory / "spec.json", json.dumps(spec.to_json()))
            self._carry_out(kind, directory)
        return Finished(directory, RunManifest.from_json(json.loads(manifest.read_text())))

    def rows(self, name: str, rows: Iterable[Mapping[str, Any]]) -> Path:
        """JSON lines under a name of their own content."""
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        path = self.work / "inputs" / f"{name}-{json_sha256(text)[:16]}.jsonl"
        if not path.exists():
            file_write(path, text)
        return path

    def _carry_out(self, kind: RunKind, directory: Path) -> None:
        child = self._running()
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(f"{RECIPE_MODULES[kind]} {directory / 'spec.json'}\n")
        child.stdin.flush()
        while not select.select([child.stdout], [], [], LOOK_SECONDS)[0]:
            self.tell(", ".join(filter(None, [WORDS[kind], _progress(directory)])))
        answer = child.stdout.readline()
        if answer.strip() != "0":
            raise LearningFailed(_why(kind, directory, self._log))

    @property
    def _log(self) -> Path:
        return self.work / "learning.log"

    def _running(self) -> subprocess.Popen[str]:
        """The child; in a session of its own, so that Ctrl-C reaches nobody but this process."""
        if self._child is None or self._child.poll() is not None:
            self.work.mkdir(parents=True, exist_ok=True)
            with self._log.open("a") as log:
                self._child = subprocess.Popen(
                    [sys.executable, "-m", "outerloop.selftest.child"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    start_new_session=True,
                    env=_environment(),
                )
        return self._child


def rows_read(path: Path) -> list[dict[str, Any]]:
    """JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _progress(directory: Path) -> str:
    """The last step that the program reported; empty before the first, or while a line is half written."""
    path = directory / "events.jsonl"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        event = RunEvent.from_json(json.loads(lines[-1]))
    except (OSError, ValueError, IndexError):
        return ""
    return f"step {event.step} of {event.total_steps}" if event.total_steps > 1 else ""


def _environment() -> dict[str, str]:
    """No accelerator and one thread: what is tiny is slower on more; PYTHONPATH as this process has it."""
    return os.environ | {
        "ACCELERATE_USE_CPU": "true",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        "OUTERLOOP_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }


def _why(kind: str, directory: Path, log: Path) -> str:
    path = directory / "error.json"
    said = "it was ended from outside"
    if path.exists():
        said = AttemptError(**json.loads(path.read_text())).message
    return f"The self-test's program {kind!r} failed: {said} Its log is {log}."
