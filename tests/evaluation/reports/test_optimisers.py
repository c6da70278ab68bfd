"""Reports of policies that were trained in different ways: curves of any optimiser, and one table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from evaluation.contracts import Interval, RoundSummary
from evaluation.reports import charts
from evaluation.reports.charts.training import policy_rows, training_charts
from evaluation.reports.models import ListedRound
from evaluation.reports.pages.history_page import history_page, optimizer_table
from evaluation.reports.selectors import HistoryTotals, ReportedLine
from tests.evaluation.reports import records


def measured(step: int) -> dict[str, float | None]:
    """A row as DPO logs it: no clip fraction, implicit rewards instead."""
    return {
        "step": float(step),
        "reward_train": 0.01 * step,
        "reward_held_out": 0.008 * step,
        "kl_exact": 0.02 * step,
        "entropy": 2.0 - 0.001 * step,
        "response_length": 12.0,
        "implicit_margin": 0.005 * step,
        "validation_implicit_accuracy": 0.5 + 0.001 * step,
    }


@pytest.mark.parametrize("kind", ["dpo", "best_of_n"])
def test_the_charts_of_a_round_are_drawn_from_any_optimiser_s_rows(kind: str) -> None:
    curves: dict[str, Any] = {kind: tuple(measured(step) for step in range(0, 140, 20))}
    record = replace(records.PROMOTED, training_curves=curves)
    assert [row["step"] for row in policy_rows(record)] == [0, 20, 40, 60, 80, 100, 120]
    titles = {chart.title for chart in training_charts(record)}
    assert titles == {
        *("Reward", "KL to the reference", "Entropy", "Reply length"),
        *("Margin between the pairs", "Validation pairs told apart"),
    }
    drawn = charts.reward_by_distance(record)
    assert drawn is not None
    assert "The training reward model sees a gain of 1.20 z" in drawn.description


def test_texts_outside_the_references_have_a_chart_where_they_were_counted() -> None:
    rows = tuple(measured(step) | {"outlier_share": 0.001 * step} for step in range(0, 140, 20))
    found = training_charts(replace(records.PROMOTED, training_curves={"ppo": rows}))
    (chart,) = [c for c in found if c.title == "Texts outside the reference's"]
    assert chart.description.endswith("from 0 at step 0 to 0.12 at step 120.")


def summary(number: int, optimizer: str, kl: float, adapter: str = "") -> RoundSummary:
    rate, gain = Interval(0.6, 0.5, 0.7, 0.95, 100), Interval(0.4, 0.3, 0.5, 0.95, 100)
    return RoundSummary(
        number, "PROMOTE", "CLOSED", win_rate=rate, kl=kl, held_out_gain=gain,
        optimizer=optimizer, adapter=adapter, policy_seconds=90.0,
    )  # fmt: skip


def test_the_latest_candidate_of_each_optimiser_stands_in_one_table() -> None:
    rounds = [
        summary(1, "ppo", 1.5),
        summary(2, "dpo", 2.5, "lora"),
        summary(3, "ppo", 1.8),
        replace(summary(4, "best_of_n", 0.9), win_rate=None),
    ]
    table = optimizer_table(rounds)
    assert table is not None
    found = {row.name: row.cells for row in table.rows}
    assert found["PPO"] == ("3", "60% (50% to 70%)", "1.8", "0.40 (0.30 to 0.50)", "2 min")
    assert found["DPO with LoRA"][0] == "2"
    assert found["best of n"][1] == "not measured"


def test_truth_is_shown_where_a_world_has_one() -> None:
    true = Interval(0.7, 0.6, 0.8, 0.95, 50)
    rounds = [replace(summary(1, "ppo", 1.0), truth_win_rate=true), summary(2, "dpo", 1.0)]
    table = optimizer_table(rounds)
    assert table is not None
    assert table.headings[-1] == "truth"
    assert [row.cells[-1] for row in table.rows] == ["70% (60% to 80%)", "not measured"]


def test_one_optimiser_needs_no_table() -> None:
    assert optimizer_table([summary(1, "ppo", 1.0), summary(2, "ppo", 2.0)]) is None
    assert (
        optimizer_table([summary(1, "ppo", 1.0), replace(summary(2, "dpo", 2.0), kl=None)]) is None
    )


def test_the_page_says_who_trained_each_round() -> None:
    rounds = [summary(2, "dpo", 2.5, "lora"), summary(1, "ppo", 1.5)]
    rows = [ListedRound(number=one.number, summary=one.to_json()) for one in rounds]
    totals = HistoryTotals(rounds=2, verdicts={"PROMOTE": 2}, compute_hours=0.0, overridden=0)
    page = history_page(ReportedLine("help-desk", "Help desk", simulated=False), rows, totals)
    assert [row.optimizer for row in page.rows] == ["DPO with LoRA", "PPO"]
    assert page.optimizers is not None
