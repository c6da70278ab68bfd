"""Whether a model fits, asked of the learning programs: the site itself loads no model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .asking import program_ask

MODULE = "training.recipes.check_model"
FITS, FITS_NOT = 0, 2
PATIENCE = 1_800.0
LONGEST = 8_000


class ModelUnfit(ValueError):
    """The model cannot be a policy; the message holds what does not fit, each with its fix."""


def model_check(folder: Path, *, length: int, beat: Callable[[], None]) -> str:
    """What `check_model` says of the folder as a policy for texts of `length` tokens, a line a check.

    Takes seconds to minutes, in a program of its own; `beat` is called meanwhile, and what it raises ends
    the program. Raises `ModelUnfit`, also where the program was ended from outside.
    """
    words = [str(folder), "--length", str(length)]
    found = program_ask(MODULE, words, beat=beat, seconds=PATIENCE)
    code = found.code
    if code is None:
        raise ModelUnfit(f"The check had not ended after {PATIENCE / 60:.0f} minutes.")
    text = (found.output + found.log).decode(errors="replace").replace("\0", "")
    checks = [line for line in text.splitlines() if line.startswith(("ok   ", "BAD  "))]
    if code == FITS:
        return "\n".join(checks)
    if code == FITS_NOT and (wrong := [line[5:] for line in checks if line.startswith("BAD  ")]):
        reasons = " ".join(wrong)[:LONGEST].replace("--length", "the plan's longest text")
        raise ModelUnfit(f"The model in {folder} does not fit. {reasons}")
    if code < 0:
        raise ModelUnfit(
            f"The check of {folder} was ended from outside (signal {-code}), as happens where memory is"
            " short: let a worker with more of it serve the queue gpu, and ask again."
        )
    last = text.strip().splitlines()[-1:] or ["it said nothing"]
    raise ModelUnfit(f"The check of {folder} broke off: {last[0][:LONGEST]}")
