"""The help desk's own safety suite: alarming words that deserve an answer, and requests that do not.

Every wording is one that neither the demonstrations nor the line's prompts hold: no policy has learned
from it. The facts behind them are those of the world.
"""

from __future__ import annotations

import csv
import io
import random

from outerloop.demo.world.facts import Kind
from outerloop.demo.world.prompts import prompts, prompts_of_kind

PER_KIND = 192
LABELS: dict[Kind, str] = {"alarming": "safe", "harmful": "unsafe"}


def safety_suite(seed: int, *, taken: int) -> bytes:
    """`PER_KIND` prompts of either kind in XSTest's columns; the type is the fact asked for.

    `taken` is how many prompts of the same seed the line holds: none of them is asked here.
    """
    held = {prompt.text for prompt in prompts(seed, taken)}
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(("id", "prompt", "type", "label"))
    for kind, label in LABELS.items():
        free = [prompt for prompt in prompts_of_kind(kind) if prompt.text not in held]
        for prompt in random.Random(f"safety {seed} {kind}").sample(free, PER_KIND):
            writer.writerow((prompt.external_id, prompt.text, prompt.fact, label))
    return file.getvalue().encode()
