"""What two users in a hundred can do to the list of troubled prompts and to the alarm.

    python -m benchmarks.signals_manipulation [--seeds 200] [--first 1000]

A made-up service: 2,000 users with tempers of their own ask 300 prompts, some often and most rarely, of two
versions, for two weeks each; a tenth of the prompts is troubled. They give thumbs on a share of the answers
(`ready`). Two in a hundred always give a thumb from the second version on. They say

- `down`: down, whatever the answer;
- `topic`: down on ten prompts that are no trouble, which each of them asks once, and nothing else.

The list and the alarm are the product's own functions. `kept` is the share of the list without manipulation
that is still on it, `theirs` the share of the list that is prompts of their topic, `right` the share of it
that is truly troubled. `raised` is the share of seeds in which the alarm is raised, where nothing got worse
(`rise` 0) and where every prompt's chance of a thumb down rose by ten points.

Criterion, fixed on seeds below 1000 before the counted ones were run: with `ready` 0.3,

1. `down` leaves at least 80 % of the list, and `topic` takes at most half of it;
2. the alarm is raised without a rise in at most 5 % of seeds, manipulated or not;
3. with a rise it is raised in at least 80 % of seeds, manipulated or not.

With `ready` 0.05 the same users are many of those who say anything: it is reported and not asked to hold.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from django.conf import settings

import benchmarks.django_ready  # noqa: F401 - the alarm's own margin is read below
from annotation.signals.estimates import Thumbs, troubled
from annotation.signals.troubled import MOST_SHOWN
from benchmarks.peers import results_write
from evaluation.statistics.rises import LEAST_RISE, rate_rise

USERS, PROMPTS, TOPIC, DAYS = 2_000, 300, 10, 14
MANIPULATORS = 40
ANSWERS = 6.0  # of a version, for a user of mean activity
READY = (0.3, 0.05)
ARMS = ("honest", "down", "topic")
RISE = 0.10

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Given:
    """Thumbs on the answers of one version, [thumbs] each."""

    user: Ints
    prompt: Ints
    day: Ints
    down: Bools


@dataclass(frozen=True)
class World:
    """`trouble` [prompts] is the chance of a thumb down of an ordinary user, `temper` [users] shifts it."""

    popularity: Floats
    trouble: Floats
    temper: Floats
    activity: Floats
    topic: Ints


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first", type=int, default=1000)
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    rows = []
    print(
        f"{'ready':>6} {'arm':<8}{'kept':>7}{'theirs':>8}{'right':>7}{'raised':>8}{'with rise':>11}"
    )
    for ready in READY:
        found = [seed_measured(seed, ready) for seed in seeds]
        for arm in ARMS:
            row = {"ready": ready, "arm": arm, **_means([each[arm] for each in found])}
            rows.append(row)
            print(
                f"{ready:>6} {arm:<8}{row['kept']:>7.0%}{row['theirs']:>8.0%}{row['right']:>7.0%}"
                f"{row['raised']:>8.1%}{row['raised_with_rise']:>11.1%}",
                flush=True,
            )
    document = {"seeds": [seeds.start, seeds.stop], "rows": rows, "held": criterion(rows)}
    print(f"criterion: {document['held']}")
    print(f"written to {results_write('signals_manipulation', document, path=arguments.results)}")


def criterion(rows: Sequence[dict[str, Any]]) -> dict[str, bool]:
    """Which of the three held."""
    asked = {row["arm"]: row for row in rows if row["ready"] == READY[0]}
    return {
        "list": asked["down"]["kept"] >= 0.8 and asked["topic"]["theirs"] <= 0.5,
        "no false alarm": all(row["raised"] <= 0.05 for row in asked.values()),
        "alarm": all(row["raised_with_rise"] >= 0.8 for row in asked.values()),
    }


def seed_measured(seed: int, ready: float) -> dict[str, dict[str, float]]:
    """Figures of each arm; the honest users do the same in all of them."""
    rng = np.random.default_rng(seed)
    world = world_made(rng)
    before = thumbs_drawn(rng, world, ready, rise=0.0)
    same = thumbs_drawn(rng, world, ready, rise=0.0)
    worse = thumbs_drawn(rng, world, ready, rise=RISE)
    honest_list = listed(same)
    found = {}
    for arm in ARMS:
        after, after_rise = (manipulated(rng, world, each, arm) for each in (same, worse))
        there = listed(after)
        found[arm] = {
            "kept": _part(honest_list, set(there)),
            "theirs": _part(there, set(world.topic.tolist())),
            "right": _part(there, set(np.flatnonzero(world.trouble >= 0.4).tolist())),
            "listed": float(len(there)),
            "raised": float(raised(after, before)),
            "raised_with_rise": float(raised(after_rise, before)),
        }
    return found


def world_made(rng: np.random.Generator) -> World:
    popularity = 1 / np.arange(10, PROMPTS + 10)
    troubled_ones = rng.permutation(PROMPTS)[: PROMPTS // 10]
    trouble = rng.beta(2, 16, PROMPTS)
    trouble[troubled_ones] = rng.uniform(0.4, 0.7, len(troubled_ones))
    ordinary = np.flatnonzero(trouble < 0.4)
    return World(
        popularity / popularity.sum(),
        trouble,
        rng.normal(0, 0.7, USERS),
        rng.gamma(1.0, 1.0, USERS),
        rng.choice(ordinary, TOPIC, replace=False),
    )


def thumbs_drawn(rng: np.random.Generator, world: World, ready: float, *, rise: float) -> Given:
    """What users say of a version by themselves."""
    asked = rng.poisson(ANSWERS * world.activity)
    user = np.repeat(np.arange(USERS), asked)
    prompt = rng.choice(PROMPTS, len(user), p=world.popularity)
    chance = np.clip(world.trouble[prompt] + rise, 0.01, 0.99)
    logit = np.log(chance / (1 - chance)) + world.temper[user]
    down = rng.random(len(user)) < 1 / (1 + np.exp(-logit))
    day = rng.integers(0, DAYS, len(user))
    said = rng.random(len(user)) < ready
    return Given(user[said], prompt[said], day[said], down[said])


def manipulated(rng: np.random.Generator, world: World, given: Given, arm: str) -> Given:
    """The first `MANIPULATORS` users do as the arm says instead of what they did."""
    if arm == "honest":
        return given
    others = given.user >= MANIPULATORS
    size = TOPIC if arm == "topic" else int(ANSWERS)
    user = np.repeat(np.arange(MANIPULATORS), size)
    drawn = rng.choice(PROMPTS, len(user), p=world.popularity)
    prompt = np.tile(world.topic, MANIPULATORS) if arm == "topic" else drawn
    day = rng.integers(0, DAYS, len(user))
    return Given(
        np.concatenate([given.user[others], user]),
        np.concatenate([given.prompt[others], prompt]),
        np.concatenate([given.day[others], day]),
        np.concatenate([given.down[others], np.ones(len(user), dtype=bool)]),
    )


def listed(given: Given) -> list[int]:
    """The list of the page: prompts, the surest first."""
    counted: dict[tuple[int, int], list[int]] = {}
    for prompt, user, down in zip(given.prompt, given.user, given.down, strict=True):
        found = counted.setdefault((int(prompt), int(user)), [0, 0])
        found[0], found[1] = found[0] + 1, found[1] + int(down)
    thumbs = [Thumbs(str(p), str(u), n, down) for (p, u), (n, down) in counted.items()]
    return [int(name) for name, _ in troubled(thumbs)[:MOST_SHOWN]]


def raised(after: Given, before: Given) -> bool:
    level = 1 / settings.OUTERLOOP_SIGNALS_EVIDENCE
    found = rate_rise(votes(after), votes(before), least=LEAST_RISE, level=level)
    return found is not None and found.crossed is not None


def votes(given: Given) -> list[bool]:
    """One of each user: most thumbs of the first day with any, in the order of these days."""
    first = np.full(USERS, DAYS)
    np.minimum.at(first, given.user, given.day)
    then = given.day == first[given.user]
    n = np.bincount(given.user[then], minlength=USERS)
    bad = np.bincount(given.user[then], weights=given.down[then], minlength=USERS)
    scrambled = (np.arange(USERS) * 7919) % USERS  # as the hashes of users are
    order = np.lexsort((scrambled, first))
    return [bool(2 * bad[u] > n[u]) for u in order if n[u]]


def _part(of: Sequence[int], among: set[int]) -> float:
    return sum(each in among for each in of) / len(of) if of else 1.0


def _means(found: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([each[name] for each in found])) for name in found[0]}


if __name__ == "__main__":
    main()
