"""Copies of a run's metrics go to trackers, and nothing that a tracker does touches the run."""

from __future__ import annotations

import sys
import threading
import types
import uuid
from pathlib import Path
from typing import Any

import pytest
from accelerate import tracking

from tests.support import optimiser_runs, ppo_runs
from tests.support.optimiser_runs import write_inputs
from training.contracts import RunEvent, RunSpec
from training.core.run import trackers
from training.core.run.errors import UserError
from training.core.run.trackers import Trackers, flat, trackers_wanted

SPEC = RunSpec(str(uuid.UUID(int=7)), "ppo", 3, {}, {"kl": {"beta": 0.1}, "stop": None, "on": True})


class Recorded:
    """Stands in for the library's side of one of accelerate's trackers."""

    made: list[Recorded] = []

    def __init__(self, *names: Any, **options: Any) -> None:
        self.names, self.options, self.ended = names, options, False
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.main_process_only = True
        Recorded.made.append(self)

    def start(self) -> None:
        assert not self.main_process_only, "accelerate would join the processes of the run"

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.configuration = values

    def log(self, values: dict[str, float], step: int) -> None:
        self.rows.append((step, values))

    def finish(self) -> None:
        self.ended = True


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Recorded]:
    Recorded.made = []
    for name in ("TensorBoardTracker", "WandBTracker", "MLflowTracker"):
        monkeypatch.setattr(tracking, name, Recorded)
    return Recorded.made


def event(seq: int, step: int, **metrics: float | None) -> RunEvent:
    return RunEvent(seq, "2026-01-01T00:00:00Z", "ppo", step, 9, metrics)


def shown(name: str, tmp_path: Path, *events: RunEvent) -> list[str]:
    """What is told of a tracker that gets these events."""
    told = list[str]()
    copies = Trackers((name,), SPEC, tmp_path, told.append)
    for each in events:
        copies.show(each)
    copies.close()
    copies.tell()
    copies.tell()
    return told


def test_metrics_go_out_with_their_phase_and_step(recorded: list[Recorded], tmp_path: Path) -> None:
    events = event(5, 1, kl=0.5, held_out=None), event(6, 2), event(7, 2, kl=0.7)
    assert shown("tensorboard", tmp_path, *events) == []
    (tracker,) = recorded
    assert tracker.rows == [(1, {"ppo/kl": 0.5}), (2, {"ppo/kl": 0.7})]
    assert tracker.configuration == {"kind": "ppo", "seed": 3, "kl.beta": 0.1, "on": True}
    assert tracker.names == ("tensorboard", tmp_path)
    assert tracker.ended


def test_weights_and_biases_goes_on_with_the_same_run_by_steps_that_never_fall(
    recorded: list[Recorded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "lab")
    shown("wandb", tmp_path, event(5, 1, kl=0.5))
    (tracker,) = recorded
    assert tracker.rows == [(5, {"ppo/kl": 0.5, "ppo/step": 1})]
    assert (tracker.names, tracker.options["id"]) == (("lab",), SPEC.run_id)
    assert (tracker.options["resume"], tracker.options["dir"]) == ("allow", str(tmp_path))


@pytest.mark.parametrize("earlier", [[], ["found"]])
def test_mlflow_goes_on_with_the_run_of_an_earlier_attempt(
    recorded: list[Recorded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earlier: list[str]
) -> None:
    asked = []

    def search_runs(**query: Any) -> list[Any]:
        asked.append(query)
        return [types.SimpleNamespace(info=types.SimpleNamespace(run_id=each)) for each in earlier]

    library = types.SimpleNamespace(search_runs=search_runs)
    monkeypatch.setitem(sys.modules, "mlflow", library)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://runs:5000")
    assert shown("mlflow", tmp_path, event(5, 1, kl=0.5)) == []
    assert asked[0]["filter_string"] == f"tags.outerloop_run = '{SPEC.run_id}'"
    assert recorded[0].options["run_id"] == (earlier[0] if earlier else None)
    assert recorded[0].options["tags"] == {"outerloop_run": SPEC.run_id}


def test_a_tracker_that_breaks_is_told_of_once_and_gets_no_more(
    recorded: list[Recorded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ConnectionError("The server is away.\nAnd more.")

    monkeypatch.setattr(Recorded, "log", broken)
    (said,) = shown("tensorboard", tmp_path, event(1, 1, kl=0.5), event(2, 2, kl=0.5))
    assert said == (
        "No metrics go to tensorboard any more: ConnectionError: The server is away.. The run goes on."
    )


def test_a_missing_library_or_address_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setitem(sys.modules, "mlflow", types.SimpleNamespace())
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert "wandb" in shown("wandb", tmp_path, event(1, 1, kl=0.5))[0]
    assert "MLFLOW_TRACKING_URI is not set" in shown("mlflow", tmp_path, event(1, 1, kl=0.5))[0]


def test_one_that_hangs_is_left_behind_and_fills_no_memory(
    recorded: list[Recorded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = threading.Event()
    monkeypatch.setattr(Recorded, "start", lambda self: away.wait())
    monkeypatch.setattr(trackers, "ENDING_SECONDS", 0.05)
    monkeypatch.setattr(trackers, "WAITING", 3)
    (said,) = shown("tensorboard", tmp_path, event(1, 1, kl=0.5))
    assert "did not end within 0 s" in said
    (said,) = shown("tensorboard", tmp_path, *(event(n, n, kl=0.5) for n in range(1, 9)))
    assert "3 rows wait for it" in said
    away.set()


def test_an_unknown_tracker_is_refused_with_those_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OUTERLOOP_TRACKERS", "wandb, neptune")
    with pytest.raises(UserError, match="'neptune'; there are tensorboard, wandb, mlflow"):
        trackers_wanted()
    monkeypatch.setenv("OUTERLOOP_TRACKERS", " mlflow ,wandb")
    assert trackers_wanted() == ("mlflow", "wandb")


def test_settings_are_flat_and_what_is_not_set_is_left_out() -> None:
    assert flat({"a": {"b": [1, 2], "c": None}, "d": "e"}) == {"a.b": "[1, 2]", "d": "e"}


def test_a_run_shows_its_rows_and_ends_as_without(
    recorded: list[Recorded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = write_inputs(tmp_path / "inputs")
    monkeypatch.setenv("OUTERLOOP_TRACKERS", "tensorboard,mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setitem(sys.modules, "mlflow", types.SimpleNamespace())
    config = ppo_runs.tiny_config(updates=2)
    assert optimiser_runs.run("ppo", tmp_path / "run", inputs, config) == 0
    rows = [values for _, values in recorded[0].rows if "ppo/kl_exact" in values]
    assert len(rows) == 2
    said = [each["message"] for each in ppo_runs.events(tmp_path / "run", "trackers")]
    assert len(said) == 1
    assert "MLFLOW_TRACKING_URI" in said[0]
