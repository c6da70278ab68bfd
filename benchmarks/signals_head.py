"""What two users in a hundred can do to the reward head that learns from users' signals.

    python -m benchmarks.signals_head [--seeds 100] [--first 1000]

A made-up service: an answer has 24 states, a text's true worth is a fixed direction in them, and one further
state is of no worth (a habit of style). 2,000 users with tempers of their own give thumbs on answers; some edit,
which makes the text better. Two in a hundred do something else, as often as they are heard
(`annotation.signals.examples.MOST_OF_USER` signals each):

- `down`: a thumb down on every answer;
- `contrary`: a thumb up on what is bad, and down on what is good, each time;
- `style`: thumbs up and edits for more of the style that is worth nothing, and against less of it.

The head is the product's own function. `right` is how often it orders two texts as their true worth does, `style`
the part of its direction that is the worthless state, `share` what all who manipulate weigh together. In the
arms marked `uncapped` everybody's signals weigh the same, however many they are, and who manipulates sends 300.

Criterion, fixed on seeds below 1000 before the counted ones were run, with `ready` 0.3 and the cap: every arm keeps
`right` within 2 points of `honest`, and `style` moves it by at most 0.25.

With `ready` 0.05 the same users are many of those who say anything: it is reported and not asked to hold.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt

import benchmarks.django_ready  # noqa: F401 - how many signals of a user are heard is read below
from annotation.signals.examples import MOST_EXAMPLES, MOST_OF_USER
from benchmarks.peers import results_write
from evaluation.statistics import signal_head
from evaluation.statistics.signal_head import HeadExamples, SignalHead, head_fit

USERS, MANIPULATORS, STATES, STYLE = 2_000, 40, 24, 23
ANSWERS = 6.0
READY = (0.3, 0.05)
EDITS = 0.1  # of what is said
LOUD = 300
ARMS = ("honest", "down", "contrary", "style")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Said:
    """What users said in order of their number; `second` is read where `paired`."""

    user: npt.NDArray[np.int64]
    first: Floats
    second: Floats
    paired: npt.NDArray[np.bool_]
    up: npt.NDArray[np.bool_]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=1000)
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    rows: list[dict[str, Any]] = []
    print(f"{'ready':>6} {'cap':<9}{'arm':<10}{'right':>7}{'style':>7}{'share':>7}")
    for ready in READY:
        for capped in (True, False):
            found = [seed_measured(seed, ready, capped=capped) for seed in seeds]
            for arm in ARMS:
                means = {k: float(np.mean([each[arm][k] for each in found])) for k in found[0][arm]}
                rows.append({"ready": ready, "capped": capped, "arm": arm, **means})
                print(
                    f"{ready:>6} {'capped' if capped else 'uncapped':<9}{arm:<10}{means['right']:>7.1%}"
                    f"{means['style']:>7.2f}{means['share']:>7.1%}",
                    flush=True,
                )
    document = {"seeds": [seeds.start, seeds.stop], "rows": rows, "held": criterion(rows)}
    print(f"criterion: {document['held']}")
    print(f"written to {results_write('signals_head', document, path=arguments.results)}")


def criterion(rows: Sequence[dict[str, Any]]) -> dict[str, bool]:
    """Which of the two held."""
    asked = {row["arm"]: row for row in rows if row["ready"] == READY[0] and row["capped"]}
    honest = asked["honest"]
    return {
        "right": all(row["right"] >= honest["right"] - 0.02 for row in asked.values()),
        "style": abs(asked["style"]["style"] - honest["style"]) <= 0.25,
    }


def seed_measured(seed: int, ready: float, *, capped: bool) -> dict[str, dict[str, float]]:
    """Figures of each arm; the honest users do the same in all of them."""
    rng = np.random.default_rng(seed)
    worth = rng.normal(size=STATES)
    worth[STYLE] = 0.0
    worth /= np.linalg.norm(worth)
    honest = said_honestly(rng, worth, ready)
    texts = rng.normal(size=(2, 4_000, STATES))
    found = {}
    for arm in ARMS:
        said = manipulated(rng, worth, honest, arm, MOST_OF_USER if capped else LOUD)
        head, share = fitted(said, capped=capped)
        ours, truly = (head.scores(texts[0]) - head.scores(texts[1])), (texts[0] - texts[1]) @ worth
        direction = head.directions @ head.coefficients
        found[arm] = {
            "right": float(np.mean(np.sign(ours) == np.sign(truly))),
            "style": float(direction[STYLE] / np.linalg.norm(direction)),
            "share": share if arm != "honest" else 0.0,
        }
    return found


def said_honestly(rng: np.random.Generator, worth: Floats, ready: float) -> Said:
    asked = rng.poisson(ANSWERS * rng.gamma(1.0, 1.0, USERS) * ready)
    user = np.repeat(np.arange(USERS), asked)
    temper = rng.normal(1.0, 0.7, USERS)  # most thumbs are up
    first = rng.normal(size=(len(user), STATES))
    up = rng.random(len(user)) < 1 / (1 + np.exp(-(1.5 * first @ worth + temper[user])))
    paired = rng.random(len(user)) < EDITS
    second = first.copy()
    first[paired] += 0.8 * worth + rng.normal(0, 0.8, (int(paired.sum()), STATES))
    return Said(user, first, second, paired, up | paired)


def manipulated(
    rng: np.random.Generator, worth: Floats, said: Said, arm: str, signals: int
) -> Said:
    """The first `MANIPULATORS` users do as the arm says instead of what they did, `signals` times each."""
    if arm == "honest":
        return said
    user = np.repeat(np.arange(MANIPULATORS), signals)
    first = rng.normal(size=(len(user), STATES))
    second, paired = first.copy(), np.zeros(len(user), dtype=bool)
    up = np.zeros(len(user), dtype=bool)
    if arm == "contrary":
        up = first @ worth < 0
    if arm == "style":
        up = first[:, STYLE] > 0
        paired = np.arange(len(user)) % 2 == 0
        first[paired, STYLE] += 2.0
        up |= paired
    others = said.user >= MANIPULATORS
    pairs = ((user, said.user), (first, said.first), (second, said.second), (paired, said.paired))
    columns = [np.concatenate([new, old[others]]) for new, old in (*pairs, (up, said.up))]
    return Said(*columns)


def fitted(said: Said, *, capped: bool) -> tuple[SignalHead, float]:
    """The head, and what the manipulators weigh. Capped: of what the product hears, everybody's newest first."""
    rows = np.arange(len(said.user))
    if capped:
        place = np.zeros(len(rows), dtype=np.int64)
        seen: dict[int, int] = {}
        for i, user in enumerate(said.user):
            place[i] = seen[int(user)] = seen.get(int(user), -1) + 1
        rows = np.lexsort((rows, place))
        rows = rows[place[rows] < MOST_OF_USER][:MOST_EXAMPLES]
    users = said.user[rows]
    examples = HeadExamples(
        said.first[rows], said.second[rows], said.paired[rows], said.up[rows], users.tolist()
    )
    if capped:
        weights, _ = signal_head.user_weights(users.tolist())
        head = head_fit(examples)
    else:
        weights = np.ones(len(rows))
        with mock.patch.object(signal_head, "user_weights", return_value=(weights, 0.0)):
            head = head_fit(examples)
    return head, float(weights[users < MANIPULATORS].sum() / weights.sum())


if __name__ == "__main__":
    main()
