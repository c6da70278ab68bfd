"""Simulated annotators that judge by a reward model nobody else in the round has, and the gate on their labels.

An annotator prefers the first text with probability sigmoid(sharpness * d), d the log-odds of a calibrated
reward model (Bradley and Terry 1952). Sharpness 1 are people who differ as much as the model expects;
more are people of one mind.
"""

from __future__ import annotations

import bisect
import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from annotation.facade import Answer, ComparisonView
from evaluation.contracts import GateMeasurements, GatePolicySettings
from evaluation.gates.outcomes import Outcome, human_labels
from evaluation.policy import gate_decide
from evaluation.statistics.betting import Aim
from training.core.data.json_lines import Message
from training.core.reward.scoring import RewardModel, reward_model_load

NAMES = tuple(f"annotator {number}" for number in range(1, 13))
# Where the noisy margin, in logits, turns a step of the scale into the next one.
SLIGHT_BELOW, MUCH_ABOVE = 1.2, 4.0
BLOCK = 8  # labels between two looks of a replayed gate


def log_odds(
    model: RewardModel, triples: Sequence[tuple[Sequence[Message], str, str]]
) -> list[float]:
    """log P(first is preferred) / P(second is), calibrated, of (messages, first, second)."""
    texts = [(messages, text) for messages, *both in triples for text in both]
    raw = model.score(texts).raw.mean(0).double()
    first, second = raw.view(-1, 2).unbind(1)
    found: list[float] = model.win_log_odds(first - second).tolist()
    return found


def logistic(dice: random.Random) -> float:
    """Standard logistic noise: d plus it is positive with probability sigmoid(d)."""
    share = min(max(dice.random(), 1e-12), 1 - 1e-12)
    return math.log(share / (1 - share))


def step_of(latent: float) -> int:
    """1 the first much better .. 7 the second much better; never a tie."""
    size = 1 + (abs(latent) >= SLIGHT_BELOW) + (abs(latent) >= MUCH_ABOVE)
    return 4 - size if latent > 0 else 4 + size


def judge_open(reward_model: Path, *, seed: int) -> Callable[[str, ComparisonView], Answer]:
    """A judge for `annotation.facade.labels_simulate`, with dice of its own for each pair."""
    model = reward_model_load(reward_model)

    def judge(name: str, shown: ComparisonView) -> Answer:
        messages = [{"role": m.role, "content": m.content} for m in shown.messages]
        dice = random.Random(f"{seed} {name} {messages} {shown.left} {shown.right}")
        margin = log_odds(model, [(messages, shown.left, shown.right)])[0]
        return Answer(values={"overall": step_of(margin + logistic(dice))}, seconds=10.0)

    return judge


# --------------------------------------------------------------------------- the gate again


@dataclass(frozen=True)
class Replay:
    """A gate on labels of annotators of one sharpness: G1's status, and the labels that it took."""

    status: str
    labels: int
    win_rate: float


def gate_replay(
    margins: Sequence[float],
    measured: GateMeasurements,
    *,
    settings: GatePolicySettings,
    aim: Aim,
    sharpness: float,
    seed: int,
) -> Replay:
    """Draw pairs with replacement out of `margins` (candidate over incumbent, log-odds), let the annotators
    judge in turns, and find the first look, after a block each, at which the win rate is decided.

    Evidence never shrinks (its maximum counts), so that the first such look is found by halving.
    """
    dice = random.Random(seed)
    outcomes = [
        Outcome(
            f"p{number}",
            f"g{number}",
            NAMES[number % len(NAMES)],
            *_seen_from_candidate(sharpness * dice.choice(margins) + logistic(dice)),
        )
        for number in range(settings.max_labels)
    ]

    def status(count: int) -> str:
        left = settings.max_labels - count
        labels = human_labels(
            outcomes[:count], settings=settings, aim=aim, labels_left=left, expired=False
        )
        check = gate_decide(replace(measured, labels=labels), settings).check("G1")
        assert check is not None
        return check.status

    looks = range(BLOCK, settings.max_labels + 1, BLOCK)
    first = bisect.bisect_left(looks, True, key=lambda count: status(count) != "UNRESOLVED")
    count = looks[min(first, len(looks) - 1)]
    rate = sum(outcome.value for outcome in outcomes[:count]) / count
    return Replay(status(count), count, rate)


def _seen_from_candidate(latent: float) -> tuple[float, float]:
    """Value and strength of an `Outcome` from the step of (candidate, incumbent)."""
    step = step_of(latent)
    return float(step < 4), (7 - step) / 6


def replays_summary(found: Sequence[Replay]) -> dict[str, Any]:
    passed = [each.labels for each in found if each.status == "PASS"]
    return {
        "replays": len(found),
        "passed": len(passed),
        "failed": sum(each.status == "FAIL" for each in found),
        "median_labels_of_passed": statistics.median(passed) if passed else None,
        "mean_win_rate": round(statistics.mean(each.win_rate for each in found), 3),
    }
