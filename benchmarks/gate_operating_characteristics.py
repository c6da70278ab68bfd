"""What the gate's evidence errs and costs, by the product's own functions on simulated labels.

    python -m benchmarks.gate_operating_characteristics [--draws 5000] [--only power,null,...] [--seed 0]

`power`: labels with which 80 % of better candidates are shown, beside a test of fixed size at the same
level (the limit). `null`: how often a candidate that people like these are indifferent to is shown,
looked at after every block, with panels that lean by chance and annotators one after another. `lines`:
30 rounds of candidates N(0.54, 0.04), and what an oracle would keep. `histories`: 30 rounds of
candidates that are no better, given up at the worst look as often as not. `coverage`: the printed
interval of the win rate. Writes results/gate_operating_characteristics.json as sections end.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.results_file import ROOT, result_head
from evaluation.contracts import GatePolicySettings
from evaluation.gates.outcomes import Outcome, read_in_blocks
from evaluation.policy import check_settings, error_cost, error_level
from evaluation.policy.online import e_lond_level
from evaluation.statistics.betting import Aim, hedged_e_process
from evaluation.statistics.intervals import FloatArray, two_way_share_interval, wilson_interval
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


def power_of(
    effect: float, level: float, labels: int, draws: int, seed: int
) -> tuple[float, float]:
    """Share shown in `labels` labels, for both hypotheses."""
    rng = np.random.default_rng(seed)
    aim, who = Aim(level, labels), everybody(labels)
    rates = np.full(labels, effect)
    found = np.array([shown(labels_of(rng, rates, who), who, aim) for _ in range(draws)])
    return float(found[:, 0].mean()), float(found[:, 1].mean())


def labels_for_80(effect: float, level: float, draws: int, seed: int) -> dict[str, Any]:
    """The smallest multiple of the block with power 80 % for people like them; searched on a fifth
    of the draws, then settled on all of them."""
    labels = labels_for_power(effect, level=level) // BLOCK * BLOCK
    for size in (draws // 5, draws):
        step = max(BLOCK, round(labels * 0.02 / BLOCK) * BLOCK)
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


def histories(draws: int, seed: int, labels: int = 200) -> list[dict[str, Any]]:
    """Lines whose candidates are never better; every second round is given up where it looks worst."""
    rng = np.random.default_rng(seed)
    wrong = 0
    for _ in range(draws):
        spent, found = 0.0, 0
        for _ in range(ROUNDS):
            level = error_level(spent, found, SETTINGS.alpha)
            x = (rng.random(labels) < 0.5).astype(float)
            aim = Aim(level, labels)
            evidence = people_e_process(x, list(range(labels)), aim=aim, block=BLOCK)
            panel = hedged_e_process(x, aim=aim, block=BLOCK)
            hit = bool(evidence.max() >= 1 / level)
            end = int(np.minimum(evidence, panel).argmin()) if rng.random() < 0.5 else -1
            # given up before it was shown, or not
            hit = hit and (end == -1 or bool(evidence[: end + 1].max() >= 1 / level))
            spent += error_cost(level, float(min(evidence[end], panel[end])), discovered=hit)
            found += hit
        wrong += found > 0
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


SECTIONS: dict[str, Callable[[int, int], list[dict[str, Any]]]] = {
    "coverage": coverage,
    "null": null,
    "power": power,
    "lines": lines,
    "histories": histories,
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
