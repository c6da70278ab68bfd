"""How often a check that fails by an interval, looked at after every batch of labels, fails by chance.

    python -m benchmarks.gate_looks [--rounds 400] [--labels 300] [--every 12] [--seed 0]

Simulated agreement of a reward model with people, against the floor of G5. `one look` is the normal
95 % interval, made for a single look; `any time` is the confidence sequence that the check uses. The
second table says after how many labels the sequence fails a reward model that truly lies under the floor.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import results_write
from evaluation.statistics.sequences import confidence_sequence

FLOOR = 0.55
MOST = 1200  # labels in the second table


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--labels", type=int, default=300)
    parser.add_argument("--every", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    looks = np.arange(arguments.every, arguments.labels + 1, arguments.every)
    document: dict[str, Any] = vars(arguments) | {
        "floor": FLOOR,
        "failed": [],
        "labels_to_fail": [],
    }
    del document["results"]
    print(f"{'agreement':>10}{'failed, one look':>18}{'any time':>10}")
    for agreement in (0.55, 0.60, 0.65, 0.70):
        failed = np.array([fails(rng, agreement, looks) for _ in range(arguments.rounds)]).mean(0)
        row = {"agreement": agreement, "one_look": failed[0], "any_time": failed[1]}
        document["failed"].append(row)
        print(f"{agreement:>10.0%}{failed[0]:>18.1%}{failed[1]:>10.1%}", flush=True)
    print(f"{'agreement':>10}{'labels until it fails, median':>32}")
    for agreement in (0.35, 0.40, 0.45, 0.50):
        median = float(np.median([first_failure(rng, agreement) for _ in range(40)]))
        document["labels_to_fail"].append({"agreement": agreement, "median": median})
        print(f"{agreement:>10.0%}{median:>32.0f}", flush=True)
    print(f"written to {results_write('gate_looks', document, path=arguments.results)}")


def fails(rng: np.random.Generator, agreement: float, looks: np.ndarray) -> tuple[bool, bool]:
    """Whether one simulated round fails at any look, by either interval."""
    hits = (rng.random(looks[-1]) < agreement).astype(float)
    means = np.cumsum(hits)[looks - 1] / looks
    errors = np.sqrt(np.maximum(means * (1 - means), 1e-9) / looks)
    sequence = confidence_sequence(hits, grid=200)[looks - 1, 1]
    return bool((means + 1.96 * errors < FLOOR).any()), bool((sequence < FLOOR).any())


def first_failure(rng: np.random.Generator, agreement: float) -> float:
    """Labels until the sequence lies under the floor; infinite where `MOST` do not suffice."""
    hits = (rng.random(MOST) < agreement).astype(float)
    under = confidence_sequence(hits, grid=200)[:, 1] < FLOOR
    return float(under.argmax() + 1) if under.any() else np.inf


if __name__ == "__main__":
    main()
