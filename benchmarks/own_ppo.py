"""This side of `benchmarks.ppo_vs_trl`: the recipe as it ships, one whole run a request.

Answers {work, updates, ends, config} with the seconds of each update, read from the run's events.
"""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.peers import Answer, Marks, answer_requests, peak_mb, peak_restart
from tests.support import ppo_runs
from training.contracts import PpoConfig
from training.core.rollout import engine
from training.core.rollout.generation import generate
from training.core.run import run_directory
from training.core.run.run_directory import Run
from training.digests import path_sha256
from training.recipes import ppo

PHASES = ("preflight", "ppo")


def run(*, work: str, updates: int, ends: bool, config: dict[str, Any]) -> Answer:
    """One run of the recipe; `ends`: texts end at EOS, else every one has the full length."""
    home = Path(work)
    inputs = {name: home / name for name in ("policy", "reward_model")}
    inputs |= {"reference": home / "policy", "prompts": home / "prompts.jsonl"}
    settings = PpoConfig.from_json(config | {"updates": updates})
    with (
        tempfile.TemporaryDirectory() as scratch,
        digests_once(),
        _no_end(not ends),
        events_marked(PHASES) as marks,
    ):
        spec = ppo_runs.write_order(Path(scratch) / "run", settings, inputs)
        peak_restart()
        if ppo.main([str(spec)]) != 0:
            raise SystemExit("The PPO run failed; its sentence stands in the log.")
        peak = peak_mb()
        metrics = [event["metrics"] for event in ppo_runs.events(spec.parent, "ppo")]
    return {
        **marks.to_json(),
        "peak_mb": peak,
        "response_length": [m["response_length"] for m in metrics],
        "phases": {
            phase: [m[f"seconds_{phase}"] for m in metrics]
            for phase in ("rollout", "score", "train")
        },
    }


_digest = functools.cache(path_sha256)


@contextlib.contextmanager
def digests_once() -> Iterator[None]:
    """Each input is read for its digest in the first turn only: billions of bytes, outside the clock."""
    with (
        mock.patch.object(ppo_runs, "path_sha256", _digest),
        mock.patch.object(run_directory, "artifact_verify", lambda path, *_: _digest(path)),
    ):
        yield


@contextlib.contextmanager
def events_marked(phases: Collection[str]) -> Iterator[Marks]:
    """Mark the moments at which the run reports events of these phases."""
    marks, original = Marks(), Run.emit

    def emit(run: Any, phase: str, *arguments: Any, **options: Any) -> None:
        original(run, phase, *arguments, **options)
        if phase in phases:
            marks.note()

    with mock.patch.object(Run, "emit", emit):
        yield marks


@contextlib.contextmanager
def _no_end(active: bool) -> Iterator[None]:
    """No token ends a text: both sides then do the same number of tokens."""
    if not active:
        yield
        return

    def endless(*arguments: Any, **options: Any) -> Any:
        return generate(*arguments, **options | {"end_ids": ()})

    with mock.patch.object(engine, "generate", endless):
        yield


if __name__ == "__main__":
    answer_requests(run)
