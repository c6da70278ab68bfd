"""The gate looks at labels as they come, and the first verdict counts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from evaluation import facade as evaluation
from outerloop.selftest.trials import _held_by, verdict_as_labels_come

LABELS: Any = [(f"label {i}", SimpleNamespace(prompt=str(i), scores=(1.0, 0.0))) for i in range(50)]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many labels the gate saw at each look; it is content from forty on."""
    seen: list[int] = []

    def rehearse(_: Any, labels: Any, scores: Any) -> Any:
        seen.append(len(labels))
        assert len(scores) == len(LABELS)
        return SimpleNamespace(labels_wanted=len(labels) < 40)

    monkeypatch.setattr(evaluation, "gate_rehearse", rehearse)
    return seen


def test_the_first_verdict_that_wants_no_more_labels_counts(looks: list[int]) -> None:
    verdict, read = verdict_as_labels_come(SimpleNamespace(), LABELS, 15)  # type: ignore[arg-type]
    assert (read, looks) == (45, [15, 30, 45])
    assert not verdict.labels_wanted


def test_where_labels_end_the_last_look_is_at_all_of_them(
    looks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, read = verdict_as_labels_come(SimpleNamespace(), LABELS[:50], 35)  # type: ignore[arg-type]
    assert (read, looks) == (50, [35, 50])


def test_who_stood_in_the_way_are_the_required_checks_that_did_not_pass() -> None:
    checks = [
        SimpleNamespace(id="G1", required=True, status="FAIL"),
        SimpleNamespace(id="G6", required=False, status="FAIL"),
        SimpleNamespace(id="G4", required=True, status="PASS"),
        SimpleNamespace(id="G5", required=True, status="UNRESOLVED"),
    ]
    assert _held_by(SimpleNamespace(checks=checks)) == ["G1", "G5"]  # type: ignore[arg-type]
