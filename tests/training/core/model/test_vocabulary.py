"""Every token has its row, PAD is a token of its own, and a new row never speaks for the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, GenerationConfig, GPT2LMHeadModel

from tests.support.documented import assert_said
from tests.support.own_models import decoder_write, encoder_write
from tests.support.rare_models import LOW, rare_write
from training.contracts import ModelSource
from training.core.model.loading import (
    LoadedModel,
    classifier_load,
    classifier_load_path,
    model_save,
    policy_load_path,
)
from training.core.run.errors import UserError


def logits(model: Any, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(input_ids=ids).logits
        return found


def texts() -> torch.Tensor:
    return torch.randint(3, 50, (4, 12), generator=torch.Generator().manual_seed(0))


def backbone_load(path: Path) -> LoadedModel:
    return classifier_load(ModelSource(kind="pretrained", name=str(path)), {})


# ------------------------------------------------------------------ a PAD that is new


@pytest.mark.parametrize("name", ["gpt2", "phi", "cohere"])
def test_a_new_pad_is_no_likelier_than_a_token_on_average(tmp_path: Path, name: str) -> None:
    loaded = policy_load_path(rare_write(tmp_path / name, name, pad=""))
    found = logits(loaded.model, texts())
    words = found.shape[-1] - 1
    assert loaded.pad_id == words
    if name == "gpt2":
        assert float(found[..., :words].mean()) == pytest.approx(LOW, abs=2)
    probability = found.softmax(-1)[..., loaded.pad_id]
    assert float(probability.max()) <= 1 / (words + 1) * (1 + 1e-5)
    # The mean of the rows gives the mean of the logits, the bias of the output included.
    torch.testing.assert_close(
        found[..., loaded.pad_id], found[..., :words].mean(-1), atol=1e-4, rtol=0
    )


def test_a_new_pad_leaves_the_old_logits_as_they_are(tmp_path: Path) -> None:
    path = rare_write(tmp_path / "gpt2", "gpt2", pad="")
    loaded = policy_load_path(path)
    plain = type(loaded.model).from_pretrained(path)
    found, before = logits(loaded.model, texts()), logits(plain, texts())
    torch.testing.assert_close(found[..., :-1], before, atol=1e-5, rtol=0)


def test_policy_and_reference_get_the_same_rows_and_no_random_number_is_drawn(
    tmp_path: Path,
) -> None:
    path = rare_write(tmp_path / "gpt2", "gpt2", pad="")
    state = torch.get_rng_state()
    one = policy_load_path(path).model.state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    two = policy_load_path(path).model.state_dict()
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_pad_that_falls_on_a_spare_row_gets_the_mean_too_and_the_table_keeps_its_size(
    tmp_path: Path,
) -> None:
    path = rare_write(tmp_path / "phi", "phi", pad="", spare=6)
    loaded = policy_load_path(path)
    words = len(AutoTokenizer.from_pretrained(path))
    assert loaded.pad_id == words
    assert loaded.model.get_input_embeddings().num_embeddings == words + 6
    table = loaded.model.get_output_embeddings().weight
    torch.testing.assert_close(table[words], table[:words].mean(0), atol=1e-6, rtol=0)


def test_tied_tables_stay_tied(tmp_path: Path) -> None:
    loaded = policy_load_path(rare_write(tmp_path / "gpt2", "gpt2", pad=""))
    assert loaded.model.lm_head.weight is loaded.model.transformer.wte.weight
    (tmp_path / "again").mkdir()
    model_save(loaded, tmp_path / "again")
    again = policy_load_path(tmp_path / "again")
    assert again.pad_id == loaded.pad_id
    assert torch.equal(logits(again.model, texts()), logits(loaded.model, texts()))


# ------------------------------------------------- tokens beyond the embeddings


def with_added(path: Path, tokens: list[str], **special: str) -> Path:
    """Tokens that were put into the tokenizer alone."""
    tokenizer = AutoTokenizer.from_pretrained(path)
    tokenizer.add_tokens(tokens)
    if special:
        tokenizer.add_special_tokens(special)
    tokenizer.save_pretrained(path)
    return path


@pytest.mark.parametrize("load", [policy_load_path, backbone_load])
def test_a_pad_that_only_the_tokenizer_knows_gets_its_row(tmp_path: Path, load: Any) -> None:
    path = with_added(rare_write(tmp_path / "gpt2", "gpt2", pad=""), [], pad_token="[PAD]")
    loaded = load(path)
    assert loaded.tokenizer.pad_token == "[PAD]"
    assert loaded.pad_id == loaded.model.get_input_embeddings().num_embeddings - 1
    assert torch.isfinite(logits(loaded.model, torch.tensor([[5, loaded.pad_id]]))).all()


@pytest.mark.parametrize("load", [policy_load_path, backbone_load])
def test_several_added_tokens_get_rows_and_what_is_saved_can_be_read(
    tmp_path: Path, load: Any
) -> None:
    path = with_added(decoder_write(tmp_path / "llama", "llama"), ["<x>", "<y>", "<z>"])
    loaded = load(path)
    table = loaded.model.get_input_embeddings().weight
    words = len(table) - 3
    assert torch.equal(table[-1], table[-2])
    torch.testing.assert_close(table[-1], table[:words].mean(0), atol=1e-6, rtol=0)
    (tmp_path / "again").mkdir()
    model_save(loaded, tmp_path / "again")
    read = policy_load_path if load is policy_load_path else classifier_load_path
    assert read(tmp_path / "again").model.get_input_embeddings().num_embeddings == len(table)


@pytest.mark.parametrize("load", [policy_load_path, backbone_load])
def test_the_tokenizer_of_a_larger_model_is_refused(tmp_path: Path, load: Any) -> None:
    path = rare_write(tmp_path / "small", "granite", spare=-10)
    with pytest.raises(UserError, match="they do not belong together"):
        load(path)


def test_a_table_that_does_not_grow_with_the_embeddings_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where an architecture looks tokens up in a second table."""
    second = torch.nn.Embedding(58, 16)
    plain = GPT2LMHeadModel.forward

    def looked_up_twice(self: Any, input_ids: torch.Tensor, **named: Any) -> Any:
        second(input_ids)
        return plain(self, input_ids, **named)

    monkeypatch.setattr(GPT2LMHeadModel, "forward", looked_up_twice)
    with pytest.raises(UserError) as refusal:
        policy_load_path(rare_write(tmp_path / "gpt2", "gpt2", pad=""))
    assert_said("a table that cannot grow", str(refusal.value))


