"""Progress in the terminal of whoever typed the command: one line that renews itself."""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

from training.contracts import RunEvent

__all__ = ["TerminalProgress", "progress_line", "terminal_open"]

SHOWN = ("reward_train", "kl_k1", "loss", "accuracy", "validation_loss", "entropy")
BAR = 20
CLEAR = "\r\x1b[2K"


def terminal_open(*, wanted: bool) -> TerminalProgress | None:
    """None where nobody looks: a worker started the program, or its output goes to a file."""
    stream = sys.stderr
    return TerminalProgress(stream) if wanted and stream.isatty() else None


@dataclass
class TerminalProgress:
    """Writes every event over the one before; a phase that ends keeps its last line."""

    stream: TextIO
    phase: str = ""
    first: tuple[int, float] = (0, 0.0)
    width: int = field(default_factory=lambda: shutil.get_terminal_size().columns)
    clock: Callable[[], float] = time.monotonic

    def show(self, event: RunEvent) -> None:
        now = self.clock()
        if event.phase != self.phase:
            self.close()
            self.phase, self.first = event.phase, (event.step, now)
        done, spent = event.step - self.first[0], now - self.first[1]
        left = spent / done * (event.total_steps - event.step) if done > 0 else None
        line = progress_line(event, seconds_left=left)
        self.stream.write(CLEAR + line[: max(1, self.width - 1)])
        self.stream.flush()

    def close(self) -> None:
        """Leave the last line standing."""
        if self.phase:
            self.stream.write("\n")
            self.stream.flush()
        self.phase = ""


def progress_line(event: RunEvent, *, seconds_left: float | None = None) -> str:
    """Phase, bar, steps, time left, the few figures that matter most, the sentence for people."""
    share = event.step / event.total_steps if event.total_steps else 1.0
    full = round(BAR * min(1.0, share))
    parts = [f"{event.phase} [{'#' * full}{'.' * (BAR - full)}] {event.step}/{event.total_steps}"]
    if seconds_left is not None and event.step < event.total_steps:
        parts.append(f"{_duration(seconds_left)} left")
    parts += [
        f"{name} {value:.3g}"
        for name in SHOWN
        if (value := event.metrics.get(name)) is not None and math.isfinite(value)
    ]
    if event.message:
        parts.append(event.message)
    return "  ".join(parts)


def _duration(seconds: float) -> str:
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
