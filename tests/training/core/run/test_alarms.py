"""Each alarm rings on its plant, and none on what ordinary runs look like."""

from __future__ import annotations

import math
from typing import Any

import pytest

from training.contracts import Alarms
from training.core.run.alarms import alarm_of, row_of

LIMITS = Alarms()


def healthy(updates: int = 20) -> list[dict[str, float | None]]:
    """A run as the demo's are: both rewards rise, KL grows slowly, entropy falls by a third."""
    return [
        {
            "reward_train": 0.05 * t,
            "reward_held_out": 0.03 * t + 0.1 * (-1) ** t,
            "kl_k1": 0.1 * t,
            "entropy": 0.53 - 0.01 * t,
            "policy_loss": -0.01,
            "value_loss": 0.3,
            "grad_norm": 0.3,
            "value_grad_norm": 0.2,
        }
        for t in range(updates)
    ]


def over_optimised(updates: int = 24) -> list[dict[str, float | None]]:
    """No KL control, few labels, as the demo shows it on purpose: the gate judges it, no alarm does."""
    return [
        {
            "reward_train": 0.06 * t,
            "reward_held_out": 0.4 * (1 - math.exp(-t / 5)),
            "kl_k1": 1.2 * t,
            "entropy": 0.53 * math.exp(-t / 18),
        }
        for t in range(updates)
    ]


def planted(rows: list[Any], at: int, **changes: Any) -> list[Any]:
    """The rows with what `changes` makes of t (the updates since the plant) from row `at` on."""
    for t, row in enumerate(rows[at:]):
        row.update({name: change(t, row[name]) for name, change in changes.items()})
    return rows


def rings_at(rows: list[Any], limits: Alarms = LIMITS) -> tuple[str, int] | None:
    """Name of the first alarm and the row that it rings at, reading as a run does."""
    for end in range(1, len(rows) + 1):
        alarm = alarm_of(rows[:end], limits)
        if alarm is not None:
            return alarm.name, end - 1
    return None


@pytest.mark.parametrize("rows", [healthy(), healthy(200)[:30], over_optimised()])
def test_no_alarm_rings_on_an_ordinary_run(rows: list[Any]) -> None:
    assert rings_at(rows) is None


@pytest.mark.parametrize(
    "name", ["policy_loss", "value_loss", "grad_norm", "reward_train", "kl_k1"]
)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_rings_at_once(name: str, value: float) -> None:
    rows = planted(healthy(), 7, **{name: lambda t, old: value})
    assert rings_at(rows) == ("nan", 7)
    alarm = alarm_of(rows[:8], Alarms(kl_limit=0, entropy_share=0, reward_rise=0))
    assert alarm is not None
    assert name.replace("_", " ") in alarm.says


def test_exploding_kl_rings_at_once_and_only_above_its_limit() -> None:
    rows = planted(healthy(), 5, kl_k1=lambda t, old: 30.0 * 2**t)  # 30, 60, 120
    assert rings_at(rows) == ("kl_explosion", 7)
    assert rings_at(rows, Alarms(kl_limit=59.9)) == ("kl_explosion", 6)
    assert rings_at(rows, Alarms(kl_limit=0)) is None


def test_collapsed_entropy_rings_once_it_lasts() -> None:
    rows = planted(healthy(), 10, entropy=lambda t, old: 0.53 * 0.019)
    assert rings_at(rows) == ("entropy_collapse", 12)
    assert rings_at(rows, Alarms(patience=5)) == ("entropy_collapse", 14)
    assert rings_at(rows, Alarms(entropy_share=0.018)) is None
    assert rings_at(rows, Alarms(entropy_share=0)) is None


def test_entropy_that_recovers_rings_nothing() -> None:
    rows = planted(healthy(), 10, entropy=lambda t, old: 0.001 if t % 3 < 2 else 0.4)
    assert rings_at(rows) is None


def test_reward_without_held_out_gain_rings_once_the_gap_lasts() -> None:
    # From row 6 the held-out reward stands still and the training reward rises by 0.5 an update.
    rows = [{"reward_train": 0.0, "reward_held_out": 0.1 * min(t, 6)} for t in range(30)]
    rows = planted(rows, 6, reward_train=lambda t, old: 0.5 * t)
    # The smoothed held-out reward is at its best from row 8 (rows 6-8 alike), where the smoothed
    # training reward is 0.5; it has risen by 2 at row 12, and three such rows are there at row 14.
    assert rings_at(rows) == ("reward_without_held_out_gain", 14)
    assert rings_at(rows, Alarms(reward_rise=0)) is None
    assert rings_at(rows, Alarms(reward_rise=12.0)) is None


def test_a_held_out_reward_that_goes_on_rising_rings_nothing() -> None:
    rows = [{"reward_train": 0.5 * t, "reward_held_out": 0.01 * t} for t in range(60)]
    assert rings_at(rows) is None


def test_texts_outside_the_cloud_ring_where_a_limit_is_set_and_they_last() -> None:
    rows = [{"outlier_share": 0.01 if t < 6 or t == 7 else 0.41} for t in range(14)]
    assert rings_at(rows) is None  # off by default
    assert rings_at(rows, Alarms(outlier_share=0.4)) == ("outlier_states", 10)
    assert rings_at(rows, Alarms(outlier_share=0.4, patience=1)) == ("outlier_states", 6)
    assert rings_at(rows, Alarms(outlier_share=0.41)) is None
    assert rings_at(healthy(), Alarms(outlier_share=0.4)) is None  # nobody counts them
    alarm = alarm_of(rows, Alarms(outlier_share=0.4))
    assert alarm is not None
    assert alarm.says.startswith("41% of the texts lie outside what the reference writes")


def test_without_a_held_out_model_its_alarm_is_silent() -> None:
    rows = [{"reward_train": 1.0 * t, "reward_held_out": None} for t in range(40)]
    assert rings_at(rows) is None


def test_a_single_row_is_suspect_before_patience_runs_out() -> None:
    rows = planted(healthy(), 10, entropy=lambda t, old: 0.001)[:11]
    assert alarm_of(rows, LIMITS) is None
    assert alarm_of(rows, LIMITS, patience=1) is not None


def test_the_alarms_watch_only_what_they_know() -> None:
    metrics = {"kl_k1": 1.0, "entropy": 0.5, "seconds": 2.0, "reward_held_out": None}
    assert row_of(metrics) == {"kl_k1": 1.0, "entropy": 0.5, "reward_held_out": None}
