"""What the check of the reward model on fresh labels (G5) passes and fails, looked at after every batch.

    python -m benchmarks.gate_looks [--rounds 200] [--every 25] [--annotators 12] [--seed 0]

Simulated gaps of a reward model (two normals whose distance gives the AUC), annotators who differ in
how well it fits them, and the two intervals that the check uses. A round has `labels` untied labels of
which the candidate won a share; it is looked at from 100 labels on. `passed` and `failed` count rounds
in which any look passed, or failed.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.peers import results_write
from evaluation.policy import DEFAULT_CHECKS
from evaluation.statistics.discrimination import discrimination_interval, discrimination_sequence

FIRST_LOOK = 100
DIFFER = 0.2  # standard deviation over annotators of the distance, in units of a gap's own


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--every", type=int, default=25)
    parser.add_argument("--annotators", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    floor = DEFAULT_CHECKS["G5"].thresholds["discrimination"]
    document: dict[str, Any] = vars(arguments) | {"floor": floor, "rows": []}
    del document["results"]
    print(f"{'AUC':>6}{'won':>6}{'labels':>8}{'passed':>9}{'failed':>9}")
    cells = itertools.product((0.35, 0.5, 0.55, 0.6, 0.65, 0.7), (0.55, 0.8, 0.95), (150, 450))
    for area, won, labels in cells:
        rounds = [
            looked(rng, area, won, labels, arguments.every, arguments.annotators, floor)
            for _ in range(arguments.rounds)
        ]
        passed, failed = np.mean(rounds, axis=0)
        row = {"area": area, "won": won, "labels": labels, "passed": passed, "failed": failed}
        document["rows"].append(row)
        print(f"{area:>6}{won:>6.0%}{labels:>8}{passed:>9.1%}{failed:>9.1%}", flush=True)
    print(f"written to {results_write('gate_looks', document, path=arguments.results)}")


def looked(
    rng: np.random.Generator,
    area: float,
    share: float,
    labels: int,
    every: int,
    annotators: int,
    floor: float,
) -> tuple[bool, bool]:
    """Whether any look at one simulated round passed, and whether any failed."""
    won, rater = rng.random(labels) < share, rng.integers(0, annotators, labels)
    distance = np.sqrt(2) * stats.norm.ppf(area) + rng.normal(0, DIFFER, annotators)
    gaps = rng.normal(won * distance[rater], 1.0)
    passed = failed = False
    for n in range(FIRST_LOOK, labels + 1, every):
        if min(won[:n].sum(), (~won[:n]).sum()) < 10:
            continue
        told = discrimination_interval(gaps[:n], won[:n], clusterings=[rater[:n].tolist()])
        passed |= told is not None and told.low >= floor
    whole = discrimination_sequence(gaps, won)
    if whole is not None and whole.n >= 10:  # its bounds at the end are the tightest of all looks
        failed = whole.high < floor
    return passed, failed


if __name__ == "__main__":
    main()
