"""What the gate's evidence errs and costs, by the product's own functions on simulated labels.

    python -m benchmarks.gate_operating_characteristics [--draws 5000] [--only power,null,...] [--seed 0]

`power`: labels with which 80 % of better candidates are shown, beside a test of fixed size at the same
level (the limit). `null`: how often a candidate that people like these are indifferent to is shown,
looked at after every block, with panels that lean by chance and annotators one after another. `lines`:
30 rounds of candidates N(0.54, 0.04), and what an oracle would keep. `histories`: 30 rounds of
candidates that are no better, given up at the worst look as often as not. `coverage`: the printed
interval of the win rate. `control_null` and `control_power`: the same with predictions that correlate
with the labels taken from them, for every label `spare` pairs that nobody is asked about; `pool_mean`
shows what the mean of the pool's own predictions would err in place of those pairs. `second_budget`:
candidates that are judged again wherever the first budget showed nothing. `looks`: the same rounds,
looked at after every block and more seldom.
Writes results/gate_operating_characteristics.json as sections end.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from benchmarks.gate_draws import CHUNK, Controlled, controlled, controlled_by, evidence_of
from benchmarks.results_file import ROOT, result_head
from evaluation.contracts import GatePolicySettings
from evaluation.gates.outcomes import Outcome, read_in_blocks
from evaluation.policy import check_settings, error_cost, error_level
from evaluation.policy.online import e_lond_level
from evaluation.statistics.betting import Aim, Budget, hedged_e_process
from evaluation.statistics.intervals import (
    FloatArray,
    IntArray,
    two_way_share_interval,
    wilson_interval,
)
from evaluation.statistics.people import people_e_process
from evaluation.statistics.planning import fixed_sample_labels, labels_for_power
from evaluation.statistics.sequences import e_process

RESULT = ROOT / "benchmarks" / "results" / "gate_operating_characteristics.json"
SETTINGS = GatePolicySettings()
BLOCK = int(check_settings(SETTINGS)["G1"].thresholds["annotators"])
FIRST = error_level(0.0, 0, SETTINGS.alpha)
ROUNDS = 30


def labels_of(rng: np.random.Generator, rates: FloatArray, who: np.ndarray) -> FloatArray:
    return np.asarray(rng.random(len(who)) < rates[who], dtype=np.float64)


def everybody(labels: int) -> np.ndarray:
    """Independent labels: each from a person of its own."""
    return np.arange(labels)


def shown(x: FloatArray, who: np.ndarray, aim: Aim) -> tuple[bool, bool]:
    """Whether (people like them, these people) are ever shown to prefer the candidate."""
    needed = 1 / aim.level
    population = people_e_process(x, who.tolist(), aim=aim, block=BLOCK)
    panel = hedged_e_process(x, aim=aim, block=BLOCK)
    return bool(population.max() >= needed), bool(panel.max() >= needed)


# ------------------------------------------------------------------------------- power


PowerOf = Callable[[float, float, int, int, int], tuple[float, float]]


def power_of(
    effect: float, level: float, labels: int, draws: int, seed: int
) -> tuple[float, float]:
    """Share shown in `labels` labels, for both hypotheses."""
    rng = np.random.default_rng(seed)
    aim, who = Aim(level, labels), everybody(labels)
    rates = np.full(labels, effect)
    found = np.array([shown(labels_of(rng, rates, who), who, aim) for _ in range(draws)])
    return float(found[:, 0].mean()), float(found[:, 1].mean())


def labels_for_80(
    effect: float,
    level: float,
    draws: int,
    seed: int,
    power_of: PowerOf = power_of,
    share: float = 1.0,
) -> dict[str, Any]:
    """The smallest multiple of the block with power 80 % for people like them; searched on a fifth
    of the draws, then settled on all of them. It begins at `share` of what is planned."""
    labels = round(share * labels_for_power(effect, level=level)) // BLOCK * BLOCK
    for size in (draws // 5, draws):
        step = max(BLOCK, round(labels * 0.01 / BLOCK) * BLOCK)
        power = power_of(effect, level, labels, size, seed)
        while power[0] >= 0.8:
            labels -= step
            power = power_of(effect, level, labels, size, seed)
        while power[0] < 0.8:
            labels += step
            power = power_of(effect, level, labels, size, seed)
    limit = fixed_sample_labels(effect, level=level)
    return {
        "effect": effect,
        "level": level,
        "labels": labels,
        "power": power[0],
        "power_panel": power[1],
        "limit": limit,
        "ratio": labels / limit,
    }


def levels_of_a_line() -> dict[str, float]:
    """Levels that a line meets: at its first test, and after failed tests with discoveries between."""
    named = {"first test": FIRST}
    for discoveries in (0, 3, 10):
        spent, found = 0.0, 0
        for test in range(1, ROUNDS):
            level = error_level(spent, found, SETTINGS.alpha)
            lucky = found < discoveries and test % (ROUNDS // (discoveries + 1)) == 0
            spent += error_cost(level, 0.0, discovered=lucky)
            found += lucky
            if discoveries == 0 and test == 10:
                named["after 10 failures"] = error_level(spent, 0, SETTINGS.alpha)
        named[f"30th test, {discoveries} discoveries"] = error_level(spent, found, SETTINGS.alpha)
    return named


def power(draws: int, seed: int) -> list[dict[str, Any]]:
    rows = []
    print(f"{'level':>28}{'effect':>8}{'labels':>8}{'limit':>7}{'ratio':>7}{'power':>8}")
    for name, level in levels_of_a_line().items():
        for effect in (0.60, 0.55):
            row = {"at": name, **labels_for_80(effect, level, draws, seed)}
            rows.append(row)
            print(
                f"{name:>28}{effect:>8.0%}{row['labels']:>8}{row['limit']:>7}{row['ratio']:>7.2f}"
                f"{row['power']:>8.1%}",
                flush=True,
            )
    return rows


# -------------------------------------------------------------------------------- null


def leanings(rng: np.random.Generator, people: int, icc: float) -> FloatArray:
    """The rates of a fresh panel whose population is even; `icc` is the intraclass correlation."""
    if icc == 0:
        return np.full(people, 0.5)
    half = 0.5 * (1 / icc - 1)
    return rng.beta(half, half, people)


def reading_order(who: np.ndarray) -> np.ndarray:
    """Indices of the labels as the gate reads them, by its own function."""
    outcomes = [Outcome(str(i), str(i), str(rater), 0.0, 0.0) for i, rater in enumerate(who)]
    return np.array([int(o.prompt_id) for o in read_in_blocks(outcomes, BLOCK)])


def null(draws: int, seed: int) -> list[dict[str, Any]]:
    rows, labels = [], 600
    cases = [("independent", labels, 0.0)]
    cases += [(arrival, people, icc) for arrival in ("one after another", "mixed")
              for people in (8, 12, 20, 40) for icc in (0.1, 0.2)]  # fmt: skip
    print(f"{'arrival':>20}{'people':>8}{'ICC':>6}{'population':>12}{'upper':>8}{'panel':>8}")
    for arrival, people, icc in cases:
        rng = np.random.default_rng(seed)
        who = np.sort(np.arange(labels) % people)
        found = []
        for _ in range(draws):
            given = who if arrival == "one after another" else rng.permutation(who)
            read = given[reading_order(given)] if arrival != "independent" else given
            x = labels_of(rng, leanings(rng, people, icc), read)
            found.append(shown(x, read, Aim(FIRST, labels)))
        population, panel = np.array(found).sum(0)
        upper = wilson_interval(float(population), draws).high
        rows.append({"arrival": arrival, "people": people, "icc": icc, "labels": labels,
                     "population": population / draws, "upper": upper, "panel": panel / draws})  # fmt: skip
        print(
            f"{arrival:>20}{people:>8}{icc:>6}{population / draws:>12.2%}{upper:>8.2%}"
            f"{panel / draws:>8.2%}",
            flush=True,
        )
    return rows


# ------------------------------------------------------------------------------- lines


def new_gate(x: FloatArray, spent: float, found: int, labels: int) -> tuple[bool, float]:
    """(shown, cost) of one round by today's gate."""
    level = error_level(spent, found, SETTINGS.alpha)
    aim = Aim(level, min(labels, labels_for_power(SETTINGS.smallest_effect, level=level)))
    panel = hedged_e_process(x, aim=aim, block=BLOCK)
    population = people_e_process(x, list(range(len(x))), aim=aim, block=BLOCK)
    hit = bool(population.max() >= 1 / level)
    return hit, error_cost(level, float(min(panel[-1], population[-1])), discovered=hit)


