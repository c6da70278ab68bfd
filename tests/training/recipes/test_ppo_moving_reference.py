"""A reference that follows the policy: what it is after an update, what is paid to it, and that it lasts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import ppo_runs
from tests.support.optimiser_runs import manifest, message
from tests.support.scripted_ppo import cut_and_resume, inputs_write, ppo_run
from training.contracts import EXIT_USER, AdapterConfig, KlControl
from training.core.model.lora import adapter_add
from training.core.model.recompute import recompute_layers
from training.core.ppo.experience import build_experience
from training.core.ppo.moving_reference import MovingReference
from training.recipes import ppo

MOVING: dict[str, Any] = {
    "kl": KlControl(beta=0.5, reference_decay=0.6),
    "reward_function": "tests.support.ppo_runs:vowels",
    "policy_learning_rate": 1e-2,
    "updates": 4,
    "checkpoint_every": 2,
}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return inputs_write(tmp_path_factory.mktemp("inputs"))


def run(directory: Path, inputs: dict[str, Path], **changes: Any) -> int:
    return ppo_run(directory, inputs, MOVING | changes)


def test_it_goes_part_of_the_way_to_the_policy() -> None:
    policy = ppo_runs.tiny_policy().model
    moving = MovingReference.beside(policy, 0.75)
    before = [weight.clone() for weight in moving.weights()]
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(1.0)
    moving.follow(policy)
    for first, now in zip(before, moving.weights(), strict=True):
        torch.testing.assert_close(now, first + 0.25)


def test_it_computes_by_its_own_layers_where_the_policys_are_recomputed() -> None:
    policy = ppo_runs.tiny_policy().model
    recompute_layers(policy)
    moving = MovingReference.beside(policy, 0.75)
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        before = moving.model(input_ids=ids).logits
        for parameter in policy.model.layers.parameters():
            parameter.add_(1.0)
        torch.testing.assert_close(moving.model(input_ids=ids).logits, before, atol=0, rtol=0)


@pytest.mark.parametrize("kind", ["none", "lora"])
def test_of_frozen_weights_it_has_no_copy(kind: Any) -> None:
    policy = ppo_runs.tiny_policy().model
    adapter_add(policy, AdapterConfig(kind=kind, rank=2), seed=0)
    moving = MovingReference.beside(policy, 0.75)
    own = {id(p) for p in moving.model.parameters()}
    frozen = {id(p) for p in policy.parameters() if not p.requires_grad}
    assert own & {id(p) for p in policy.parameters()} == frozen
    assert bool(frozen) is (kind == "lora")


def test_the_price_is_asked_by_it_and_what_is_measured_is_not(
    tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first update pays nothing for KL under either reference; the second, only by the distance moved."""
    paid = []

    def noted(episodes: Any, tables: Any, *rest: Any, **named: Any) -> Any:
        paid.append(tables)
        return build_experience(episodes, tables, *rest, **named)

    monkeypatch.setattr(ppo, "build_experience", noted)
    assert run(tmp_path / "run", inputs) == 0
    rows = [row["metrics"] for row in ppo_runs.events(tmp_path / "run", "ppo")]
    assert rows[0]["kl_moving"] == pytest.approx(0.0, abs=1e-5)
    for tables, row in zip(paid, rows, strict=True):
        ratio = tables.log_probs - tables.reference_log_probs
        assert float(ratio.sum()) / len(ratio) == pytest.approx(row["kl_moving"], abs=1e-5)
    assert rows[-1]["kl_moving"] < rows[-1]["kl_k1"]


@pytest.mark.parametrize("adapter", [AdapterConfig(), AdapterConfig(kind="lora", rank=2)])
def test_a_run_that_crashed_ends_with_the_same_bytes(
    tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch, adapter: AdapterConfig
) -> None:
    assert run(tmp_path / "whole", inputs, adapter=adapter) == 0
    assert run(tmp_path / "fixed", inputs, adapter=adapter, kl=KlControl(beta=0.5)) == 0
    cut_and_resume(monkeypatch, lambda: run(tmp_path / "cut", inputs, adapter=adapter), at=3)
    whole, cut, fixed = (
        manifest(tmp_path / name).artifact("policy").sha256 for name in ("whole", "cut", "fixed")
    )
    assert whole == cut != fixed


def test_a_decay_of_nothing_is_refused(tmp_path: Path, inputs: dict[str, Path]) -> None:
    assert run(tmp_path / "run", inputs, kl=KlControl(reference_decay=0.0)) == EXIT_USER
    assert "kl.reference_decay is 0.0" in message(tmp_path / "run")
