"""With bf16 in the accelerate configuration a number is the same wherever a recipe works it out.

A policy that is its reference has every log-ratio 0, so that whatever differs is precision.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import optimiser_runs, ppo_runs, recipes
from tests.support.optimiser_runs import best_of_n_config, dpo_config, write_inputs
from tests.support.ppo_runs import tiny_config
from tests.training.recipes import test_reward_model, test_sft
from training.contracts import AdapterConfig, RewardModelConfig
from training.core.run.run_directory import recipe_main
from training.recipes import reward_member, reward_model

LORA = AdapterConfig(kind="lora", rank=2)
KL = ("kl_k1", "kl_k3", "kl_exact")


@pytest.fixture(autouse=True)
def _bf16_on_one_thread(mixed_precision: None) -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A policy whose texts are long enough, and whose weights are far enough from 0, to show bf16."""
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.mark.parametrize(
    ("loss", "adapter"), [("dpo", AdapterConfig()), ("dpo", LORA), ("ipo", AdapterConfig())]
)
def test_before_its_first_step_dpo_has_log_ratios_of_0(
    tmp_path: Path, inputs: dict[str, Path], loss: Any, adapter: AdapterConfig
) -> None:
    settings = dpo_config(epochs=1, loss=loss, adapter=adapter)
    assert optimiser_runs.run("dpo", tmp_path / "run", inputs, settings) == 0
    row = ppo_runs.events(tmp_path / "run", "dpo")[0]["metrics"]
    for name in ("validation_chosen_log_ratio", "validation_rejected_log_ratio", *KL):
        assert row[name] == 0.0, name
    assert row["validation_implicit_accuracy"] == 0.5
    at_the_reference = math.log(2) if loss == "dpo" else (1 / (2 * settings.beta)) ** 2
    assert row["validation_loss"] == pytest.approx(at_the_reference, abs=1e-6)
    first = ppo_runs.events(tmp_path / "run", "train")[0]["metrics"]
    assert first["loss"] == pytest.approx(at_the_reference, abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [("ppo", {}), ("ppo", {"adapter": LORA}), ("ppo", {"packed": True}), ("best_of_n", {})],
)
def test_before_its_first_step_a_policy_has_no_kl_to_itself(
    tmp_path: Path, inputs: dict[str, Path], kind: str, changes: dict[str, Any]
) -> None:
    config = tiny_config(updates=1, **changes) if kind == "ppo" else best_of_n_config(**changes)
    assert optimiser_runs.run(kind, tmp_path / "run", inputs, config) == 0
    row = ppo_runs.events(tmp_path / "run", kind)[0]["metrics"]
    for name in KL:
        assert row[name] == 0.0, name
    assert row["entropy"] > 1


def test_a_first_step_and_a_validation_see_the_same_loss_of_demonstrations(tmp_path: Path) -> None:
    phase = {"data": "clean", "steps": 1, "learning_rate": 1e-12, "batch_size": 12}
    spec = test_sft.spec_of(tmp_path, phases=[phase], log_every=1)
    assert test_sft.run_sft(spec) == 0
    found = {event["phase"]: event["metrics"] for event in recipes.events(spec)}
    assert found["train"]["loss"] == pytest.approx(found["validate"]["validation_loss"], abs=1e-6)


def test_a_reward_model_is_validated_in_the_precision_that_it_learns_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = set[tuple[str, bool]]()

    def watched(name: str, function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            seen.add((name, torch.is_autocast_enabled("cpu")))
            return function(*arguments, **options)

        return call

    for name in ("score_rows", "pair_differences"):
        original = getattr(reward_member, name)
        monkeypatch.setattr(reward_member, name, watched(name, original))
    spec = test_reward_model.spec_of(tmp_path, "run", members=1, epochs=1, validate_every=2)
    assert recipe_main(reward_model.main, "reward_model", RewardModelConfig, [str(spec)]) == 0
    assert seen == {("score_rows", True), ("pair_differences", True)}
