"""What the benchmark on a real model works out by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.real_policy import departures, plan_of
from benchmarks.real_ppo import memory_told
from benchmarks.real_runs import Done, resident_mb
from benchmarks.real_sizes import SIZES, Bench, sized
from outerloop.rounds.plan import RoundPlan, plan_override


def test_a_size_is_changed_by_its_name() -> None:
    changed = sized(SIZES, ["round.updates=3"])
    assert changed["round"]["updates"] == 3
    assert changed["memory"] == SIZES["memory"]


@pytest.mark.parametrize(
    "change", ["round.updates", "round.no=1", "no.updates=1", "round.updates=x"]
)
def test_a_size_that_there_is_not_is_refused(change: str) -> None:
    with pytest.raises(SystemExit, match=r"write PART\.SIZE=NUMBER"):
        sized(SIZES, [change])


def test_memory_is_read_from_what_the_kernel_says_of_a_process() -> None:
    status = "VmHWM:\t  900000 kB\nVmRSS:\t  524288 kB\nRssFile:\t  300000 kB\n"
    assert resident_mb(status) == 512.0
    assert resident_mb("") == 0.0


def test_memory_is_told_in_multiples_of_the_weights(tmp_path: Path) -> None:
    event = '{"phase": "memory", "metrics": {"total_gb": 2.097152, "weights_gb": 1.0}}\n'
    (tmp_path / "events.jsonl").write_text(event)
    manifest = {"results": {"trained_parameters": 5}, "peak_memory_mb": 1800.0}
    told = memory_told(Done(tmp_path, manifest, 300.0, 10.0, 8.0), 500.0)
    assert (told["peak_multiple"], told["estimate_multiple"]) == (3.0, 4.0)


def test_what_departs_from_defaults_is_found_inside_settings_too() -> None:
    defaults = {"a": 1, "b": {"c": 2, "d": 3}, "e": {"f": 4}}
    assert departures({"a": 1, "b": {"c": 2, "d": 9}, "e": {"f": 4}}, defaults) == {"b": {"d": 9}}


def test_the_plan_of_the_round_is_one_that_the_product_takes(
    tmp_path: Path, settings: pytest.FixtureRequest
) -> None:
    bench = Bench(tmp_path, tmp_path / "smollm2", tmp_path / "minilm", SIZES)
    (tmp_path / "minilm").mkdir()
    settings.OUTERLOOP_MODEL_FOLDERS = [str(tmp_path)]  # type: ignore[attr-defined]
    plan = plan_override(RoundPlan(), plan_of(bench))
    assert plan.policy.adapter.kind == "lora"
    assert plan.policy.sampling.max_new_tokens == SIZES["round"]["new_tokens"]
    assert plan.reward_model.members == 2
