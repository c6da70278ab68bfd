"""PPO whose policy, reference, critic and reward models are adapters on one copy of a base."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from evaluation.recipes import evaluate_reward_model
from tests.support import optimiser_runs, ppo_runs
from tests.support.recipes import recipe_run_on_two
from tests.support.tiny_models import write_spec
from training.contracts import AdapterConfig, KlControl, RunManifest
from training.core.model.adapted_classifier import is_adapted
from training.core.reward.scoring import reward_model_load
from training.core.tuning import materials
from training.recipes import ppo, ppo_parts
from training.recipes.ppo_parts import PpoParts

LORA = AdapterConfig(kind="lora", rank=2)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("inputs")
    policy = ppo_runs.write_policy(root / "policy")
    return {
        "policy": policy,
        "reference": policy,
        "prompts": ppo_runs.write_prompts(root / "prompts.jsonl"),
        "reward_model": ppo_runs.write_adapted_reward_model(root / "reward_model", seed=1),
        "held_out_reward_model": ppo_runs.write_adapted_reward_model(
            root / "held", members=1, seed=9
        ),
    }


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[PpoParts]:
    """The networks of each run, as they are when learning begins."""
    kept = list[PpoParts]()
    learn = ppo.learn

    def noted(parts: PpoParts, progress: Any) -> None:
        kept.append(parts)
        learn(parts, progress)

    monkeypatch.setattr(ppo, "learn", noted)
    return kept


def separate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every network with weights of its own, as where networks are cut into parts."""
    monkeypatch.setattr(materials, "_frozen_offer", lambda *_: None)
    monkeypatch.setattr(ppo_parts, "shards", lambda _: 2)


def run(directory: Path, inputs: dict[str, Path], **changes: Any) -> Path:
    settings = {"reward_function": "", "adapter": LORA, "updates": 1, "policy_learning_rate": 1e-3}
    config = ppo_runs.tiny_config(**(settings | changes))
    assert ppo.main([str(ppo_runs.write_order(directory, config, inputs))]) == 0
    return directory


def weights(networks: Iterable[Any]) -> int:
    """Numbers held by all of them together; what they share counts once."""
    held = {p.data_ptr(): p.numel() for network in networks for p in network.parameters()}
    return sum(held.values())


def networks(parts: PpoParts) -> list[Any]:
    rewarder = parts.sampler.rewarder
    assert rewarder is not None
    members = [m.model for _, model in rewarder.models() for m in model.members]
    return [parts.network.plain, *members]


def critic_of(parts: PpoParts) -> Any:
    return parts.network.plain.critic


