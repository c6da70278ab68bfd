"""How many labels does a reward model need, by which pairs people are asked about? (P7)

    OMP_NUM_THREADS=1 nice python -m benchmarks.label_efficiency [--seeds 501 502] [--strategies random disagreement]

The demo's world: the first policy of seed 900 for all seeds, the twelve simulated annotators, one label a pair;
members, random share and pairs offered for each that is kept as a plan has them by default (two, 0.2, two). The first
200 labels are of pairs at random. Twice, 400 further pairs of the policy are scored by the reward model of all labels
so far, 200 of them are chosen as a round of the product chooses, and the reward model is trained anew. The strategies
of a seed share prompts, texts, first 200 labels, and the label that each pair has if it is asked about.

Fixed before the counted seeds 501 to 505 (seed 900 was used to choose sizes):

accuracy   share of pairs of 600 held-out prompts of which the ensemble prefers the text that the hidden gold prefers
labels     at which the mean accuracy over seeds reaches the mean that `random` has after 600, between budgets on a
           straight line; 95 % interval by 10,000 resamples of the seeds, `random` and strategy together
gain       accuracy after 600 labels less that of `random`, with the 95 % interval of Student's t over seeds
default    of the strategies whose labels have an interval wholly under 600, the one that needs fewest; where there
           is none, `random`

Learning programs that are done are not run again: --work keeps them, by what they were asked for.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

import benchmarks.django_ready  # noqa: F401 - the rooms below need their models
from benchmarks.results_file import ROOT, result_head
from outerloop.demo.annotators import ANNOTATORS
from outerloop.demo.gold import gold_score
from outerloop.demo.world import DemoPrompt, prompts
from outerloop.rounds.selection import STRATEGIES, Strategy, pairs_choose
from outerloop.selftest.bench import Bench
from outerloop.selftest.labels import Text, preference_rows
from outerloop.selftest.learning import World
from outerloop.selftest.sizes import ORDINARY
from training.core.reward.scoring import RewardModel, reward_model_load
from web.files import file_write

RESULT = ROOT / "benchmarks" / "results" / "label_efficiency.json"
COUNTED = (501, 502, 503, 504, 505)
FIRST, BATCH, BATCHES, OFFERED, HELD_OUT = 200, 200, 2, 400, 600
BUDGETS = tuple(FIRST + BATCH * i for i in range(BATCHES + 1))
RANDOM_SHARE, MEMBERS, REFERENCES = 0.2, 2, 50
POLICY_SEED = 900
RESAMPLES = 10_000


class Seed(World):
    """The prompts of a seed: the first labels', each batch's, and those that measure."""

    @cached_property
    def policy(self) -> Path:
        return World(self.bench, POLICY_SEED, self.sizes).policy

    @cached_property
    def asked(self) -> list[DemoPrompt]:
        return prompts(self.seed, FIRST + BATCHES * OFFERED + HELD_OUT)

    @property
    def learned_from(self) -> list[DemoPrompt]:
        return self.asked

    @cached_property
    def texts(self) -> list[list[Text]]:
        """Two of the first policy to each prompt."""
        return self.pairs()

    @cached_property
    def labels(self) -> list[dict[str, Any]]:
        """What each pair is answered if it is asked about; every tenth tells the temperature."""
        rows = preference_rows(self.seed, ANNOTATORS, self.asked, self.texts)
        return [
            row | {"split": "validation" if i % 10 == 9 else "train"} for i, row in enumerate(rows)
        ]

    @cached_property
    def references(self) -> Path:
        """Texts on which scores are normalised: those of the first prompts."""
        rows = [
            {"prompt_id": self.asked[i].external_id, "completions": [{"text": t} for t, _ in texts]}
            for i, texts in enumerate(self.texts[:REFERENCES])
        ]
        return self.bench.rows("references", rows)

    def offered(self, batch: int) -> range:
        start = FIRST + batch * OFFERED
        return range(start, start + OFFERED)

    def scored(self, places: Sequence[int], model: RewardModel) -> list[dict[str, Any]]:
        """Rows as `sample_pairs` writes them, named by their places."""
        texts = [(self.asked[i].messages, text) for i in places for text, _ in self.texts[i]]
        named = model.by_name("reward_model", model.score(texts))
        return [
            {
                "prompt_id": str(i),
                "completions": [
                    {"text": text, "scores": named[2 * at + side]}
                    for side, (text, _) in enumerate(self.texts[i])
                ],
            }
            for at, i in enumerate(places)
        ]

    @cached_property
    def measured(self) -> list[tuple[int, bool]]:
        """Held-out pairs of unlike gold: their places, and whether the first is the better one."""
        found = []
        for i in range(len(self.asked) - HELD_OUT, len(self.asked)):
            first, second = (
                gold_score(self.asked[i].messages, text, ended).total
                for text, ended in self.texts[i]
            )
            if first != second:
                found.append((i, first > second))
        return found

    def accuracy(self, model: RewardModel) -> float:
        rows = self.scored([i for i, _ in self.measured], model)
        right = [
            (first["scores"]["reward_model"] > second["scores"]["reward_model"]) == better
            for (first, second), (_, better) in zip(
                (row["completions"] for row in rows), self.measured, strict=True
            )
        ]
        return float(np.mean(right))


def reward_learn(world: Seed, places: Sequence[int]) -> RewardModel:
    """On the labels of these pairs."""
    rows = [world.labels[i] for i in sorted(places)]
    inputs = {
        "policy": world.policy,
        "preferences": world.bench.rows("preferences", rows),
        "prompts": world.prompts_file,
        "reference_samples": world.references,
    }
    config = replace(world.sizes.reward, members=MEMBERS)
    run = world.bench.run("reward_model", world.seed, inputs, config)
    return reward_model_load(run.artifact("reward_model"))


def curve(world: Seed, strategy: Strategy) -> Iterator[float]:
    """Accuracy at each of `BUDGETS`."""
    bought = list(range(FIRST))
    model = reward_learn(world, bought)
    yield world.accuracy(model)
    for batch in range(BATCHES):
        chosen = pairs_choose(
            world.scored(world.offered(batch), model),
            wanted=BATCH,
            strategy=strategy,
            random_share=RANDOM_SHARE,
            seed=1000 * world.seed + batch,
        )
        bought += [int(one.row["prompt_id"]) for one in chosen]
        model = reward_learn(world, bought)
        yield world.accuracy(model)


def labels_needed(accuracies: Sequence[float], target: float) -> float:
    """Where a curve over `BUDGETS` first reaches `target`, on straight lines; infinite where it does not."""
    if accuracies[0] >= target:
        return float(BUDGETS[0])
    steps = zip(BUDGETS, BUDGETS[1:], accuracies, accuracies[1:], strict=False)
    for before, after, low, high in steps:
        if high >= target:
            return before + (after - before) * (target - low) / (high - low)
    return math.inf


@dataclass(frozen=True)
class Efficiency:
    """Of one strategy against `random`: labels with their interval, and the gain at the last budget."""

    strategy: str
    seeds: int
    accuracies: tuple[float, ...]
    labels: tuple[float, float, float]
    gain: tuple[float, float, float]

    @property
    def fewer(self) -> bool:
        return self.labels[2] < BUDGETS[-1]


def efficiency(strategy: str, curves: np.ndarray, at_random: np.ndarray) -> Efficiency:
    """Curves are [seeds, budgets], of the same seeds in the same order."""
    seeds = len(curves)
    rng = np.random.default_rng(7)
    draws = rng.integers(seeds, size=(RESAMPLES, seeds))
    needed = [
        labels_needed(curves[draw].mean(0), float(at_random[draw, -1].mean())) for draw in draws
    ]
    low, high = np.quantile(needed, (0.025, 0.975), method="closest_observation")
    estimate = labels_needed(curves.mean(0), float(at_random[:, -1].mean()))
    gains = curves[:, -1] - at_random[:, -1]
    half = float(stats.t.ppf(0.975, seeds - 1) * gains.std(ddof=1) / math.sqrt(seeds))
    gain = float(gains.mean())
    return Efficiency(
        strategy=strategy,
        seeds=seeds,
        accuracies=tuple(float(a) for a in curves.mean(0)),
        labels=(estimate, float(low), float(high)),
        gain=(gain, gain - half, gain + half),
    )


def default_strategy(found: Sequence[Efficiency]) -> str:
    """By the rule above."""
    surely = [one for one in found if one.strategy != "random" and one.fewer]
    return min(surely, key=lambda one: one.labels[0]).strategy if surely else "random"


def efficiencies(seeds: Mapping[str, Mapping[str, Any]]) -> list[Efficiency]:
    """Of every strategy, over the seeds that all of them have; nothing with fewer than two."""
    names = [name for name in STRATEGIES if any(name in found for found in seeds.values())]
    whole = [
        found
        for found in seeds.values()
        if all(len(found.get(name, {}).get("accuracies", [])) == len(BUDGETS) for name in names)
    ]
    if len(whole) < 2 or "random" not in names:
        return []
    curves = {name: np.array([found[name]["accuracies"] for found in whole]) for name in names}
    return [efficiency(name, curves[name], curves["random"]) for name in names]


def table(found: Sequence[Efficiency]) -> str:
    budgets = "".join(f"{budget:>8}" for budget in BUDGETS)
    lines = [f"{'strategy':22}{budgets}   labels for random's last        gain at the last budget"]
    for one in found:
        accuracies = "".join(f"{accuracy:8.3f}" for accuracy in one.accuracies)
        labels = "{} ({} to {})".format(*(_labels_words(n) for n in one.labels))
        gain, low, high = (100 * share for share in one.gain)
        lines.append(
            f"{one.strategy:22}{accuracies}   {labels:32}{gain:+.1f} ({low:+.1f} to {high:+.1f}) points"
        )
    if found:
        lines.append(f"default over {found[0].seeds} seeds: {default_strategy(found)}")
    return "\n".join(lines)


def _labels_words(labels: float) -> str:
    return f"over {BUDGETS[-1]:,}" if math.isinf(labels) else f"{labels:,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(COUNTED))
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=list(STRATEGIES))
    parser.add_argument("--work", type=Path, default=ROOT / "var" / "label_efficiency")
    parser.add_argument("--results", type=Path, default=RESULT)
    arguments = parser.parse_args()
    document: dict[str, Any] = {"budgets": list(BUDGETS), "seeds": {}}
    if arguments.results.exists():
        document = json.loads(arguments.results.read_text())
    with Bench(arguments.work) as bench:
        for seed in arguments.seeds:
            world, found = Seed(bench, seed, ORDINARY), document["seeds"].setdefault(str(seed), {})
            for strategy in arguments.strategies:
                if strategy in found:
                    continue
                began = time.monotonic()
                accuracies = list(curve(world, strategy))
                seconds = round(time.monotonic() - began, 1)
                found[strategy] = result_head() | {"accuracies": accuracies, "seconds": seconds}
                print(seed, strategy, json.dumps(found[strategy]), flush=True)
                file_write(arguments.results, json.dumps(document, indent=1) + "\n")
    print(table(efficiencies(document["seeds"])))


if __name__ == "__main__":
    main()
