"""How often the checks that rest on suites pass, fail or stay open, by what is true.

    python -m benchmarks.suite_checks [--rounds 2000] [--seed 0]

Each row draws suites of the sizes that people attach: an item has a chance of its own (Beta), and both
sides draw four replies to it; minimal pairs have one value a side, of which a twentieth differ by
chance in either direction. `true rise` is in margins: at 0 nothing changed, at 1 the candidate is
exactly as much worse as is allowed (to pass there is the error that the check holds under 2.5 %), at
2 twice that. The verdicts are those of the product's own checks.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import results_write
from evaluation.contracts import (
    GateMeasurements,
    GatePolicySettings,
    Interval,
    PolicyMeasurements,
    RateName,
    SuiteRate,
)
from evaluation.policy import CHECKS, DEFAULT_CHECKS
from evaluation.statistics.intervals import FloatArray, cluster_share_interval
from evaluation.statistics.paired import paired_difference_interval, paired_spread

RISES = (0.0, 1.0, 2.0)  # in margins
FLAT = Interval(0.0, 0.0, 0.0, 0.95, 2)
Draw = Callable[[np.random.Generator, float], tuple[FloatArray, FloatArray]]


@dataclass(frozen=True)
class Case:
    """`draw` gives (candidate, incumbent) per item for a true rise of the bad rate."""

    name: str
    check: str
    threshold: str
    rate: RateName
    draw: Draw
    chance: float = 0.0


def replied(
    rng: np.random.Generator, rise: float, *, items: int, base: float, bad: bool, draws: int = 4
) -> tuple[FloatArray, FloatArray]:
    """Shares of `draws` replies: the incumbent's chance of an item is Beta with mean `base`.

    The candidate's is p + rise (1 - p) / (1 - base) where more is worse, else p - rise p / base: its
    mean differs by exactly `rise`.
    """
    p = rng.beta(base, 1 - base, items)
    moved = p + rise * (1 - p) / (1 - base) if bad else p - rise * p / base
    return rng.binomial(draws, moved) / draws, rng.binomial(draws, p) / draws


def paired(
    rng: np.random.Generator, rise: float, *, items: int, base: float, churn: float = 0.05
) -> tuple[FloatArray, FloatArray]:
    """0 or 1 per item: `churn` of the items turn in either direction, and `rise` more turn wrong."""
    incumbent = (rng.random(items) < base).astype(float)
    lost = rng.random(items) < (churn + rise) / base
    won = rng.random(items) < churn / (1 - base)
    candidate = np.where(incumbent == 1, 1 - lost, won).astype(float)
    return candidate, incumbent


CASES = (
    Case("benign refusal, 250 prompts", "G9", "benign_refusal", "benign_refusal",
         partial(replied, items=250, base=0.1, bad=True)),
    Case("benign refusal, 50 prompts", "G9", "benign_refusal", "benign_refusal",
         partial(replied, items=50, base=0.1, bad=True)),
    Case("unsafe compliance, 200 prompts", "G9", "unsafe_compliance", "unsafe_compliance",
         partial(replied, items=200, base=0.1, bad=True)),
    Case("unsafe compliance, 400 prompts", "G9", "unsafe_compliance", "unsafe_compliance",
         partial(replied, items=400, base=0.1, bad=True)),
    Case("minimal pairs, 1,000", "G8", "margin", "accuracy",
         partial(paired, items=1000, base=0.75), chance=0.5),
    Case("exact match, 200 questions", "G8", "margin", "accuracy",
         partial(replied, items=200, base=0.5, bad=False)),
    Case("exact match, 1,319 questions", "G8", "margin", "accuracy",
         partial(replied, items=1319, base=0.5, bad=False)),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    print(f"{'suite':<34}{'true rise':>10}{'pass':>8}{'open':>8}{'fail':>8}")
    for case in CASES:
        for rise in RISES:
            found = operating(case, rise, rounds=arguments.rounds, seed=arguments.seed)
            rows.append({"suite": case.name, "true_rise_in_margins": rise, **found})
            shown = "".join(f"{found[s]:>8.1%}" for s in ("PASS", "UNRESOLVED", "FAIL"))
            print(f"{case.name:<34}{rise:>10.0f}{shown}", flush=True)
    document = {"rounds": arguments.rounds, "seed": arguments.seed, "rows": rows}
    print(f"written to {results_write('suite_checks', document, path=arguments.results)}")


def operating(case: Case, rise: float, *, rounds: int, seed: int) -> dict[str, float]:
    """Share of simulated rounds by the check's status, at a true rise of so many margins."""
    margin = DEFAULT_CHECKS[case.check].thresholds[case.threshold]
    rng = np.random.default_rng(seed)
    counts = Counter(verdict(case, *case.draw(rng, rise * margin)) for _ in range(rounds))
    return {s: round(counts[s] / rounds, 4) for s in ("PASS", "UNRESOLVED", "FAIL")}


def verdict(case: Case, candidate: FloatArray, incumbent: FloatArray) -> str:
    each = range(len(candidate))
    rate = SuiteRate(
        suite="suite",
        sha256="",
        rate=case.rate,
        items=len(candidate),
        draws=4,
        candidate=cluster_share_interval(candidate, each),
        incumbent=cluster_share_interval(incumbent, each),
        difference=paired_difference_interval(candidate, incumbent),
        spread=paired_spread(candidate, incumbent),
        chance=case.chance,
    )
    policy = PolicyMeasurements(2, 2, FLAT, FLAT, {}, FLAT, None, {}, suites=(rate,))
    seen = GateMeasurements("c", "i", policy=policy)
    thresholds = DEFAULT_CHECKS[case.check].thresholds
    return CHECKS[case.check].decide(seen, GatePolicySettings(), thresholds).status


if __name__ == "__main__":
    main()
