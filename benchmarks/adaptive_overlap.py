"""Votes saved by asking again only where it is not yet sure which text is better, at equal agreement with gold.

    python -m benchmarks.adaptive_overlap --data ../shared/data/convincing_arguments.jsonl.gz [--seeds 0 1 2 3 4]

Replays real crowd votes: each seed draws the order in which the five votes of a pair come. Fixed overlap
takes the first k votes of every pair; adaptive overlap takes them one by one until the campaign's rule
(`annotation.statistics.overlap`) says that the better side is sure, or five have voted. What is saved is
1 - votes used / votes that fixed overlap takes for the same agreement, between two whole numbers of votes by
asking a drawn share of pairs once more (linear). Two judges:

    gold       the file's aggregated choice. It was made from all five votes, so that five agree with it best
    held out   the fifth vote, which neither way of asking sees; one of four votes then

The side is the majority's, a draw counts half. "by reliability" is agreement with gold where the votes asked
are weighed by Dawid and Skene's fit instead. Intervals draw debate sides again, 1,000 times, over the mean
of all seeds. Exits 1 where the product's threshold saves less than the goal against gold.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from annotation.statistics.estimates import multinomial_weights
from annotation.statistics.overlap import asks_again
from annotation.statistics.reliability import reliability_fit
from benchmarks.peers import results_write

VOTES = 5
GOAL = 0.30
SURENESS = (0.76, 0.8, 0.85, 0.9, 0.95)
DEFAULT = 0.8
SIDE = {"a1": -1, "equal": 0, "a2": 1}
Array = npt.NDArray[Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="convincing_arguments.jsonl.gz")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    if not arguments.data.exists():
        parser.error(f"{arguments.data} is not there: name the file of votes by --data.")
    pairs = Pairs(arguments.data)
    document: dict[str, Any] = {
        "pairs": len(pairs.gold), "votes": int(pairs.votes.size), "seeds": arguments.seeds,
        "most": VOTES, "goal": GOAL, "default": DEFAULT, "rows": [],
    }  # fmt: skip
    print(f"{'judge':<16}{'sure':>6}{'votes':>8}{'agrees':>9}{'fixed':>8}{'saved':>24}")
    for judge, most in (("gold", VOTES), ("held out", VOTES - 1), ("by reliability", VOTES)):
        replays = [Replay(pairs, seed, judge, most) for seed in arguments.seeds]
        for sure in SURENESS if judge != "by reliability" else (DEFAULT,):
            document["rows"].append(measured(pairs, replays, judge, sure))
            _print(document["rows"][-1])
    print(f"written to {results_write('adaptive_overlap', document, path=arguments.results)}")
    (told,) = (r for r in document["rows"] if (r["judge"], r["sure"]) == ("gold", DEFAULT))
    return 0 if told["saved"] >= GOAL else 1


class Pairs:
    """Pairs with five votes and a gold side: `votes` [pairs, 5] of -1, 0, 1, `workers` alike."""

    def __init__(self, path: Path) -> None:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        rows = [r for r in rows if len(r["votes"]) == VOTES and r["gold"] in ("a1", "a2")]
        codes: dict[str, int] = {}
        self.votes = np.array([[SIDE[v["value"]] for v in row["votes"]] for row in rows])
        self.workers = np.array(
            [[codes.setdefault(v["worker"], len(codes)) for v in row["votes"]] for row in rows]
        )
        self.gold = np.array([SIDE[row["gold"]] for row in rows])
        sides = [(row["debate_title"], row["stance"]) for row in rows]
        self.cluster = np.unique([" / ".join(side) for side in sides], return_inverse=True)[1]


class Replay:
    """One drawn order of the votes, and what each fixed overlap gives in it."""

    def __init__(self, pairs: Pairs, seed: int, judge: str, most: int) -> None:
        rng = np.random.default_rng(seed)
        order = rng.permuted(np.tile(np.arange(VOTES), (len(pairs.gold), 1)), axis=1)
        self.votes = np.take_along_axis(pairs.votes, order, axis=1)
        self.workers = np.take_along_axis(pairs.workers, order, axis=1)
        self.judge, self.most = judge, most
        self.truth = self.votes[:, -1] if judge == "held out" else pairs.gold
        self.fixed = [self.agrees(np.full(len(self.truth), k)) for k in range(1, most + 1)]

    def asked(self, sure: float) -> Array:
        """How many votes the campaign's rule takes of each pair."""
        return np.array([_asked(row, sure, self.most) for row in self.votes])

    def agrees(self, asked: Array) -> Array:
        """Of each pair, with its first `asked` votes: 1, 1/2 or 0; NaN where the judge has no side."""
        taken = np.arange(VOTES) < asked[:, None]
        lead = np.sign((self.votes * taken).sum(1))
        if self.judge == "by reliability":
            lead = self._weighed(taken)
        found = np.where(lead == 0, 0.5, lead == self.truth)
        return np.where(self.truth == 0, np.nan, found)

    def _weighed(self, taken: Array) -> Array:
        items = np.nonzero(taken)[0]
        fit = reliability_fit(
            items, self.workers[taken], self.votes[taken] + 1, np.zeros(len(items), dtype=int)
        )
        return np.sign(fit.second - 0.5)


