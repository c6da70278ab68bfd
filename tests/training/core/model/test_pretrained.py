"""What others saved: refused where a part would be lost in silence, kept in its type where not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BartConfig, BartForConditionalGeneration

from tests.support.documented import assert_said
from tests.support.own_models import decoder_write, tokenizer_write
from tests.support.rare_models import rare_write
from tests.support.tiny_models import tiny_policy_artifact
from training.contracts import ModelSource
from training.core.model.loading import (
    LoadedModel,
    classifier_load,
    classifier_load_path,
    model_save,
    policy_load_path,
)
from training.core.run.errors import UserError


def backbone_load(path: Path) -> LoadedModel:
    return classifier_load(ModelSource(kind="pretrained", name=str(path)), {})


def config_change(path: Path, **changes: Any) -> None:
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | changes))


def refused(load: Any, path: Path, case: str) -> str:
    with pytest.raises(UserError) as refusal:
        load(path)
    assert_said(case, str(refusal.value))
    return str(refusal.value)


WEIGHTS = "model.safetensors"
EITHER = pytest.mark.parametrize("load", [policy_load_path, backbone_load])


@EITHER
def test_half_of_an_encoder_decoder_is_not_taken(tmp_path: Path, load: Any) -> None:
    words = len(tokenizer_write(tmp_path))
    BartForConditionalGeneration(
        BartConfig(
            vocab_size=words, d_model=16, encoder_layers=1, decoder_layers=1,
            encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16,
            decoder_ffn_dim=16, pad_token_id=1, eos_token_id=2, bos_token_id=0,
            decoder_start_token_id=2,
        )
    ).save_pretrained(tmp_path)  # fmt: skip
    refused(load, tmp_path, "encoder-decoder")


@EITHER
@pytest.mark.parametrize("method", ["fp8", "gptq", "bitsandbytes"])
def test_rounded_weights_are_not_trained(tmp_path: Path, load: Any, method: str) -> None:
    path = decoder_write(tmp_path / "llama", "llama")
    config_change(path, quantization_config={"quant_method": method, "bits": 4})
    assert method in refused(load, path, "quantised")


@EITHER
def test_an_adapter_in_the_folder_is_named(tmp_path: Path, load: Any) -> None:
    """The library would load the model that the adapter was trained on."""
    path = decoder_write(tmp_path / "llama", "llama")
    model = AutoModelForCausalLM.from_pretrained(path)
    get_peft_model(model, LoraConfig(target_modules=["q_proj"])).save_pretrained(path)
    refused(load, path, "an adapter in the folder")


@EITHER
def test_fewer_layers_than_the_files_hold_is_no_model(tmp_path: Path, load: Any) -> None:
    path = decoder_write(tmp_path / "llama", "llama")
    config_change(path, num_hidden_layers=1)
    refused(load, path, "fewer layers than in the files")


def test_a_backbone_lacks_no_weight_but_its_head(tmp_path: Path) -> None:
    path = decoder_write(tmp_path / "llama", "llama")
    weights = load_file(path / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"not a whole backbone \(missing_keys: model.layers.1"):
        backbone_load(path)


@EITHER
def test_a_model_in_several_files_is_read_and_a_missing_one_is_named(
    tmp_path: Path, load: Any
) -> None:
    path = decoder_write(tmp_path / "llama", "llama")
    model = AutoModelForCausalLM.from_pretrained(path)
    (path / "model.safetensors").unlink()
    model.save_pretrained(path, max_shard_size="5KB")
    assert len(list(path.glob("*.safetensors"))) > 2
    load(path)
    next(path.glob("model-00002*")).unlink()
    assert "model-00002-of" in refused(load, path, "a part of the weights missing")


# --------------------------------------------------------------------------- types


def types(path: Path) -> set[torch.dtype]:
    return {t.dtype for file in path.glob("*.safetensors") for t in load_file(file).values()}


def halve(path: Path, dtype: torch.dtype) -> Path:
    AutoModelForCausalLM.from_pretrained(path, dtype=dtype).save_pretrained(path)
    return path


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["gpt2", "phi"])
def test_half_precision_is_float32_within_and_itself_on_disk(
    tmp_path: Path, name: str, dtype: torch.dtype
) -> None:
    path = halve(rare_write(tmp_path / name, name), dtype)
    loaded = policy_load_path(path)
    assert {p.dtype for p in loaded.model.parameters()} == {torch.float32}
    exact = {key: value.clone() for key, value in loaded.model.state_dict().items()}
    (tmp_path / "saved").mkdir()
    model_save(loaded, tmp_path / "saved")
    assert types(tmp_path / "saved") == {dtype}
    config = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert config["dtype"] == str(dtype).removeprefix("torch.")
    before = load_file(path / "model.safetensors")
    after = load_file(tmp_path / "saved" / "model.safetensors")
    assert before.keys() == after.keys()  # tied tables are written once
    assert all(torch.equal(before[key], after[key]) for key in before)
    state = loaded.model.state_dict()
    assert all(torch.equal(exact[key], state[key]) for key in exact)
    assert loaded.model.config.dtype == torch.float32


def test_a_reward_model_of_a_half_precise_backbone_stays_so(tmp_path: Path) -> None:
    loaded = backbone_load(halve(decoder_write(tmp_path / "llama", "llama"), torch.bfloat16))
    (tmp_path / "saved").mkdir()
    model_save(loaded, tmp_path / "saved")
    assert types(tmp_path / "saved") == {torch.bfloat16}
    assert classifier_load_path(tmp_path / "saved").stored == torch.bfloat16


def test_mixed_types_and_fresh_models_are_written_exactly(tmp_path: Path) -> None:
    path = halve(decoder_write(tmp_path / "llama", "llama"), torch.bfloat16)
    weights = load_file(path / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"].float()
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
    assert policy_load_path(path).stored == torch.float32
    fresh = tiny_policy_artifact(tmp_path / "fresh")
    (tmp_path / "again").mkdir()
    model_save(policy_load_path(fresh), tmp_path / "again")
    assert types(tmp_path / "again") == {torch.float32}
    assert (tmp_path / "again" / WEIGHTS).read_bytes() == (fresh / WEIGHTS).read_bytes()