def lines(draws: int, seed: int, labels: int = 600) -> list[dict[str, Any]]:
    """30-round lines of better and worse candidates; the first release's gate on the same labels."""
    rng = np.random.default_rng(seed)
    tally = {name: np.zeros(3) for name in ("e-LOND and the mixture", "this gate")}
    best = 0.0
    for _ in range(max(1, draws // 20)):
        spent, found, before = 0.0, 0, 0
        for test in range(1, ROUNDS + 1):
            rate = rng.normal(0.54, 0.04)
            x = (rng.random(labels) < rate).astype(float)
            best += max(rate - 0.5, 0.0)
            hit, cost = new_gate(x, spent, found, labels)
            spent, found = spent + cost, found + hit
            old = bool(e_process(x).max() >= 1 / e_lond_level(test, before, SETTINGS.alpha))
            before += old
            for name, promoted in (("this gate", hit), ("e-LOND and the mixture", old)):
                tally[name] += promoted * np.array([1, rate - 0.5, rate <= 0.5])
    count = max(1, draws // 20)
    rows = []
    print(f"{'gate':>26}{'promotions':>12}{'of the gain':>13}{'mistaken':>10}   ({count} lines)")
    for name, (promotions, gain, mistaken) in tally.items():
        rows.append({"gate": name, "lines": count, "promotions": promotions / count,
                     "share_of_gain": gain / best, "mistaken": mistaken / max(1, promotions)})  # fmt: skip
        print(f"{name:>26}{promotions / count:>12.1f}{gain / best:>13.0%}"
              f"{mistaken / max(1, promotions):>10.2%}", flush=True)  # fmt: skip
    return rows


def _mistaken(rng: np.random.Generator, lines: int, labels: int) -> int:
    """Of so many lines, those with a discovery in 30 rounds of even candidates."""
    spent, found = np.zeros(lines), np.zeros(lines, dtype=int)
    every = np.arange(lines)
    for _ in range(ROUNDS):
        levels = np.array(
            [error_level(spent[i], int(found[i]), SETTINGS.alpha) for i in range(lines)]
        )
        x = (rng.random((lines, labels)) < 0.5).astype(float)
        evidence, panel = evidence_of(x, x, None, levels=levels, labels=labels, block=BLOCK)
        worst = np.minimum(evidence, panel).argmin(axis=1)
        end = np.where(rng.random(lines) < 0.5, worst, evidence.shape[1] - 1)
        # given up before it was shown, or not
        best = np.maximum.accumulate(evidence, axis=1)[every, end]
        hit = best >= 1 / levels
        left = np.minimum(evidence[every, end], panel[every, end])
        spent += [
            error_cost(levels[i], float(left[i]), discovered=bool(hit[i])) for i in range(lines)
        ]
        found += hit
    return int((found > 0).sum())


def histories(draws: int, seed: int, labels: int = 200) -> list[dict[str, Any]]:
    """Lines whose candidates are never better; every second round is given up where it looks worst."""
    rng = np.random.default_rng(seed)
    wrong = sum(_mistaken(rng, size, labels) for size in chunks(draws))
    interval = wilson_interval(float(wrong), draws)
    print(f"any mistaken discovery in {ROUNDS} rounds: {interval.estimate:.2%}"
          f" ({interval.low:.2%} to {interval.high:.2%})", flush=True)  # fmt: skip
    return [{"lines": draws, "any": interval.estimate, "low": interval.low, "high": interval.high}]


# ---------------------------------------------------------------------------- coverage


def coverage(draws: int, seed: int, labels: int = 400) -> list[dict[str, Any]]:
    rows = []
    print(f"{'people':>8}{'ICC':>6}{'coverage':>10}")
    for people in (8, 12, 20, 40):
        for icc in (0.0, 0.05, 0.1, 0.2, 0.3):
            rng = np.random.default_rng(seed)
            who = np.arange(labels) % people
            held = 0
            for _ in range(draws):
                x = labels_of(rng, leanings(rng, people, icc), who)
                found = two_way_share_interval(x, who.tolist(), list(range(labels)))
                held += found.low <= 0.5 <= found.high
            rows.append({"people": people, "icc": icc, "coverage": held / draws})
            print(f"{people:>8}{icc:>6}{held / draws:>10.1%}", flush=True)
    return rows


# ----------------------------------------------------------------------------- control


class Predicted(NamedTuple):
    """Labels [rounds, labels] in reading order, the prediction for each, and those for pairs without one."""

    x: FloatArray
    g: FloatArray
    reference: FloatArray


def predicted_labels(
    rng: np.random.Generator,
    who: IntArray,
    *,
    rate: float,
    correlation: float,
    spare: int,
    icc: float = 0.0,
) -> Predicted:
    """Labels (0 or 1) whose mean is `rate` over pairs and people, and uniform predictions.

    A label is a win where r u + sqrt(s) a + e exceeds a threshold: u of the pair, whose rank is the
    prediction, a of the annotator. For a label that is even r = sqrt(2) sin(pi correlation / sqrt(12))
    gives the correlation, and s = sin(pi icc / 2) the intraclass correlation.
    """
    pair = math.sqrt(2) * math.sin(math.pi * correlation / math.sqrt(12))
    person = math.sin(math.pi * icc / 2)
    rounds, labels = who.shape
    u = rng.standard_normal((rounds, labels * (1 + spare)))
    latent = pair * u[:, :labels] + ndtri(rate)
    if person:
        leaning = rng.standard_normal((rounds, int(who.max()) + 1))
        latent += math.sqrt(person) * np.take_along_axis(leaning, who, axis=1)
    latent += rng.standard_normal(who.shape) * math.sqrt(1 - pair**2 - person)
    g = ndtr(u)
    return Predicted((latent > 0).astype(float), g[:, :labels], g[:, labels:])


def shown_controlled(drawn: Predicted, who: IntArray | None, level: float) -> FloatArray:
    """Whether [rounds, 2] (people like them, these people) are ever shown to prefer the candidate, with
    the predictions taken from the labels."""
    y = controlled(drawn.x, drawn.g, drawn.reference, labels=drawn.x.shape[1], block=BLOCK)
    return _shown(y, who, level)


def _shown(y: Controlled, who: IntArray | None, level: float) -> FloatArray:
    levels, labels = np.full(len(y.values), level), y.values.shape[1]
    found = evidence_of(y.values, y.bounded, who, levels=levels, labels=labels, block=BLOCK)
    return np.stack([part.max(axis=1) >= 1 / level for part in found], axis=1).astype(float)


def chunks(draws: int) -> list[int]:
    return [min(CHUNK, draws - begun) for begun in range(0, draws, CHUNK)]


def control_null(draws: int, seed: int, labels: int = 600) -> list[dict[str, Any]]:
    """Candidates that people are indifferent to, however well their labels are predicted."""
    rows = []
    cases = [("independent", labels, 0.0, spare) for spare in (1, 3)]
    cases += [("one after another", 12, 0.1, 3), ("mixed", 12, 0.1, 3), ("mixed", 8, 0.1, 1)]
    print(f"{'arrival':>20}{'people':>8}{'ICC':>6}{'corr.':>7}{'spare':>7}{'population':>12}"
          f"{'upper':>8}{'panel':>8}")  # fmt: skip
    for correlation in (0.0, 0.3, 0.5, 0.7):
        for arrival, people, icc, spare in cases:
            rng = np.random.default_rng(seed)
            found = [
                shown_controlled(
                    predicted_labels(
                        rng, read, rate=0.5, correlation=correlation, spare=spare, icc=icc
                    ),
                    None if arrival == "independent" else read,
                    FIRST,
                )
                for read in (read_by(rng, n, labels, people, arrival) for n in chunks(draws))
            ]
            population, panel = np.concatenate(found).sum(0)
            upper = wilson_interval(float(population), draws).high
            rows.append({"arrival": arrival, "people": people, "icc": icc, "labels": labels,
                         "correlation": correlation, "spare": spare, "population": population / draws,
                         "upper": upper, "panel": panel / draws})  # fmt: skip
            print(
                f"{arrival:>20}{people:>8}{icc:>6}{correlation:>7}{spare:>7}{population / draws:>12.2%}"
                f"{upper:>8.2%}{panel / draws:>8.2%}",
                flush=True,
            )
    return rows


def read_by(
    rng: np.random.Generator, rounds: int, labels: int, people: int, arrival: str
) -> IntArray:
    """Who [rounds, labels read] gave each label, in the order in which the gate reads them."""
    who = np.sort(np.arange(labels) % people)
    if arrival != "mixed":
        read = who if arrival == "independent" else who[reading_order(who)]
        return np.tile(read, (rounds, 1))
    given = [rng.permutation(who) for _ in range(rounds)]
    orders = [who_given[reading_order(who_given)] for who_given in given]
    shortest = min(len(order) for order in orders)
    return np.array([order[:shortest] for order in orders])


def pool_mean(draws: int, seed: int, labels: int = 600) -> list[dict[str, Any]]:
    """Even candidates by the mean of all the pool's predictions: 600 of 1,200 pairs are labelled."""
    rows = []
    print(f"{'corr.':>7}{'population':>12}{'panel':>8}")
    for correlation in (0.5, 0.7):
        rng, found = np.random.default_rng(seed), []
        for size in chunks(draws):
            who = np.tile(everybody(labels), (size, 1))
            drawn = predicted_labels(rng, who, rate=0.5, correlation=correlation, spare=1)
            mean = np.concatenate([drawn.g, drawn.reference], axis=1).mean(axis=1, keepdims=True)
            found.append(_shown(controlled_by(drawn.x, drawn.g - mean, block=BLOCK), None, FIRST))
        population, panel = np.concatenate(found).mean(0)
        rows.append({"correlation": correlation, "labels": labels, "pairs": 2 * labels,
                     "population": population, "panel": panel})  # fmt: skip
        print(f"{correlation:>7}{population:>12.2%}{panel:>8.2%}", flush=True)
    return rows


def controlled_power(correlation: float, spare: int) -> PowerOf:
    """As `power_of`, with predictions that correlate with the labels."""

    def power_of(
        effect: float, level: float, labels: int, draws: int, seed: int
    ) -> tuple[float, float]:
        rng, found = np.random.default_rng(seed), []
        for size in chunks(draws):
            who = np.tile(everybody(labels), (size, 1))
            drawn = predicted_labels(rng, who, rate=effect, correlation=correlation, spare=spare)
            found.append(shown_controlled(drawn, None, level))
        population, panel = np.concatenate(found).mean(0)
        return float(population), float(panel)

    return power_of


def plain_power(
    effect: float, level: float, labels: int, draws: int, seed: int
) -> tuple[float, float]:
    """As `power_of`, of many rounds at once."""
    rng, found = np.random.default_rng(seed), []
    for size in chunks(draws):
        x = (rng.random((size, labels)) < effect).astype(float)
        found.append(_shown(Controlled(x, x), None, level))
    population, panel = np.concatenate(found).mean(0)
    return float(population), float(panel)


def control_power(draws: int, seed: int) -> list[dict[str, Any]]:
    """Labels for 80 % power at a line's first test, by how well they are predicted."""
    rows = []
    print(f"{'effect':>8}{'corr.':>7}{'spare':>7}{'labels':>8}{'saved':>8}{'power':>8}")
    for effect in (0.60, 0.55):
        plain = labels_for_80(effect, FIRST, draws, seed, plain_power)["labels"]
        print(f"{effect:>8.0%}{'none':>7}{'':>7}{plain:>8}", flush=True)
        for correlation, spare in ((0.0, 3), (0.3, 3), (0.5, 3), (0.7, 3), (0.5, 1), (0.7, 1)):
            share = 1 - correlation**2 * spare / (spare + 1)
            power_of = controlled_power(correlation, spare)
            row = labels_for_80(effect, FIRST, draws, seed, power_of, share)
            row |= {"correlation": correlation, "spare": spare, "plain": plain,
                    "saved": 1 - row["labels"] / plain}  # fmt: skip
            rows.append(row)
            print(
                f"{effect:>8.0%}{correlation:>7}{spare:>7}{row['labels']:>8}{row['saved']:>8.1%}"
                f"{row['power']:>8.1%}",
                flush=True,
            )
    return rows


# ------------------------------------------------------------------------------- looks


def looks(draws: int, seed: int) -> list[dict[str, Any]]:
    """How many candidates are shown, and after how many labels a round ends, by how often one looks."""
    rows = []
    print(f"{'rate':>6}{'planned':>9}{'look every':>12}{'shown':>8}{'labels':>8}")
    for rate, labels in ((0.5, 600), (0.55, 872), (0.60, 224)):
        rng = np.random.default_rng(seed)
        levels = np.full(CHUNK, FIRST)
        drawn = []
        for size in chunks(draws):
            x = (rng.random((size, labels)) < rate).astype(float)
            found = evidence_of(x, x, None, levels=levels[:size], labels=labels, block=BLOCK)
            drawn.append(found.population)
        evidence = np.concatenate(drawn)
        for every in (1, 5, evidence.shape[1] // 4, evidence.shape[1]):
            at = np.arange(every - 1, evidence.shape[1], every)
            hits = evidence[:, at] >= 1 / FIRST
            ends = np.where(hits.any(1), (at[hits.argmax(1)] + 1) * BLOCK, labels)
            rows.append({"rate": rate, "labels": labels, "every": every * BLOCK,
                         "shown": float(hits.any(1).mean()), "ends": float(ends.mean())})  # fmt: skip
            print(f"{rate:>6}{labels:>9}{every * BLOCK:>12}{hits.any(1).mean():>8.2%}{ends.mean():>8.0f}",
                  flush=True)  # fmt: skip
    return rows


# ----------------------------------------------------------------------- second budget


def second_budget(draws: int, seed: int, labels: int = 304) -> list[dict[str, Any]]:
    """Candidates that get as many labels again where the first did not show them better."""
    rows = []
    print(
        f"{'people':>8}{'ICC':>6}{'rate':>6}{'first':>8}{'both':>8}{'upper':>8}{'panel':>8}{'anew':>8}"
    )
    for people, icc, rate in ((2 * labels, 0.0, 0.5), (12, 0.1, 0.5), (2 * labels, 0.0, 0.55)):
        rng, found = np.random.default_rng(seed), []
        for _ in range(draws):
            who = np.arange(2 * labels) % people
            x = labels_of(rng, leanings(rng, people, icc) + rate - 0.5, who)
            found.append(_judged_twice(x, who, labels))
        first, both, panel, anew = np.mean(found, axis=0)
        upper = wilson_interval(float(both * draws), draws).high
        rows.append({"people": people, "icc": icc, "rate": rate, "labels": labels, "first": first,
                     "both": both, "upper": upper, "panel": panel, "anew": anew})  # fmt: skip
        print(f"{people:>8}{icc:>6}{rate:>6}{first:>8.2%}{both:>8.2%}{upper:>8.2%}{panel:>8.2%}"
              f"{anew:>8.2%}", flush=True)  # fmt: skip
    return rows


def _judged_twice(x: FloatArray, who: np.ndarray, labels: int) -> tuple[bool, bool, bool, bool]:
    """Whether shown by the first budget; by either, for people like them and for these people; and by the
    first or by a new test of the second, at the level that the line would have for it."""
    aim = Aim(FIRST, labels, (Budget(labels, labels),))
    both = people_e_process(x, who.tolist(), aim=aim, block=BLOCK)
    panel = hedged_e_process(x, aim=aim, block=BLOCK)
    first = both[: labels // BLOCK]
    shown_first = bool(first.max() >= 1 / FIRST)
    spent = error_cost(FIRST, float(min(first[-1], panel[len(first) - 1])), discovered=shown_first)
    level = error_level(spent, int(shown_first), SETTINGS.alpha)
    anew = people_e_process(x[labels:], who[labels:].tolist(), aim=Aim(level, labels), block=BLOCK)
    return (
        shown_first,
        bool(both.max() >= 1 / FIRST),
        bool(panel.max() >= 1 / FIRST),
        shown_first or bool(anew.max() >= 1 / level),
    )


SECTIONS: dict[str, Callable[[int, int], list[dict[str, Any]]]] = {
    "coverage": coverage,
    "null": null,
    "power": power,
    "lines": lines,
    "histories": histories,
    "control_null": control_null,
    "pool_mean": pool_mean,
    "control_power": control_power,
    "second_budget": second_budget,
    "looks": looks,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=5000)
    parser.add_argument("--only", default=",".join(SECTIONS))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    document = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for name in arguments.only.split(","):
        print(f"\n{name}")
        rows = SECTIONS[name](arguments.draws, arguments.seed)
        document[name] = {**result_head(), "draws": arguments.draws, "seed": arguments.seed,
                          "settings": SETTINGS.to_json(), "rows": rows}  # fmt: skip
        RESULT.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
