"""Live copies of a run's metrics in TensorBoard, Weights & Biases and MLflow, by accelerate's own classes.

OUTERLOOP_TRACKERS names them; each needs its library. The record of a run is its events.jsonl: a tracker
that is missing, breaks or hangs costs its copies, is told of once, and holds the run up by nothing but the
few seconds in which it is given leave to end.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.contracts import TRACKERS, RunEvent, RunSpec
from training.core.run.errors import UserError

__all__ = ["Trackers", "trackers_wanted"]

VARIABLE = "OUTERLOOP_TRACKERS"
PROJECT = "outerloop"
WAITING, ENDING_SECONDS = 10_000, 15.0


def trackers_wanted() -> tuple[str, ...]:
    """The trackers that the environment names; raises `UserError` for one that there is not."""
    names = tuple(filter(None, map(str.strip, os.environ.get(VARIABLE, "").split(","))))
    for name in names:
        if name not in TRACKERS:
            raise UserError(f"{VARIABLE} names {name!r}; there are {', '.join(TRACKERS)}.")
    return names


@dataclass
class Trackers:
    """A thread of its own for each, which starts with the first metrics: by then the processes of a run have
    met, and nothing here takes part in that."""

    names: Sequence[str]
    spec: RunSpec
    directory: Path
    told: Callable[[str], object]
    copies: dict[str, _Copy] = field(default_factory=dict)

    def show(self, event: RunEvent) -> None:
        """Hand the metrics of an event on; at once, whatever the trackers do."""
        values = {name: value for name, value in event.metrics.items() if value is not None}
        if not values:
            return
        for name in self.names:
            if name not in self.copies:
                self.copies[name] = _Copy(name, self.spec, self.directory)
            self.copies[name].take(event, values)
        self.tell()

    def close(self) -> None:
        """Let each write what it has; one that takes longer than some seconds is left behind."""
        for copy in self.copies.values():
            copy.end()
        deadline = time.monotonic() + ENDING_SECONDS
        for copy in self.copies.values():
            copy.wait(max(0.0, deadline - time.monotonic()))

    def tell(self) -> None:
        """Say once of each that failed why."""
        for name, copy in self.copies.items():
            if copy.trouble and not copy.told:
                copy.told = True
                self.told(f"No metrics go to {name} any more: {copy.trouble} The run goes on.")


class _Copy:
    """One tracker in one thread."""

    def __init__(self, name: str, spec: RunSpec, directory: Path) -> None:
        self.name, self.trouble, self.told = name, "", False
        self._waiting: queue.Queue[tuple[RunEvent, Mapping[str, float]] | None] = queue.Queue(
            WAITING
        )
        self._thread = threading.Thread(
            target=self._work, args=(spec, directory), name=f"tracker {name}", daemon=True
        )
        self._thread.start()

    def take(self, event: RunEvent, values: Mapping[str, float]) -> None:
        if self.trouble:
            return
        try:
            self._waiting.put_nowait((event, values))
        except queue.Full:
            self.trouble = f"{WAITING} rows wait for it."

    def end(self) -> None:
        try:
            self._waiting.put_nowait(None)
        except queue.Full:
            self.trouble = self.trouble or f"{WAITING} rows wait for it."

    def wait(self, seconds: float) -> None:
        self._thread.join(seconds)
        if self._thread.is_alive() and not self.trouble:
            self.trouble = f"it did not end within {ENDING_SECONDS:.0f} s."

    def _work(self, spec: RunSpec, directory: Path) -> None:
        try:
            tracker = _opened(self.name, spec, directory)
            while (item := self._waiting.get()) is not None:
                event, values = item
                tracker.log(
                    {f"{event.phase}/{name}": value for name, value in values.items()}
                    | ({f"{event.phase}/step": event.step} if self.name == "wandb" else {}),
                    # Weights & Biases wants steps that never fall; a phase has its own there as a value.
                    step=event.seq if self.name == "wandb" else event.step,
                )
            tracker.finish()
        except Exception as error:  # whatever a library or a server far away does
            said = str(error).strip().splitlines()
            self.trouble = f"{type(error).__name__}: {said[0] if said else 'no reason given'}."


def _opened(name: str, spec: RunSpec, directory: Path) -> Any:
    tracker = _OPENERS[name](spec, directory)
    tracker.main_process_only = False  # only the main process comes here; accelerate is not asked
    tracker.start()
    tracker.store_init_configuration(flat({"kind": spec.kind, "seed": spec.seed, **spec.config}))
    return tracker


def _tensorboard(spec: RunSpec, directory: Path) -> Any:
    from accelerate.tracking import TensorBoardTracker

    return TensorBoardTracker("tensorboard", directory)


def _wandb(spec: RunSpec, directory: Path) -> Any:
    from accelerate.tracking import WandBTracker

    return WandBTracker(
        os.environ.get("WANDB_PROJECT", PROJECT),
        id=str(spec.run_id),
        name=_title(spec),
        group=spec.kind,
        resume="allow",
        dir=str(directory),
    )


def _mlflow(spec: RunSpec, directory: Path) -> Any:
    import mlflow
    from accelerate.tracking import MLflowTracker

    if not os.environ.get("MLFLOW_TRACKING_URI"):
        raise UserError("MLFLOW_TRACKING_URI is not set; name the server or folder that takes runs")
    experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
    earlier = mlflow.search_runs(
        experiment_names=[experiment],
        filter_string=f"tags.outerloop_run = '{spec.run_id}'",
        output_format="list",
    )
    return MLflowTracker(
        experiment,
        run_id=earlier[0].info.run_id if earlier else None,
        run_name=_title(spec),
        tags={"outerloop_run": str(spec.run_id)},
    )


_OPENERS: Mapping[str, Callable[[RunSpec, Path], Any]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
}


def _title(spec: RunSpec) -> str:
    return f"{spec.kind} {str(spec.run_id)[:8]}"


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, bool | int | float | str]:
    """Nested settings as `outer.inner`; lists as text, what is not set left out."""
    found: dict[str, bool | int | float | str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        elif isinstance(value, bool | int | float | str):
            found[f"{prefix}{name}"] = value
        elif value is not None:
            found[f"{prefix}{name}"] = str(value)
    return found
