"""Models that ask for something of their own, through whole recipes: what is written can be read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.support import ppo_runs
from tests.support.optimiser_runs import (
    RECIPES,
    best_of_n_config,
    dpo_config,
    manifest,
    message,
    write_order,
    write_pairs,
)
from tests.support.rare_models import rare_write
from training.contracts import (
    EXIT_USER,
    AdapterConfig,
    JsonContract,
    ModelSource,
    RewardModelConfig,
    SftConfig,
    SftPhase,
)
from training.core.model.loading import policy_load_path
from training.core.model.score_head import HEAD
from training.core.reward.scoring import reward_model_load
from training.core.run.run_directory import recipe_main
from training.recipes import reward_model, sft

FUNCTION = "tests.support.ppo_runs:vowels"
LORA = AdapterConfig(kind="lora", rank=2)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def half(path: Path) -> Path:
    """In bfloat16, as models are published."""
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16)
    model.save_pretrained(path)
    return path


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Logits near -25, bfloat16, and a PAD that only the tokenizer knows."""
    path = half(rare_write(tmp_path / "odd", "gpt2", pad=""))
    tokenizer = AutoTokenizer.from_pretrained(path)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(path)
    return path


def demonstrations(path: Path) -> Path:
    rows = [
        [{"role": "user", "content": q}, {"role": "assistant", "content": "yes " * (1 + i % 3)}]
        for i, q in enumerate(ppo_runs.QUESTIONS)
    ]
    path.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows))
    return path


def sft_config(**changes: Any) -> SftConfig:
    phases = (SftPhase("demonstrations", 2, 1e-3, batch_size=4, warmup_steps=1),)
    return SftConfig(ModelSource("input", "policy"), phases, max_length=48, **changes)


def config_of(kind: str, **changes: Any) -> JsonContract:
    if kind == "sft":
        return sft_config(**changes)
    if kind == "dpo":
        return dpo_config(epochs=1, **changes)
    if kind == "best_of_n":
        return best_of_n_config(iterations=1, reward_function=FUNCTION, **changes)
    return ppo_runs.tiny_config(updates=1, reward_function=FUNCTION, **changes)


def carried_out(kind: str, folder: Path, policy: Path, **changes: Any) -> int:
    folder.mkdir(exist_ok=True)
    if kind == "sft":
        inputs = {"policy": policy, "demonstrations": demonstrations(folder / "shown.jsonl")}
    else:
        prompts = ppo_runs.write_prompts(folder / "prompts.jsonl")
        inputs = {"policy": policy, "reference": policy, "prompts": prompts}
        inputs["preferences"] = write_pairs(folder / "pairs.jsonl", 24)
    write_order(kind, folder / "run", inputs, config_of(kind, **changes))
    spec = [str(folder / "run" / "spec.json")]
    if kind == "sft":
        return recipe_main(sft.main, "sft", SftConfig, spec)
    return int(RECIPES[kind].main(spec))


def types(path: Path) -> set[torch.dtype]:
    return {tensor.dtype for tensor in load_file(path / "model.safetensors").values()}


@pytest.mark.parametrize("kind", ["sft", "ppo", "dpo", "best_of_n"])
def test_a_pad_that_only_the_tokenizer_knows_goes_through_every_recipe(
    tmp_path: Path, odd: Path, kind: str
) -> None:
    assert carried_out(kind, tmp_path / "work", odd) == 0
    kept = tmp_path / "work" / "run" / "policy"
    loaded = policy_load_path(kept)
    assert loaded.tokenizer.pad_token == "[PAD]"
    assert loaded.pad_id < loaded.model.get_input_embeddings().num_embeddings
    assert types(kept) == {torch.bfloat16}
    if kind != "sft":
        row = ppo_runs.events(tmp_path / "work" / "run", kind)[0]["metrics"]
        assert row["kl_k1"] == 0.0
        assert row["response_length"] > 1
        samples = (tmp_path / "work" / "run" / "samples.jsonl").read_text().splitlines()
        assert any(json.loads(line)["text"] for line in samples)