def _asked(votes: Array, sure: float, most: int) -> int:
    counts = {-1: 0, 0: 0, 1: 0}
    for number, vote in enumerate(votes[:most]):
        if not asks_again(counts[-1], counts[0], counts[1], sure=sure, most=most):
            return number
        counts[int(vote)] += 1
    return most


def measured(pairs: Pairs, replays: list[Replay], judge: str, sure: float) -> dict[str, Any]:
    """The mean of all seeds, its interval over debate sides, and each seed's saving by itself."""
    asked = [replay.asked(sure) for replay in replays]
    agreed = [replay.agrees(n) for replay, n in zip(replays, asked, strict=True)]
    by_seed = [
        saving(_sums(pairs, replay, n, right).sum(0))
        for replay, n, right in zip(replays, asked, agreed, strict=True)
    ]
    sums = np.mean(
        [_sums(pairs, r, n, right) for r, n, right in zip(replays, asked, agreed, strict=True)],
        axis=0,
    )
    draws = multinomial_weights(np.ones(len(sums)), seed=0) @ sums
    saved, agreement, votes, fixed = saving(sums.sum(0))
    low, high = np.quantile([saving(draw)[0] for draw in draws], [0.025, 0.975])
    return {
        "judge": judge, "sure": sure, "votes a pair": votes, "agreement": agreement,
        "fixed votes for the same": fixed, "saved": saved, "low": float(low), "high": float(high),
        "saved by seed": [row[0] for row in by_seed],
        "fixed": _curve(sums.sum(0)).tolist(),
    }  # fmt: skip


def _sums(pairs: Pairs, replay: Replay, asked: Array, agreed: Array) -> Array:
    """[debate sides, 3 + most]: pairs that the judge decides, votes, agreement, agreement of each fixed."""
    known = ~np.isnan(agreed)
    columns = [known, asked * known, np.nan_to_num(agreed), *np.nan_to_num(replay.fixed)]
    return np.stack([np.bincount(pairs.cluster, weights=column) for column in columns], axis=1)


def _curve(sums: Array) -> Array:
    return np.maximum.accumulate(sums[3:] / sums[0])


def saving(sums: Array) -> tuple[float, float, float, float]:
    """(saved, agreement, votes a pair, votes that fixed overlap takes for the same agreement)."""
    votes, agreement, curve = sums[1] / sums[0], sums[2] / sums[0], _curve(sums)
    fixed = float(np.interp(agreement, curve, np.arange(1, len(curve) + 1)))
    return float(1 - votes / fixed), float(agreement), float(votes), fixed


def _print(row: dict[str, Any]) -> None:
    print(
        f"{row['judge']:<16}{row['sure']:>6}{row['votes a pair']:>8.2f}{row['agreement']:>9.1%}"
        f"{row['fixed votes for the same']:>8.2f}"
        f"{row['saved']:>9.1%} ({row['low']:.1%} to {row['high']:.1%})",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
