"""Two processes that each hold a part of what learns: the same weights, and an exact resume."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.support import optimiser_runs
from tests.support.recipes import events, manifest, recipe_kill_after, recipe_run_on_two
from tests.training.recipes import test_ppo_processes
from tests.training.recipes.test_growing import learn, order, same_but_for_rounding
from tests.training.recipes.test_ppo_processes import inputs
from training.contracts import AdapterConfig
from training.core.run.errors import UserError
from training.recipes import runtime

__all__ = ["inputs"]  # a fixture

# 3 pairs at a time of 4 or 3; a tie parameter that is learned; the best weights, kept on the way.
PAIRS: dict[str, Any] = {"micro_batch_size": 3, "ties": "rao_kupper", "validate_every": 3}


def on_two(kind: str, spec: Path) -> int:
    return recipe_run_on_two(f"training.recipes.{kind}", spec, sharded=True)


def hashes(spec: Path, *names: str) -> list[str]:
    return [manifest(spec).artifact(name).sha256 for name in names]


@pytest.mark.slow
def test_fine_tuning_in_parts_is_that_of_one_process(tmp_path: Path) -> None:
    one, two = (order(tmp_path, "sft", name, micro_batch_size=1) for name in ("one", "two"))
    assert [learn(one, "sft"), on_two("sft", two)] == [0, 0]
    assert manifest(two).environment["processes"] == 2
    same_but_for_rounding(one, two, "sft")
    losses = [manifest(spec).results["validation_loss"] for spec in (one, two)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


@pytest.mark.slow
def test_a_reward_model_in_parts_is_that_of_one_process_stopped_or_not(tmp_path: Path) -> None:
    """The stopped run ends at its first report and goes on from there to the same bytes."""
    one, two, cut = (order(tmp_path, "reward_model", name, **PAIRS) for name in ("1", "2", "cut"))
    assert [learn(one, "reward_model"), on_two("reward_model", two)] == [0, 0]
    assert manifest(two).environment["processes"] == 2
    same_but_for_rounding(one, two, "reward_model")
    (cut.parent / "cancel").touch()
    assert on_two("reward_model", cut) != 0
    assert list((cut.parent / "checkpoints").rglob("checkpoint-*"))
    (cut.parent / "cancel").unlink()
    assert on_two("reward_model", cut) == 0
    both = ("reward_model", "held_out_reward_model")
    assert hashes(cut, *both) == hashes(two, *both)
    assert manifest(cut).results == manifest(two).results


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("dpo", {}),
        ("best_of_n", {}),
        # Other numbers of passes over strangers; texts that each process draws a share of.
        ("dpo", {"loss": "kto", "batch_size": 7, "micro_batch_size": 4}),
        ("dpo", {"exploration": 0.05, "micro_batch_size": 9}),
    ],
)
def test_policies_are_tuned_in_parts_as_by_one_process(
    tmp_path: Path, kind: str, settings: dict[str, Any]
) -> None:
    """With an adapter: the reference is the policy without it, gathered as well."""
    makes: dict[str, Any] = {
        "dpo": optimiser_runs.dpo_config,
        "best_of_n": optimiser_runs.best_of_n_config,
    }
    config = makes[kind](adapter=AdapterConfig(kind="lora", rank=2), **settings)
    inputs = optimiser_runs.write_inputs(tmp_path)
    one, two = tmp_path / "one", tmp_path / "two"
    assert optimiser_runs.run(kind, one, inputs, config) == 0
    optimiser_runs.write_order(kind, two, inputs, config)
    assert on_two(kind, two / "spec.json") == 0
    assert manifest(two / "spec.json").environment["processes"] == 2
    weights = [load_file(place / "policy" / "model.safetensors") for place in (one, two)]
    for name, weight in weights[0].items():
        torch.testing.assert_close(weight, weights[1][name], atol=1e-5, rtol=0, msg=name)


@pytest.mark.slow
def test_a_killed_ppo_run_passes_a_damaged_checkpoint_over_and_ends_with_the_same_bytes(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    changes = {"updates": 8, "checkpoint_every": 1}
    whole, cut = (
        test_ppo_processes.order(tmp_path / name, inputs, **changes) for name in ("whole", "cut")
    )
    assert on_two("ppo", whole) == 0
    recipe_kill_after("training.recipes.ppo", cut, "ppo", 3, on_two=True)
    newest = max((cut.parent / "checkpoints").glob("checkpoint-*"))
    damaged = bytearray((newest / "state.safetensors").read_bytes())
    damaged[-1] ^= 1
    (newest / "state.safetensors").write_bytes(damaged)
    assert on_two("ppo", cut) == 0
    assert hashes(cut, "policy") == hashes(whole, "policy")
    (refused,) = manifest(cut).results["checkpoints_refused"]
    assert newest.name in refused
    resumed = [event["step"] for event in events(cut) if event["phase"] == "resume"]
    assert resumed == [int(newest.name[-9:]) - 1]


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("FSDP_VERSION", "1", "fsdp_version is 1 in the accelerate configuration; set it to 2"),
        ("FSDP_OFFLOAD_PARAMS", "true", "fsdp_offload_params is true .* leave it out"),
        ("FSDP_RESHARD_AFTER_FORWARD", "false", "fsdp_reshard_after_forward is false .* to true"),
        ("FSDP_ACTIVATION_CHECKPOINTING", "true", "set gradient_checkpointing in the recipe"),
    ],
)
def test_what_sharding_would_not_follow_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_VERSION", "2")
    monkeypatch.setenv(variable, value)
    with pytest.raises(UserError, match=sentence):
        runtime.accelerator_open()


def test_one_process_keeps_its_networks_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_VERSION", "2")
    assert runtime.shards(runtime.accelerator_open()) == 1


def test_a_setting_that_reads_whole_weights_is_refused_where_they_are_in_parts() -> None:
    sharded: Any = SimpleNamespace(outerloop_shards=True, num_processes=2)
    whole: Any = SimpleNamespace(outerloop_shards=False, num_processes=2)
    reads = "packed reads whole weights"
    runtime.unsharded_require(whole, reads, fix="set it to false")
    with pytest.raises(UserError, match=f"{reads}, which FSDP spreads .*: set it to false, or"):
        runtime.unsharded_require(sharded, reads, fix="set it to false")
