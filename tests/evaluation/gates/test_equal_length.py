"""From labels to the win rate at equal length: whose text is whose, and which labels count."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest

from annotation.contracts import GateLabel
from evaluation.contracts import LengthControl
from evaluation.gates.equal_length import equal_length
from evaluation.gates.outcomes import outcomes_from_labels
from evaluation.statistics.controlled import length_control
from evaluation.statistics.style import style_differences
from tests.evaluation.gates.world import labels_from

CANDIDATE, INCUMBENT = uuid.uuid4(), uuid.uuid4()
SIDES: dict[str, Any] = {"candidate": CANDIDATE, "incumbent": INCUMBENT}


def written(outcomes: list[float], texts: list[tuple[str, str]]) -> list[GateLabel]:
    return labels_from(outcomes, **SIDES, texts=texts)


def measured(labels: list[GateLabel]) -> LengthControl | None:
    return equal_length(outcomes_from_labels(labels, **SIDES), labels, **SIDES)


def pairs(n: int) -> list[tuple[str, str]]:
    return [("word " * (3 + i % 7), "other " * (1 + i % 5)) for i in range(n)]


def test_each_text_is_counted_for_the_side_that_wrote_it() -> None:
    outcomes, texts = [1.0, 0.0, 0.5] * 20, pairs(60)
    labels = written(outcomes, texts)
    expected = length_control(
        outcomes,
        style_differences(texts),
        annotators=[label.rater for label in labels],
        groups=[label.group for label in labels],
    )
    assert expected is not None
    assert measured(labels) == expected


def test_choosing_the_longer_text_is_seen_through() -> None:
    """Longer texts win whoever wrote them; the candidate writes them in two pairs of three."""
    texts = [
        ("a" * (200 + 9 * i), "a" * 200) if i % 3 else ("a" * 200, "a" * (200 + 9 * i))
        for i in range(1, 121)
    ]
    found = measured(written([float(len(ours) > len(theirs)) for ours, theirs in texts], texts))
    assert found is not None
    assert found.win_rate == pytest.approx(2 / 3)
    assert found.controlled.low < 0.48 < found.controlled.high


def test_one_text_beside_itself_is_left_out() -> None:
    outcomes, texts = [1.0, 0.0, 1.0] * 20, pairs(60)
    found = measured(written([*outcomes, *[0.5] * 30], [*texts, *[("same", "same")] * 30]))
    assert found is not None
    assert found.labels == 60
    assert found.win_rate == pytest.approx(2 / 3)
    assert measured(written([0.5] * 40, [("same", "same")] * 40)) is None


def test_labels_on_other_versions_and_second_labels_of_a_prompt_say_nothing() -> None:
    labels = written([1.0, 0.0, 1.0] * 20, pairs(60))
    foreign = labels_from([1.0] * 9, candidate=CANDIDATE, incumbent=uuid.uuid4())
    again = replace(labels[0], texts=("another", "pair of texts"))
    assert measured([*labels, *foreign, again]) == measured(labels)
    assert measured(foreign) is None
