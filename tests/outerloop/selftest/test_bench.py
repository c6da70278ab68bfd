"""The learning process: one for all orders, what is done is only read, a failure is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from outerloop.selftest.bench import Bench, LearningFailed, _progress
from training.contracts import RECIPE_MODULES, SamplePairsConfig

CONFIG = SamplePairsConfig()


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECIPE_MODULES, "sample_pairs", "tests.outerloop.selftest.a_program")


@pytest.mark.usefixtures("program")
def test_orders_share_one_process_and_a_finished_one_is_only_read(tmp_path: Path) -> None:
    told: list[str] = []
    rows = tmp_path / "rows.jsonl"
    rows.write_text("{}\n")
    with Bench(tmp_path / "work", told.append) as bench:
        first = bench.run("sample_pairs", 1, {"prompts": rows}, CONFIG)
        child = bench._child
        second = bench.run("sample_pairs", 2, {"prompts": rows}, CONFIG)
        again = bench.run("sample_pairs", 1, {"prompts": rows}, CONFIG)
        assert bench._child is child
    assert child is not None
    assert child.poll() is not None  # it ends with the bench
    assert (first.manifest.results, second.manifest.results) == ({"seed": 1}, {"seed": 2})
    assert again.directory == first.directory
    assert (first.directory / "started").read_text() == "x"
    assert set(told) == {"answers to compare"}
    with Bench(tmp_path / "work") as bench:  # after a kill, say
        bench.run("sample_pairs", 1, {"prompts": rows}, CONFIG)
        assert bench._child is None


@pytest.mark.usefixtures("program")
def test_a_program_that_fails_is_named_with_its_reason_and_its_log(tmp_path: Path) -> None:
    with (
        Bench(tmp_path / "work") as bench,
        pytest.raises(
            LearningFailed, match=r"'sample_pairs' failed: Seed 13 is unlucky.*learning\.log"
        ),
    ):
        bench.run("sample_pairs", 13, {}, CONFIG)


def test_other_input_is_another_order(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.rows("labels", [{"a": 1}]) != bench.rows("labels", [{"a": 2}])
    assert bench.rows("labels", [{"a": 1}]) == bench.rows("labels", [{"a": 1}])


def test_progress_is_the_last_whole_event(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    assert _progress(tmp_path) == ""
    event = {"seq": 1, "at": "", "phase": "ppo", "step": 3, "total_steps": 36}
    path.write_text(json.dumps(event) + "\n")
    assert _progress(tmp_path) == "step 3 of 36"
    path.write_text(json.dumps(event) + "\n" + json.dumps(event)[:20])
    assert _progress(tmp_path) == ""
