"""Models of other architectures, as people bring them: through the recipes, or refused in a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.support import ppo_runs
from tests.support.own_models import POSITIONS, TEMPLATE, decoder_write, encoder_write
from tests.support.recipes import manifest
from tests.support.tiny_models import json_lines, write_spec
from training.contracts import EXIT_USER, RewardModelConfig
from training.core.reward.scoring import reward_model_load
from training.core.run.run_directory import recipe_main
from training.recipes import check_model, ppo, reward_model


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def train_policy(path: Path, folder: Path) -> int:
    prompts = ppo_runs.write_prompts(folder / "prompts.jsonl", ["say yes", "what is a cat ?"])
    config = ppo_runs.tiny_config(updates=1, prompts_per_update=8, micro_batch_size=4)
    inputs = {"policy": path, "reference": path, "prompts": prompts}
    return ppo.main([str(ppo_runs.write_order(folder / "run", config, inputs))])


def said(folder: Path) -> str:
    return str(json.loads((folder / "run" / "error.json").read_text())["message"])


@pytest.mark.parametrize(
    ("name", "pad"),
    [("llama", ""), ("gpt2", "</s>"), ("qwen2", "<pad>"), ("gpt_neox", "")],
)
def test_any_causal_model_is_trained_with_or_without_a_pad_token(
    tmp_path: Path, name: str, pad: str
) -> None:
    path = decoder_write(tmp_path / name, name, pad=pad)
    assert train_policy(path, tmp_path) == 0
    kept = tmp_path / "run" / "policy"
    config = AutoModelForCausalLM.from_pretrained(kept).generation_config
    assert config.pad_token_id not in config.eos_token_id
    assert manifest(tmp_path / "run" / "spec.json").results["updates"] == 1


def test_a_policy_without_a_chat_template_is_refused_with_the_fix(tmp_path: Path) -> None:
    path = decoder_write(tmp_path / "plain", "gpt2", template="")
    assert train_policy(path, tmp_path) == EXIT_USER
    assert "has no chat template" in said(tmp_path)
    (path / "chat_template.jinja").write_text(TEMPLATE)
    (tmp_path / "again").mkdir()
    assert train_policy(path, tmp_path / "again") == 0


def preferences(path: Path) -> Path:
    """The first answer is the better one, whatever stands around it."""
    splits = ("train", "train", "train", "validation", "test")
    return json_lines(
        path,
        [
            {
                "id": str(i), "group": f"g{i}", "split": splits[i % 5], "preference": 1.0,
                "strength": 2.0, "messages": [{"role": "user", "content": "how do i end a process ?"}],
                "completions": ["use the kill command ." + " then check" * (i % 3), "i can help"],
            }
            for i in range(40)
        ],
    )  # fmt: skip


def train_reward_model(backbone: Path, folder: Path, **changes: Any) -> int:
    config = RewardModelConfig.from_json(
        {"backbone": {"kind": "input", "name": "backbone"}, "members": 1, "epochs": 1,
         "batch_size": 8, "learning_rate": 1e-2, "max_length": POSITIONS, **changes}
    )  # fmt: skip
    inputs = {"preferences": preferences(folder / "pairs.jsonl"), "backbone": backbone}
    spec = write_spec(folder / "run", "reward_model", config.to_json(), inputs)
    return recipe_main(reward_model.main, "reward_model", RewardModelConfig, [str(spec)])


@pytest.mark.parametrize("name", ["bert", "roberta", "distilbert", "llama", "gpt2"])
def test_any_backbone_becomes_a_reward_model(tmp_path: Path, name: str) -> None:
    encodes = "bert" in name or name == "roberta"
    write = encoder_write if encodes else decoder_write
    assert train_reward_model(write(tmp_path / name, name), tmp_path) == 0
    model = reward_model_load(tmp_path / "run" / "reward_model")
    messages = [{"role": "user", "content": "how do i end a process ?"}]
    pairs: list[Any] = [(messages, "use the kill command ."), (messages, "i can help")]
    together = model.score(pairs).raw
    alone = torch.cat([model.score([pair]).raw for pair in pairs], dim=1)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    assert together[0, 0] > together[0, 1]


def test_positions_behind_the_padding_index_are_counted_out(tmp_path: Path) -> None:
    backbone = encoder_write(tmp_path / "roberta", "roberta")
    assert train_reward_model(backbone, tmp_path, max_length=POSITIONS + 1) == EXIT_USER
    assert f"reads at most {POSITIONS} tokens" in said(tmp_path)


# ---------------------------------------------------------------------- check_model


def test_the_check_goes_through_a_policy_line_by_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = decoder_write(tmp_path / "neox", "gpt_neox", pad="")
    assert check_model.main([str(path), "--length", "64"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert all(line.startswith("ok ") for line in lines)
    assert "GPTNeoXForCausalLM" in lines[0]
    assert f"reads {POSITIONS} tokens" in lines[2]
    assert "</s>" in lines[3]
    assert any(line.startswith("ok   adapter") for line in lines)


@pytest.mark.parametrize("name", ["bert", "roberta", "distilbert"])
def test_the_check_goes_through_an_encoder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = encoder_write(tmp_path / name, name)
    assert check_model.main([str(path), "--reward-model", "--length", str(POSITIONS)]) == 0
    assert "the same alone, in a batch and padded" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["no-template"], "has no chat template"),
        (["decoder", "--length", "4000"], f"reads at most {POSITIONS} tokens"),
        (["nothing"], "check the path"),
        (["encoder"], "has no chat template"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    decoder_write(tmp_path / "no-template", "llama", template="")
    decoder_write(tmp_path / "decoder", "llama")
    encoder_write(tmp_path / "encoder", "bert")
    assert check_model.main([str(tmp_path / arguments[0]), *arguments[1:]]) == 2
    bad = [line for line in capsys.readouterr().out.splitlines() if line.startswith("BAD")]
    assert len(bad) == 1
    assert sentence in bad[0]
