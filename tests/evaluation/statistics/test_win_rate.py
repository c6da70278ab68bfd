"""The evidence of a round, put together from its parts."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.contracts import Hypothesis
from evaluation.statistics.betting import Aim, hedged_e_process
from evaluation.statistics.people import people_confidence_sequence, people_e_process
from evaluation.statistics.sequences import confidence_sequence, e_process
from evaluation.statistics.win_rate import WinRateEvidence, win_rate_evidence

AIM = Aim(level=0.03, labels=300)
X = np.random.default_rng(5).choice([1.0, 0.5, 0.0], 243, p=[0.55, 0.15, 0.3])
PEOPLE = [f"{i % 9}" for i in range(243)]


def evidence(hypothesis: Hypothesis, **changes: object) -> WinRateEvidence:
    told = {"aim": AIM, "block": 8, **changes}
    return win_rate_evidence(X, PEOPLE, hypothesis=hypothesis, **told)  # type: ignore[arg-type]


def test_only_whole_blocks_are_read() -> None:
    assert evidence("population").read == evidence("panel").read == 240


def test_for_people_like_them_the_evidence_is_counted_by_annotator() -> None:
    found = evidence("population")
    population = people_e_process(X, PEOPLE, aim=AIM, block=8)
    panel = hedged_e_process(X, aim=AIM, block=8)
    assert found.max_e_value == population.max()
    assert found.panel_max_e_value == panel.max()
    assert found.e_value == min(population[-1], panel[-1])  # what it would buy back, at least
    bounds = people_confidence_sequence(X, PEOPLE, block=8)[-1]
    last = found.trajectory[-1]
    assert (last.low, last.high) == tuple(bounds)
    assert last.e_value == population[-1]


def test_that_people_like_them_prefer_the_incumbent_is_counted_by_annotator_too() -> None:
    found = evidence("population")
    mirrored = people_e_process(1 - X, PEOPLE, aim=AIM, block=8)
    assert found.max_e_value_worse == mirrored.max()
    other = evidence("population", null=0.55)
    assert other.max_e_value_worse == (
        people_e_process(1 - X, PEOPLE, aim=AIM, null=0.45, block=8).max()
    )


def test_for_these_people_every_label_counts() -> None:
    found = evidence("panel")
    panel = hedged_e_process(X, aim=AIM, block=8)
    assert (found.max_e_value, found.e_value) == (panel.max(), panel[-1])
    last = found.trajectory[-1]
    assert (last.low, last.high) == tuple(confidence_sequence(X)[239])
    assert last.labels == 240
    assert last.win_rate == pytest.approx(X[:240].mean())


def test_a_worse_candidate_is_seen_by_the_mirrored_process() -> None:
    x = 1 - X
    found = win_rate_evidence(x, PEOPLE, aim=AIM, hypothesis="panel", block=8)
    assert found.max_e_value_worse == e_process(X)[7::8].max()
    assert found.max_e_value_worse > 20
    assert found.max_e_value < 5


def test_evidence_against_another_null_is_mirrored_about_it() -> None:
    found = evidence("panel", null=0.55)
    assert found.max_e_value == hedged_e_process(X, aim=AIM, null=0.55, block=8).max()
    assert found.max_e_value_worse == e_process(1 - X, null=0.45)[7::8].max()


def test_the_path_is_thinned_and_keeps_both_ends() -> None:
    found = evidence("panel", points=3)
    assert [point.labels for point in found.trajectory] == [8, 120, 240]  # 0, 14.5 to even, 29
    assert len(evidence("panel").trajectory) == 30  # as many as there are blocks
    by_label = evidence("panel", block=1)
    assert len(by_label.trajectory) == 120


def test_every_label_is_looked_at_unless_blocks_are_asked_for() -> None:
    told = {"aim": AIM, "hypothesis": "panel"}
    found = win_rate_evidence(X, PEOPLE, **told)  # type: ignore[arg-type]
    assert found.read == 243
    assert found == win_rate_evidence(X, PEOPLE, block=1, **told)  # type: ignore[arg-type]


def test_the_level_of_the_confidence_sequence_is_95_per_cent_unless_said() -> None:
    assert evidence("panel") == evidence("panel", level=0.95, null=0.5, points=120)
    wide, narrow = (evidence("population", level=at).trajectory[-1] for at in (0.99, 0.9))
    assert wide.high - wide.low > narrow.high - narrow.low