def tensors(directory: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = load_file(directory / "policy" / "model.safetensors")
    return found


def numbers(directory: Path, phase: str) -> list[dict[str, float]]:
    timed = ("seconds", "tokens_per_second", "_second")
    return [
        {
            k: v
            for k, v in row["metrics"].items()
            if v is not None and not any(t in k for t in timed)
        }
        for row in ppo_runs.events(directory, phase)
    ]


def test_shared_or_separate_an_update_ends_with_the_same_numbers_and_policy(
    tmp_path: Path,
    inputs: dict[str, Path],
    opened: list[PpoParts],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = run(tmp_path / "one", inputs)
    with monkeypatch.context() as patched:
        separate(patched)
        apart = run(tmp_path / "apart", inputs)
    for phase in ("ppo", "final"):
        for ours, theirs in zip(numbers(one, phase), numbers(apart, phase), strict=True):
            assert ours == pytest.approx(theirs, abs=1e-5)
    (first,) = numbers(one, "ppo")
    assert (first["kl_k1"], first["kl_exact"]) == (0, 0)
    assert first["value_loss"] > 0
    before = load_file(inputs["policy"] / "model.safetensors")
    learned, again = tensors(one), tensors(apart)
    assert any(not torch.equal(learned[name], before[name]) for name in before)
    for name, tensor in learned.items():
        torch.testing.assert_close(tensor, again[name], atol=1e-5, rtol=0)


def test_together_they_hold_the_base_once(
    tmp_path: Path, inputs: dict[str, Path], opened: list[PpoParts], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = sum(t.numel() for t in load_file(inputs["policy"] / "model.safetensors").values())
    run(tmp_path / "one", inputs, updates=1)
    (parts,) = opened
    found = networks(parts)
    learned = sum(p.numel() for n in found for name, p in n.named_parameters() if ".lora_" in name)
    heads = 25 + 3 * 24  # the critic's, with its bias, and three members'
    assert weights(found) == base + learned + heads
    assert parts.learner.actor.value_parameters()
    assert is_adapted(parts.sampler.rewarder.train.members[0].model)  # type: ignore[union-attr]


def test_the_critic_starts_as_the_first_member_and_leaves_it_alone(
    tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = reward_model_load(inputs["reward_model"]).members[0].model.base_model
    theirs = {n: p for n, p in first.named_parameters() if ".lora_" in n}
    learn = ppo.learn

    def looked_at(parts: PpoParts, progress: Any) -> None:
        critic = dict(critic_of(parts).named_parameters())
        assert {n for n, p in critic.items() if p.requires_grad} == theirs.keys()
        assert all(torch.equal(critic[name], theirs[name]) for name in theirs)
        learn(parts, progress)
        assert any(not torch.equal(critic[name], theirs[name]) for name in theirs)
        member = dict(networks(parts)[1].base_model.named_parameters())
        assert all(torch.equal(member[name], theirs[name]) for name in theirs)

    monkeypatch.setattr(ppo, "learn", looked_at)
    run(tmp_path / "run", inputs, value_learning_rate=1e-2)


@pytest.mark.parametrize(
    "changes",
    [
        {"critic_adapter": False},
        {"adapter": AdapterConfig()},
        {"shared_backbone": True},
        {"advantage": "rloo", "completions_per_prompt": 2, "prompts_per_update": 8},
        {"kl": KlControl(reference_decay=0.9)},
        {"gradient_checkpointing": True},
        {"packed": True},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_other_settings_go_with_adapted_reward_models(
    tmp_path: Path, inputs: dict[str, Path], opened: list[PpoParts], changes: dict[str, Any]
) -> None:
    directory = run(tmp_path / "run", inputs, **changes)
    (row,) = numbers(directory, "ppo")
    assert row["ensemble_std"] > 0
    base = sum(t.numel() for t in load_file(inputs["policy"] / "model.safetensors").values())
    # A critic with all its weights; without an adapter what the reference shares with reward models too.
    whole = {"critic_adapter": 1, "adapter": 2}
    factor = 1 + whole.get(next(iter(changes)), 0)
    assert factor * 0.9 * base < weights(networks(opened[0])) < (factor + 0.7) * base


def test_whole_reward_models_lend_the_critic_their_weights(
    tmp_path: Path, inputs: dict[str, Path], opened: list[PpoParts]
) -> None:
    whole = ppo_runs.write_reward_model(inputs["policy"].parent / "whole", seed=1)
    run(tmp_path / "run", inputs | {"reward_model": whole})
    (parts,) = opened
    rewarder = parts.sampler.rewarder
    assert rewarder is not None
    assert rewarder.train is not None
    member = rewarder.train.members[0].model
    lent = {id(p) for p in member.base_model.parameters()}
    critic = {id(p) for n, p in critic_of(parts).named_parameters() if "lora" not in n}
    assert critic == lent


def test_without_a_reward_model_the_critic_stands_on_the_policy(
    tmp_path: Path, inputs: dict[str, Path], opened: list[PpoParts]
) -> None:
    alone = {n: p for n, p in inputs.items() if "reward_model" not in n}
    directory = run(tmp_path / "run", alone, reward_function="tests.support.ppo_runs:mention_blue")
    actor = opened[0].learner.actor
    policy = {id(p) for p in actor.policy.parameters()}
    assert {id(p) for n, p in critic_of(opened[0]).named_parameters() if "lora" not in n} <= policy
    assert numbers(directory, "ppo")[0]["kl_k1"] == 0


def test_a_killed_run_ends_with_the_same_policy(
    tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    through = run(tmp_path / "through", inputs, updates=2)
    collect = ppo.collect

    def breaking(parts: PpoParts, progress: Any, update: int) -> Any:
        if update == 1:
            raise RuntimeError("the power went")
        return collect(parts, progress, update)

    config = ppo_runs.tiny_config(
        reward_function="", adapter=LORA, updates=2, policy_learning_rate=1e-3
    )
    spec = ppo_runs.write_order(tmp_path / "killed", config, inputs)
    with monkeypatch.context() as patched:
        patched.setattr(ppo, "collect", breaking)
        assert ppo.main([str(spec)]) != 0
    assert ppo.main([str(spec)]) == 0
    found = [
        RunManifest.from_json(json.loads((d / "manifest.json").read_text())).artifact("policy")
        for d in (through, tmp_path / "killed")
    ]
    assert found[0].sha256 == found[1].sha256


@pytest.mark.parametrize("kind", ["dpo", "best_of_n"])
def test_other_optimisers_measure_by_adapted_reward_models(
    tmp_path: Path, inputs: dict[str, Path], kind: str
) -> None:
    make = {"dpo": optimiser_runs.dpo_config, "best_of_n": optimiser_runs.best_of_n_config}[kind]
    pairs = optimiser_runs.write_pairs(tmp_path / "pairs.jsonl", count=20)
    changes = {"epochs": 1} if kind == "dpo" else {"iterations": 1}
    code = optimiser_runs.run(
        kind, tmp_path / "run", inputs | {"preferences": pairs}, make(adapter=LORA, **changes)
    )
    assert code == 0
    first, *_ = numbers(tmp_path / "run", kind)
    model = reward_model_load(inputs["reward_model"])
    rows = [json.loads(x) for x in (tmp_path / "run" / "samples.jsonl").read_text().splitlines()]
    assert first["kl_k1"] == 0
    for row in rows[:3]:
        found = float(model.score([(row["messages"], row["text"])]).combined()[0])
        assert row["reward_train"] == pytest.approx(found, abs=1e-4)


def test_they_are_measured_on_pairs(tmp_path: Path, inputs: dict[str, Path]) -> None:
    pairs = optimiser_runs.write_pairs(tmp_path / "pairs.jsonl")
    used = {n: p for n, p in inputs.items() if "reward_model" in n} | {"preferences": pairs}
    spec = write_spec(tmp_path / "run", "evaluate_reward_model", {"splits": ["validation"]}, used)
    assert evaluate_reward_model.main([str(spec)]) == 0


@pytest.mark.slow
def test_cut_into_parts_over_two_processes_it_ends_with_the_same_policy(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    one = run(tmp_path / "one", inputs)
    config = ppo_runs.tiny_config(
        reward_function="", adapter=LORA, updates=1, policy_learning_rate=1e-3
    )
    spec = ppo_runs.write_order(tmp_path / "parts", config, inputs)
    assert recipe_run_on_two("training.recipes.ppo", spec, sharded=True) == 0
    again = tensors(tmp_path / "parts")
    for name, tensor in tensors(one).items():
        torch.testing.assert_close(tensor, again[name], atol=1e-4, rtol=0)
