"""Asking the program that trains a reward head on users' signals: the site itself loads no model.

What users said goes to it through a file without a name and comes back as figures, so that nothing is left that
erasing would have to find.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from evaluation.contracts import SignalOpinion
from training import facade as training

__all__ = ["signal_opinion_ask"]

PROGRAM = "evaluation.recipes.signal_opinion"
PATIENCE = 1_800.0
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
    found = training.program_ask(
        PROGRAM, given=json.dumps(order).encode(), beat=beat, seconds=PATIENCE
    )
    if found.code == 0:
        return SignalOpinion.from_json(json.loads(found.output))
    return SignalOpinion(_why(found.code, found.log.decode(errors="replace")))


def _why(code: int | None, log: str) -> str:
    """No line of the log but its last, which names an error: the others may hold texts."""
    if code is None:
        return f"The program had not ended after {PATIENCE / 60:.0f} minutes."
    if code < 0:
        return f"The program was ended from outside (signal {-code}), as happens where memory is short."
    last = (log.strip().splitlines() or ["it said nothing"])[-1]
    return f"The program broke off: {last[:LONGEST]}"
