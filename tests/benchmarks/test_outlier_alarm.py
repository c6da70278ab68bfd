"""What the benchmark of the alarms makes of rows: by hand, without a run."""

from __future__ import annotations

import pytest

from benchmarks.outlier_alarm import MEASURES, judged, limit_found, rings_at, table

LIMITS: dict[str, float | None] = {"held-out": 0.5, "outside": 0.3, "KL": None}


def rows(gold: list[float], outside: list[float]) -> list[dict[str, float | None]]:
    """Training reward rises by 0.25 an update, the held-out one stands still."""
    return [
        {
            "reward_verifier": g,
            "outlier_share": o,
            "reward_train": 0.25 * t,
            "reward_held_out": 0.0,
            "kl_k1": 1.0 * t,
            "entropy": 0.5,
        }
        for t, (g, o) in enumerate(zip(gold, outside, strict=True))
    ]


FALLING = rows([0, 1, 2, 3, 3, 3, 2, 1, 0, 0], [0.01, 0.2, 0.4, 0.4, 0.4, 0.5, 0.5, 0.5, 0.5, 0.5])


def test_the_gold_falls_where_a_tenth_of_the_smoothed_peak_is_lost() -> None:
    """Means over three: 0.5, 1, 2, 2.67, 3, 2.67 ...: highest at 4, below 2.7 at 5."""
    found = judged(FALLING, LIMITS)
    assert (found["peak"], found["gain_peak"], found["fallen"]) == (4, 3.0, 5)
    assert found["rings"] == {"held-out": 5, "outside": 4, "KL": None}
    assert found["leads"] == {"held-out": 0, "outside": 1, "KL": None}


def test_gold_that_never_rose_has_nothing_to_lose() -> None:
    found = judged(rows([0, -1, -2, -3], [0.0] * 4), LIMITS)
    assert (found["fallen"], found["leads"]["held-out"]) == (None, None)


def test_a_limit_is_the_smallest_that_leaves_good_runs_alone() -> None:
    good = [rows([0.0] * 6, [0.0, 0.1, 0.15, 0.15, 0.15, 0.2]), rows([0.0] * 6, [0.0] * 6)]
    assert limit_found("outside", good) == 0.16  # three in a row are above 0.14, not above 0.16
    assert rings_at(good[0], "outside", 0.14) == 4
    assert limit_found("KL", good) == 5.0
    wild = [rows([0.0] * 6, [1.0] * 6)]
    assert limit_found("outside", wild) is None
    assert rings_at(wild[0], "outside", None) is None


def test_the_table_says_when_each_rings_and_how_long_before_the_fall() -> None:
    said = table({"free 1": judged(FALLING, LIMITS)}, LIMITS).splitlines()
    assert said[0].startswith(
        "| arm | peak at | gain | at the end | fallen at | held-out (limit 0.5)"
    )
    assert said[2].split(" | ")[1:] == ["4", "+3.00", "+0.00", "5", "5 (+0)", "4 (+1)", "silent |"]


@pytest.mark.parametrize("measure", MEASURES)
def test_limits_rise(measure: str) -> None:
    _, grid = MEASURES[measure]
    assert list(grid) == sorted(set(grid))
