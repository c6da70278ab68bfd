"""Numbers, intervals, dates and the machine's words, written one way wherever people read them.

Standard library and contracts only, so that the gate's sentences and the pages share it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from evaluation.contracts import Interval

NOT_MEASURED = "not measured"
# What figures, settings and programs are called; whatever is missing loses its underscores.
NAMES = {
    "best_of_n": "best of n",
    "distinct_1": "distinct words",
    "distinct_2": "distinct word pairs",
    "distinct_2_within": "distinct word pairs within a prompt",
    "dpo": "DPO",
    "eos": "end of text",
    "evaluate_policy": "policy evaluation",
    "evaluate_reward_model": "reward model evaluation",
    "init": "starting point",
    "kl": "KL",
    "lora": "LoRA",
    "lr": "learning rate",
    "nll": "negative log-likelihood",
    "ppo": "PPO",
    "reward_held_out": "reward by the held-out model",
    "reward_train": "reward by the training model",
    "sft": "supervised fine-tuning",
}
_MACHINE_WORD = re.compile(r"\b[a-z][a-z0-9]*(?:_[a-z0-9]+)+\b")


def share(found: Interval | None, digits: int = 0) -> str:
    """58% (54% to 62%)"""
    if found is None:
        return NOT_MEASURED
    low, point, high = (f"{v:.{digits}%}" for v in (found.low, found.estimate, found.high))
    return f"{point} ({low} to {high})"


def number(found: Interval | None, unit: str = "", digits: int = 2) -> str:
    """1.25 (1.10 to 1.40) nats"""
    if found is None:
        return NOT_MEASURED
    low, point, high = (f"{v:.{digits}f}" for v in (found.low, found.estimate, found.high))
    return f"{point} ({low} to {high}) {unit}".rstrip()


def points(difference: Interval) -> str:
    """+1.2 points (-0.4 to +2.8): a difference of two shares"""
    point, interval = signed_points(difference).split(" ", 1)
    return f"{point} points {interval}"


def signed_points(difference: Interval) -> str:
    """+1.2 (-0.4 to +2.8): the same where a heading names the unit"""
    low, point, high = (
        f"{100 * v + 0.0:+.1f}" for v in (difference.low, difference.estimate, difference.high)
    )
    return f"{point} ({low} to {high})"


def plain(value: float | None, digits: int = 2) -> str:
    return NOT_MEASURED if value is None else f"{value:.{digits}f}"


def count(amount: int, thing: str) -> str:
    """1 label, 2 labels, 1,200 labels"""
    return f"{amount:,} {thing}" if amount == 1 else f"{amount:,} {thing}s"


def rounds_called(numbers: Sequence[int]) -> str:
    """round 4; rounds 1, 2 and 4; 7 rounds from 1 to 9"""
    if len(numbers) == 1:
        return f"round {numbers[0]}"
    if len(numbers) > 3:
        return f"{len(numbers)} rounds from {min(numbers)} to {max(numbers)}"
    return f"rounds {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def when(iso: str) -> str:
    """21 Nov 2026, 02:10 UTC; what is no date is shown as it came."""
    moment = moment_of(iso)
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC" if moment else iso


def moment_of(iso: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(iso)
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def short(name: str) -> str:
    """A UUID by its first eight characters, any other name whole."""
    try:
        return str(UUID(name))[:8]
    except ValueError:
        return name


def called(name: str) -> str:
    """What a figure, a setting or a program is called: reward_held_out -> reward by the held-out model."""
    return NAMES.get(name) or name.replace("_", " ")


def setting_called(path: str) -> str:
    """A dotted setting in words: ppo.kl.beta -> PPO › KL › beta."""
    return " › ".join(called(part) for part in path.split("."))


def in_words(text: str) -> str:
    """A sentence whose machine words are replaced by what they are called."""
    return _MACHINE_WORD.sub(lambda word: called(word[0]), text)
