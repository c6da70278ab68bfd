"""Asking the program that trains a reward head on users' signals: the site itself loads no model.

What users said goes to it through a file without a name and comes back as figures, so that nothing is left that
erasing would have to find.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings

from evaluation.contracts import SignalOpinion
from training import facade as training

__all__ = ["signal_opinion_ask"]

PROGRAM = "evaluation.recipes.signal_opinion"
PATIENCE = 1_800.0
POLL = 0.2
LONGEST = 300


def signal_opinion_ask(
    *,
    reward_model: Path,
    preferences: Path,
    examples: Sequence[dict[str, Any]],
    beat: Callable[[], None],
) -> SignalOpinion:
    """What the program finds. Seconds to minutes; `beat` is called meanwhile, and what it raises ends the
    program. Where the program fails, an opinion with the `problem`."""
    order = {
        "reward_model": str(reward_model),
        "preferences": str(preferences),
        "examples": list(examples),
    }
    with (
        tempfile.TemporaryFile() as asked,
        tempfile.TemporaryFile() as said,
        tempfile.TemporaryFile() as log,
    ):
        asked.write(json.dumps(order).encode())
        asked.seek(0)
        program = subprocess.Popen(
            [sys.executable, "-m", PROGRAM],
            stdin=asked,
            stdout=said,
            stderr=log,
            cwd=settings.BASE_DIR,
            env=training.child_environment(),
        )
        try:
            code = _ended(program, beat)
        finally:
            if program.poll() is None:
                program.kill()
                program.wait()
        said.seek(0)
        log.seek(0)
        if code == 0:
            return SignalOpinion.from_json(json.loads(said.read()))
        return SignalOpinion(_why(code, log.read().decode(errors="replace")))


def _ended(program: subprocess.Popen[bytes], beat: Callable[[], None]) -> int | None:
    """The exit code; None where it has not ended in its time."""
    until = time.monotonic() + PATIENCE
    while (code := program.poll()) is None and time.monotonic() < until:
        beat()
        time.sleep(POLL)
    return code


def _why(code: int | None, log: str) -> str:
    """No line of the log but its last, which names an error: the others may hold texts."""
    if code is None:
        return f"The program had not ended after {PATIENCE / 60:.0f} minutes."
    if code < 0:
        return f"The program was ended from outside (signal {-code}), as happens where memory is short."
    last = (log.strip().splitlines() or ["it said nothing"])[-1]
    return f"The program broke off: {last[:LONGEST]}"
