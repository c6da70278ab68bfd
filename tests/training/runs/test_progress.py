"""Where a run stands, read from its events; and the small charts of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest

from training.contracts import RunEvent
from training.runs.charts import number, run_charts, value_axis
from training.runs.progress import RunAlarm, run_alarm, standing

BEGIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def event(seq, phase, step, total, *, at=0.0, message="", **metrics):
    when = (BEGIN + timedelta(seconds=at)).isoformat()
    return RunEvent(seq, when, phase, step, total, metrics, message)


def at(seconds, events):
    """Where the run stands so many seconds after its beginning."""
    where = standing(events, now=BEGIN + timedelta(seconds=seconds))
    assert where is not None
    return where


def test_nothing_is_known_of_a_run_without_events():
    assert standing([], now=BEGIN) is None
    assert run_alarm([]) is None
    assert run_charts([]) == []


def test_time_left_follows_the_pace_of_the_present_phase():
    events = [
        event(1, "start", 1, 1),
        event(2, "train a", 10, 100, at=5),
        event(3, "train a", 100, 100, at=50),
        event(4, "train b", 10, 100, at=60),
        event(5, "train b", 30, 100, at=70),  # 20 steps in 10 s: 70 steps more take 35 s
    ]
    where = at(75, events)  # of which 5 s are gone
    assert (where.phase, where.step, where.total) == ("train b", 30, 100)
    assert where.seconds_left == pytest.approx(30)
    assert at(500, events).seconds_left == 0.0


def test_a_single_report_tells_no_pace():
    events = [event(1, "start", 1, 1), event(2, "ppo", 1, 20, at=3)]
    assert at(4, events).seconds_left is None


def test_time_before_a_restart_is_no_part_of_the_pace():
    events = [
        event(1, "start", 1, 1),
        event(2, "ppo", 1, 10, at=10),
        event(3, "start", 1, 1, at=1000, message="A new attempt."),
        event(4, "ppo", 2, 10, at=1010),
        event(5, "ppo", 4, 10, at=1020),  # 5 s a step, 6 steps to go
    ]
    assert at(1020, events).seconds_left == pytest.approx(30)


def test_an_alarm_speaks_for_its_attempt_only():
    stopped = [event(1, "start", 1, 1), event(2, "alarm nan", 3, 9, message="loss is nan")]
    assert run_alarm(stopped) == RunAlarm("nan", "Not a number", "loss is nan")
    assert run_alarm([*stopped, event(3, "start", 1, 1)]) is None
    assert run_alarm([event(1, "alarm of_my_own", 1, 1)]) == RunAlarm("of_my_own", "of my own", "")


def rows():
    return [
        event(
            t, "ppo", t, 9, reward_train=0.1 * t, reward_held_out=None, kl_k1=2.0, entropy=0.5 - t
        )
        for t in range(1, 6)
    ]


def test_what_was_reported_twice_or_more_gets_a_chart():
    charts = {chart.title: chart for chart in run_charts(rows())}
    assert list(charts) == ["Reward", "KL to the reference", "Entropy"]
    assert charts["Reward"].legend == (("training", "train", "0.5"),)
    assert "training from 0.1 at step 1 to 0.5 at step 5" in charts["Reward"].svg


def test_a_step_that_a_killed_run_repeats_counts_once_and_the_later_row_wins():
    again = [*rows(), event(7, "ppo", 5, 9, reward_train=0.9)]
    (reward, *_) = run_charts(again)
    assert reward.legend[0][2] == "0.9"
    assert reward.svg.count("<polyline") == 1


def test_members_of_an_ensemble_have_a_line_each():
    events = [
        event(t, f"train member_{m}", t % 10, 10, loss=0.7 - 0.01 * t)
        for m in range(2)
        for t in range(1, 9)
    ]
    (loss,) = run_charts(events)
    assert [name for name, _, _ in loss.legend] == ["member 0", "member 1"]


def test_a_chart_is_plain_markup_that_a_strict_page_may_hold():
    for chart in run_charts([*rows(), event(9, "ppo", 6, 9, kl_k1=float("nan"))]):
        root = ElementTree.fromstring(chart.svg)
        assert {e.tag for e in root.iter()} <= {"svg", "line", "text", "polyline"}
        assert not [e for e in root.iter() if "style" in e.attrib or "onclick" in e.attrib]
        for line in root.iter("polyline"):
            for pair in line.attrib["points"].split():
                x, y = map(float, pair.split(","))
                assert 0 <= x <= 320
                assert 0 <= y <= 130


def test_long_runs_are_thinned_but_keep_their_end():
    events = [event(t, "ppo", t, 5000, entropy=float(t)) for t in range(1, 2001)]
    (chart,) = run_charts(events)
    (line,) = ElementTree.fromstring(chart.svg).iter("polyline")
    assert len(line.attrib["points"].split()) <= 160
    assert chart.legend[0][2] == "2,000"


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0.0, 1.0], [0.0, 0.5, 1.0]),
        ([0.12, 0.55], [0.2, 0.4]),
        ([-1.0, 3.0], [-1.0, 0.0, 1.0, 2.0, 3.0]),
    ],
)
def test_ticks_are_round_numbers_inside_the_values(values, ticks):
    low, high, found = value_axis(values)
    assert (low, high) == (min(values), max(values))
    assert found == pytest.approx(ticks)


@pytest.mark.parametrize("value", [0.0, 5.0, -3.0, 1e-9])
def test_a_flat_line_stands_in_the_middle(value):
    low, high, ticks = value_axis([value, value])
    assert low < value < high
    assert ticks
    assert number(value)
