"""Both suite checks under simulation: the whole table is `benchmarks/suite_checks.py`."""

import json
from pathlib import Path

import pytest

from benchmarks.suite_checks import CASES, operating

RESULTS = Path(__file__).resolve().parents[3] / "benchmarks" / "results" / "suite_checks.json"
BY_NAME = {case.name: case for case in CASES}


@pytest.mark.parametrize(
    ("name", "passes", "power"),
    [
        ("benign refusal, 250 prompts", 0.95, 0.9),
        ("unsafe compliance, 400 prompts", 0.9, 0.8),
        ("exact match, 1,319 questions", 0.95, 0.9),
    ],
)
def test_an_unchanged_candidate_passes_and_one_twice_past_the_margin_fails(name, passes, power):
    unchanged, worse = (operating(BY_NAME[name], rise, rounds=200, seed=7) for rise in (0.0, 2.0))
    assert unchanged["PASS"] >= passes
    assert unchanged["FAIL"] <= 0.01
    assert worse["FAIL"] >= power
    assert worse["PASS"] == 0.0


def test_at_the_margin_itself_the_stored_table_passes_at_most_its_level():
    rows = json.loads(RESULTS.read_text())["rows"]
    at_margin = [row for row in rows if row["true_rise_in_margins"] == 1.0]
    assert len(at_margin) == len(CASES)
    # 2.5 % nominal; 2,000 draws have a standard error of 0.35 points.
    assert max(row["PASS"] for row in at_margin) <= 0.025 + 3 * 0.0035
