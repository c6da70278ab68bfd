"""Evidence counted by annotator, against the formulas written out and against draws of panels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from evaluation.statistics.betting import Aim, hedged_e_process
from evaluation.statistics.people import people_confidence_sequence, people_e_process
from evaluation.statistics.sequences import FRACTIONS

AIM = Aim(level=0.04, labels=20)
PEOPLE = ["a", "b", "c", "a", "b", "c", "a", "b", "c"]
OUTCOMES = [1.0, 1.0, 0.5, 1.0, 0.0, 1.0, 1.0, 1.0, 0.5]


def leaning(people: int, labels: int) -> tuple[np.ndarray, list[str]]:
    """Labels in turn of people who differ: each leans to one side, more than one of them to the first."""
    rng = np.random.default_rng(3)
    leanings = rng.beta(1.6, 1.0, people)
    who = [i % people for i in range(labels)]
    return (rng.random(labels) < leanings[who]).astype(float), [f"{i}" for i in who]


def by_hand(outcomes: Sequence[float], people: Sequence[str], null: float = 0.5) -> float:
    x, who = np.array(outcomes), np.array(people)
    names = sorted(set(people))
    clustered, effective = spread_by_hand(x, who)
    t = (x.mean() - null) / np.sqrt(clustered)
    z = stats.norm.isf(stats.t.sf(t, len(names) - 1))
    mixture = np.exp(FRACTIONS * z * np.sqrt(effective) - FRACTIONS**2 * effective / 2).mean()
    q, done = stats.norm.isf(0.75 * AIM.level / 2), len(x) / AIM.labels
    option = 2 * stats.norm.sf((q - z * np.sqrt(done)) / np.sqrt(1 - done)) / (0.75 * AIM.level)
    return float(0.75 * option + 0.25 * mixture)


def spread_by_hand(x: np.ndarray, who: np.ndarray) -> tuple[float, float]:
    """The cluster-robust variance of the mean, and the number of independent labels that it is worth."""
    n, names = len(x), sorted(set(who))
    sums = np.array([(x[who == name] - x.mean()).sum() for name in names])
    clustered = len(names) / (len(names) - 1) * (sums**2).sum() / n**2
    plain = ((x**2).sum() + 1) / (n + 2) - ((x.sum() + 1) / (n + 2)) ** 2
    return clustered, n / max(1.0, clustered / (plain / n))


def test_people_who_differ_are_worth_fewer_labels() -> None:
    x, who = leaning(6, 18)
    _, effective = spread_by_hand(x, np.array(who))
    assert 4 < effective < 12  # of 18
    found = people_e_process(x, who, aim=AIM, block=18)
    assert found[0] == pytest.approx(by_hand(list(x), who))


def test_the_evidence_follows_from_the_spread_between_annotators() -> None:
    found = people_e_process(OUTCOMES, PEOPLE, aim=AIM, block=3)
    assert found[2] == pytest.approx(by_hand(OUTCOMES, PEOPLE))
    assert found[1] == pytest.approx(by_hand(OUTCOMES[:6], PEOPLE[:6]))
    assert people_e_process(OUTCOMES, PEOPLE, aim=AIM, block=3, null=0.55)[2] == pytest.approx(
        by_hand(OUTCOMES, PEOPLE, null=0.55)
    )


def test_one_person_is_no_evidence_about_others() -> None:
    found = people_e_process([1.0] * 50, ["a"] * 50, aim=Aim(0.04, 50))
    assert list(found) == [1.0] * 50


def test_people_who_all_agree_are_evidence_though_no_spread_is_seen() -> None:
    people = [f"{i % 10}" for i in range(100)]
    assert people_e_process([1.0] * 100, people, aim=Aim(0.03, 200), block=10)[-1] > 1000


def test_at_the_barrier_the_aimed_part_is_worth_what_it_aimed_at() -> None:
    people = [f"{i % 10}" for i in range(100)]
    x = [1.0 if i % 7 else 0.0 for i in range(100)]
    found = people_e_process(x, people, aim=Aim(0.03, 100), block=100)
    assert found[0] >= 1 / 0.03  # what was aimed at, and the mixture's part
    past = people_e_process([1.0, 0.0] * 50, people, aim=Aim(0.03, 60), block=10)
    assert past[-1] < 1  # the planned labels are over and nothing was reached


def panels(people: int, labels: int, icc: float, draws: int, seed: int):
    """Label streams of a fresh even-minded panel each, one person after another."""
    rng = np.random.default_rng(seed)
    half = 0.5 * (1 / icc - 1)
    who = np.repeat(np.arange(people), labels // people)
    for _ in range(draws):
        leanings = rng.beta(half, half, people)
        # as they are read: one label of each person a block
        order = np.argsort(np.tile(np.arange(labels // people), people), kind="stable")
        yield (rng.random(labels) < leanings[who]).astype(float)[order], who[order]


def test_a_panel_that_leans_by_chance_promotes_no_more_often_than_it_may() -> None:
    aim, needed = Aim(0.03, 240), 1 / 0.03
    like_them, these = [], []
    for x, who in panels(8, 240, 0.1, 250, seed=5):
        like_them.append(people_e_process(x, who, aim=aim, block=8).max() >= needed)
        these.append(hedged_e_process(x, aim=aim, block=8).max() >= needed)
    assert np.mean(like_them) <= 0.06
    assert np.mean(these) > 0.1  # which is why the two hypotheses are told apart


def test_the_confidence_sequence_holds_the_population_at_every_look() -> None:
    missed = 0
    for x, who in panels(12, 240, 0.1, 200, seed=6):
        bounds = people_confidence_sequence(x, who, block=12)
        missed += bool(((bounds[:, 0] > 0.5) | (bounds[:, 1] < 0.5)).any())
    assert missed / 200 <= 0.05


def test_the_confidence_sequence_only_narrows_and_begins_with_everything() -> None:
    x, who = next(panels(12, 480, 0.02, 1, seed=2))
    bounds = people_confidence_sequence(x, who, block=12)
    assert (np.diff(bounds[:, 0]) >= 0).all()
    assert (np.diff(bounds[:, 1]) <= 0).all()
    assert list(people_confidence_sequence(x[:3], ["a"] * 3)[-1]) == [0.0, 1.0]


def test_the_bounds_are_robbins_mixture_at_the_labels_that_count() -> None:
    x, who = leaning(20, 400)
    clustered, size = spread_by_hand(x, np.array(who))
    assert size < 200
    for level, found in (
        (0.9, people_confidence_sequence(x, who, level=0.9, block=400)[0]),
        (0.95, people_confidence_sequence(x, who, block=400)[0]),
    ):
        alpha = 1 - level
        rate = size * (-2 * np.log(alpha) + np.log(1 - 2 * np.log(alpha))) / 300
        z = np.sqrt((1 + 1 / rate) * np.log((1 + rate) / alpha**2))
        reach = stats.t.isf(stats.norm.sf(z), 19) * np.sqrt(clustered)
        assert 0 < x.mean() - reach < x.mean() + reach < 1
        assert found.tolist() == pytest.approx([x.mean() - reach, x.mean() + reach])


def test_every_outcome_has_its_annotator() -> None:
    with pytest.raises(ValueError, match="2 outcomes but 1 annotators"):
        people_e_process([1.0, 0.0], ["a"], aim=AIM)
