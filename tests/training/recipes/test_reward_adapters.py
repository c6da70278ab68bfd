"""Reward models whose members are adapters on one backbone: how they are trained, kept and read again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification

from tests.support.documented import assert_said
from tests.support.recipes import manifest, recipe_run_on_two
from tests.support.tiny_models import json_lines, tiny_policy_artifact, write_spec
from tests.training.recipes.test_reward_model import preference_rows
from training.contracts import EXIT_ERROR, ContractError, RewardModelConfig
from training.core.model.loading import classifier_load_path, policy_load_path
from training.core.model.shared_base import BasePool
from training.core.reward import members
from training.core.reward.forward import score_rows
from training.core.reward.scoring import RewardModel, reward_model_load
from training.core.run.errors import UserError
from training.core.run.run_directory import recipe_main
from training.digests import artifact_verify, path_sha256
from training.recipes import reward_member, reward_model

LORA = {"kind": "lora", "rank": 4}
TEXTS = [
    ([{"role": "user", "content": f"How do I end a process {i}?"}], text)
    for i, text in enumerate(["Use the kill command.", "I can't help.", "Use the", ""])
]


def config(**changes: Any) -> dict[str, Any]:
    return {
        "backbone": {"kind": "input", "name": "policy"},
        "adapter": LORA,
        "epochs": 4,
        "batch_size": 8,
        "learning_rate": 0.02,
        "max_length": 64,
        "checkpoint_every": 4,
        "log_every": 2,
        **changes,
    }


def spec_of(root: Path, name: str, policy: Path, **changes: Any) -> Path:
    data = json_lines(root / f"{name}.jsonl", preference_rows())
    inputs = {"preferences": data, "policy": policy}
    return write_spec(root / name, "reward_model", config(**changes), inputs)


def train(spec: Path) -> int:
    return recipe_main(reward_model.main, "reward_model", RewardModelConfig, [str(spec)])


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return tiny_policy_artifact(tmp_path_factory.mktemp("models") / "policy")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, policy: Path) -> Path:
    spec = spec_of(tmp_path_factory.mktemp("trained"), "run", policy)
    assert train(spec) == 0
    return spec.parent


def parameters(model: RewardModel) -> set[int]:
    return {id(p) for member in model.members for p in member.model.base_model.parameters()}


def test_they_learn_who_is_better_and_the_artifact_holds_the_backbone_once(
    trained: Path, policy: Path
) -> None:
    results = manifest(trained / "spec.json").results["test"]
    assert results["ensemble"]["accuracy"] > 0.9
    assert results["held_out_model"]["accuracy"] > 0.9
    artifact = trained / "reward_model"
    assert (
        artifact_verify(artifact) == manifest(trained / "spec.json").artifact("reward_model").sha256
    )
    assert sorted(p.parent.name for p in artifact.rglob("model.safetensors")) == ["base"]
    settings = json.loads((artifact / "ensemble.json").read_text())
    assert settings["base"]["source"] == path_sha256(policy)
    first, second = (
        load_file(artifact / m / "adapter_model.safetensors") for m in ("member_0", "member_1")
    )
    assert all(not torch.equal(first[name], second[name]) for name in first)
    assert not (trained / "members").exists()


def test_the_backbone_is_what_the_policy_has(trained: Path, policy: Path) -> None:
    own = policy_load_path(policy).model.state_dict()
    base = load_file(trained / "reward_model" / "base" / "model.safetensors")
    assert base.keys() == {name for name in own if name.startswith("model.")}
    assert all(torch.equal(base[name], own[name]) for name in base)


def test_members_hold_one_copy_of_it_and_score_as_peft_does(trained: Path) -> None:
    artifact = trained / "reward_model"
    loaded = reward_model_load(artifact)
    one, two = (
        {id(p) for n, p in m.model.named_parameters() if ".lora_" not in n} for m in loaded.members
    )
    heads = {id(m.model.score.weight) for m in loaded.members}
    assert one - heads == two - heads
    scores = loaded.score(TEXTS).raw
    rows = [e.ids for e in loaded.encode(TEXTS)]
    for number, found in enumerate(scores):
        whole = AutoModelForSequenceClassification.from_pretrained(
            artifact / "base", num_labels=1, dtype=torch.float32
        )
        theirs = PeftModel.from_pretrained(whole, artifact / f"member_{number}").eval()
        with torch.no_grad():
            again = score_rows(theirs, rows, loaded.members[0].pad_id)
        torch.testing.assert_close(again, found, atol=1e-5, rtol=0)


def test_what_is_measured_in_training_is_what_is_read_again(
    trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, policy: Path
) -> None:
    kept = list[torch.Tensor]()
    write = members.member_write

    def noted(path: Path, loaded: Any, record: Any) -> None:
        rows = [e.ids for e in reward_model_load(trained / "reward_model").encode(TEXTS)]
        with torch.no_grad():
            kept.append(score_rows(loaded.model, rows, loaded.pad_id))
        write(path, loaded, record)

    monkeypatch.setattr(reward_member, "member_write", noted)
    spec = spec_of(tmp_path, "again", policy, ties="davidson", validate_every=3, epochs=1)
    assert train(spec) == 0
    found = reward_model_load(spec.parent / "reward_model")
    torch.testing.assert_close(found.score(TEXTS).raw, torch.stack(kept[:2]), atol=1e-5, rtol=0)
    assert found.settings.tie_parameter > 0


def test_a_pool_that_has_the_same_weights_lends_them_and_another_does_not(
    trained: Path, tmp_path: Path, policy: Path
) -> None:
    alone = reward_model_load(trained / "reward_model")
    same, other = (
        policy_load_path(policy),
        policy_load_path(tiny_policy_artifact(tmp_path / "p", 5)),
    )
    for model, shared in ((same.model, True), (other.model, False)):
        pool = BasePool()
        pool.offer(model.base_model)
        lent = reward_model_load(trained / "reward_model", pool=pool)
        guard = reward_model_load(trained / "held_out_reward_model", pool=pool)
        own = {id(p) for p in model.base_model.parameters()}
        assert (own <= parameters(lent)) is shared
        assert len(parameters(lent) & parameters(guard)) == len(own)
        torch.testing.assert_close(lent.score(TEXTS).raw, alone.score(TEXTS).raw, atol=0, rtol=0)


def test_a_base_of_other_weights_is_refused(trained: Path, tmp_path: Path) -> None:
    artifact = shutil.copytree(trained / "reward_model", tmp_path / "model")
    weights = artifact / "base" / "model.safetensors"
    state = load_file(weights)
    state["model.norm.weight"][0] += 1e-3
    save_file(state, weights, metadata={"format": "pt"})
    with pytest.raises(UserError) as refused:
        reward_model_load(artifact)
    assert_said("a reward model's backbone and its adapters", str(refused.value))


def test_an_adapter_with_a_part_missing_is_refused(trained: Path, tmp_path: Path) -> None:
    artifact = shutil.copytree(trained / "reward_model", tmp_path / "model")
    file = artifact / "member_1" / "adapter_model.safetensors"
    state = load_file(file)
    del state["base_model.model.model.layers.1.mlp.up_proj.lora_A.weight"]
    save_file(state, file, metadata={"format": "pt"})
    with pytest.raises(UserError) as refused:
        reward_model_load(artifact)
    assert_said("a reward model's adapter", str(refused.value))


def test_an_average_of_adapters_is_one_whole_model(tmp_path: Path, policy: Path) -> None:
    spec = spec_of(tmp_path, "average", policy, weight_average=True, epochs=1)
    assert train(spec) == 0
    model = reward_model_load(spec.parent / "reward_model")
    assert len(model.members) == 1
    assert model.settings.base is None
    assert classifier_load_path(spec.parent / "reward_model" / "member_0").model is not None
    assert reward_model_load(spec.parent / "held_out_reward_model").settings.base is not None


def test_a_fresh_backbone_is_refused() -> None:
    with pytest.raises(ContractError, match="a fresh one has learned nothing"):
        RewardModelConfig.from_json(config(backbone={"kind": "fresh"}))


def test_broken_off_and_resumed_it_ends_with_the_same_bytes(
    trained: Path, tmp_path: Path, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(tmp_path, "broken", policy)
    step = reward_member._train_step

    def breaking(training: reward_member.Training, batch: Any) -> dict[str, float]:
        if training.member.name == "member_1" and training.step == 10:
            raise RuntimeError("the power went")
        return step(training, batch)

    with monkeypatch.context() as patched:
        patched.setattr(reward_member, "_train_step", breaking)
        assert train(spec) == EXIT_ERROR
    (kept, *_) = (spec.parent / "checkpoints" / "member_1").glob("*8/*.safetensors")
    assert not [name for name in load_file(kept) if "embed_tokens" in name or "base_layer" in name]
    assert train(spec) == 0
    for name in ("reward_model", "held_out_reward_model"):
        again, first = (manifest(s).artifact(name) for s in (spec, trained / "spec.json"))
        assert again.sha256 == first.sha256


@pytest.mark.slow
def test_cut_into_parts_over_two_processes_they_learn_the_same(
    tmp_path: Path, policy: Path
) -> None:
    small: dict[str, Any] = {"epochs": 1, "learning_rate": 2e-3, "members": 1}
    whole, parts = (spec_of(tmp_path, name, policy, **small) for name in ("whole", "parts"))
    assert train(whole) == 0
    assert recipe_run_on_two("training.recipes.reward_model", parts, sharded=True) == 0
    for name in ("reward_model", "held_out_reward_model"):
        ours, theirs = (reward_model_load(s.parent / name) for s in (parts, whole))
        assert ours.settings.base == theirs.settings.base
        torch.testing.assert_close(
            ours.score(TEXTS).raw, theirs.score(TEXTS).raw, atol=1e-4, rtol=0
        )