def test_the_exact_weights_are_written_where_they_are_asked_for(tmp_path: Path, odd: Path) -> None:
    assert carried_out("sft", tmp_path / "work", odd, checkpoint_dtype="float32") == 0
    assert types(tmp_path / "work" / "run" / "policy") == {torch.float32}


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_an_adapter_on_a_mixture_of_experts_is_merged_in_the_end(tmp_path: Path, kind: str) -> None:
    policy = rare_write(tmp_path / "mixtral", "mixtral")
    assert carried_out(kind, tmp_path / "work", policy, adapter=LORA) == 0
    run = tmp_path / "work" / "run"
    before, after = (load_file(p / "model.safetensors") for p in (policy, run / "policy"))
    assert before.keys() == after.keys()
    policy_load_path(run / "policy")
    assert 0 < manifest(run).results["trained_parameters"] < 2000


@pytest.mark.parametrize("kind", ["sft", "ppo", "dpo", "best_of_n"])
def test_an_adapter_that_cannot_be_merged_ends_the_run_before_it_begins(
    tmp_path: Path, kind: str
) -> None:
    policy = rare_write(tmp_path / "qwen3_moe", "qwen3_moe")
    named = AdapterConfig(kind="lora", rank=2, targets=("down_proj",))
    assert carried_out(kind, tmp_path / "work", policy, adapter=named) == EXIT_USER
    run = tmp_path / "work" / "run"
    assert "cannot be merged into Qwen3MoeForCausalLM" in message(run)
    assert not ppo_runs.events(run, "train") + ppo_runs.events(run, kind)


def preferences(path: Path) -> Path:
    splits = ("train", "train", "train", "validation", "test")
    rows = [
        {
            "id": str(i), "group": f"g{i}", "split": splits[i % 5], "preference": 1.0,
            "messages": [{"role": "user", "content": "say yes"}],
            "completions": ["yes " + "then " * (i % 3), "no"],
        }
        for i in range(40)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_backbone_without_a_classifier_becomes_a_reward_model_and_a_critic(
    tmp_path: Path,
) -> None:
    backbone = half(rare_write(tmp_path / "granite", "granite"))
    config = RewardModelConfig(
        ModelSource("input", "backbone"), members=2, epochs=1, batch_size=8, learning_rate=1e-2,
        max_length=48, ties="davidson", weight_average=True, validate_every=2,
        gradient_checkpointing=True,
    )  # fmt: skip
    pairs = preferences(tmp_path / "pairs.jsonl")
    write_order(
        "reward_model", tmp_path / "run", {"preferences_of": pairs, "backbone": backbone}, config
    )
    spec = tmp_path / "run" / "spec.json"
    spec.write_text(spec.read_text().replace("preferences_of", "preferences"))
    assert recipe_main(reward_model.main, "reward_model", RewardModelConfig, [str(spec)]) == 0
    member = tmp_path / "run" / "reward_model" / "member_0"
    assert json.loads((member / "config.json").read_text())[HEAD] == "last_token"
    assert types(member) == {torch.bfloat16}
    model = reward_model_load(tmp_path / "run" / "reward_model")
    asked = [{"role": "user", "content": "say yes"}]
    texts: list[Any] = [(asked, "yes then"), (asked, "no"), (asked, "yes")]
    together = model.score(texts).raw
    alone = torch.cat([model.score([text]).raw for text in texts], dim=1)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    assert together[0, 0] > together[0, 1]

    inputs = {
        "policy": backbone, "reference": backbone,
        "prompts": ppo_runs.write_prompts(tmp_path / "prompts.jsonl"),
        "reward_model": tmp_path / "run" / "reward_model",
    }  # fmt: skip
    write_order(
        "ppo", tmp_path / "ppo", inputs, ppo_runs.tiny_config(updates=1, reward_function="")
    )
    assert RECIPES["ppo"].main([str(tmp_path / "ppo" / "spec.json")]) == 0