def test_an_encoder_keeps_its_own_pad(tmp_path: Path) -> None:
    loaded = backbone_load(encoder_write(tmp_path / "bert", "bert"))
    assert (loaded.tokenizer.pad_token, loaded.pad_id) == ("<pad>", 1)


# -------------------------------------------------------------------------- ends


def test_the_ends_that_a_model_states_are_kept_beside_those_of_its_tokenizer(
    tmp_path: Path,
) -> None:
    path = decoder_write(tmp_path / "llama", "llama")
    GenerationConfig(eos_token_id=[3, 2]).save_pretrained(path)
    loaded = policy_load_path(path)
    assert loaded.end_ids == (2, 3)
    (tmp_path / "again").mkdir()
    model_save(loaded, tmp_path / "again")
    assert GenerationConfig.from_pretrained(tmp_path / "again").eos_token_id == [2, 3]
    assert policy_load_path(tmp_path / "again").end_ids == (2, 3)


@pytest.mark.parametrize("load", [policy_load_path, backbone_load])
def test_a_pad_that_is_one_of_several_ends_is_replaced_in_policy_and_reward_model(
    tmp_path: Path, load: Any
) -> None:
    """As in Qwen's chat models, whose PAD is the second end."""
    path = decoder_write(tmp_path / "qwen2", "qwen2", pad="<pad>")
    GenerationConfig(eos_token_id=[2, 1]).save_pretrained(path)
    loaded = load(path)
    assert loaded.tokenizer.pad_token == "<|pad|>"
    assert loaded.pad_id not in (1, 2)


def test_an_end_that_is_only_an_architecture_s_default_ends_nothing(tmp_path: Path) -> None:
    """config.json of many a GPT-2 names the end token of the first one; here it is an ordinary word."""
    path = decoder_write(tmp_path / "gpt2", "gpt2")
    model = policy_load_path(path).model
    model.config.eos_token_id = 20
    model.generation_config = GenerationConfig.from_model_config(model.config)
    model.save_pretrained(path)
    assert policy_load_path(path).end_ids == (2,)


def test_ends_beyond_the_vocabulary_are_none(tmp_path: Path) -> None:
    path = decoder_write(tmp_path / "gpt2", "gpt2")
    GenerationConfig(eos_token_id=[2, 50256]).save_pretrained(path)
    assert policy_load_path(path).end_ids == (2,)
