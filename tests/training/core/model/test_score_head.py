"""A head of our own where the library has none: whole, read where the text ends, blind to padding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, FalconH1Config, FalconH1ForCausalLM, TrOCRConfig
from transformers.models.falcon_h1.modeling_falcon_h1 import compute_mup_vector

from tests.support.documented import assert_said
from tests.support.own_models import decoder_write, tokenizer_write
from tests.support.rare_models import rare_write
from training.contracts import ModelSource
from training.core.data.batches import pad
from training.core.model.actor_critic import ActorCritic
from training.core.model.loading import (
    LoadedModel,
    classifier_load,
    classifier_load_path,
    model_save,
    policy_load_path,
)
from training.core.model.memory_estimate import shape_at
from training.core.model.recompute import recompute_layers
from training.core.model.score_head import HEAD, classifier_class, head_of
from training.core.reward.forward import score_rows
from training.core.run.errors import UserError

ROWS = [[5, 9, 12, 30, 8, 7, 22], [6, 11], [40, 41, 9, 4]]
HEADLESS = ["granite", "cohere", "falcon_mamba", "olmoe"]


def backbone_load(path: Path, seed: int = 3) -> LoadedModel:
    return classifier_load(ModelSource(kind="pretrained", name=str(path)), {}, seed=seed)


def scores(loaded: LoadedModel, rows: list[list[int]], side: Any = "right") -> torch.Tensor:
    batch = pad(rows, loaded.pad_id, side=side)
    with torch.no_grad():
        output = loaded.model.eval()(input_ids=batch.ids, attention_mask=batch.mask.long())
    return torch.as_tensor(output.logits).squeeze(-1)


@pytest.mark.parametrize("name", HEADLESS)
def test_a_model_without_a_classifier_scores_by_a_head_of_ours_and_is_read_again_whole(
    tmp_path: Path, name: str
) -> None:
    path = rare_write(tmp_path / name, name)
    loaded = backbone_load(path)
    head = head_of(loaded.model)
    generator = torch.Generator().manual_seed(3)
    expected = torch.randn(1, 16, generator=generator) / 17**0.5
    assert torch.allclose(head.weight, expected)
    assert head is loaded.model.score
    policy = policy_load_path(path).model.base_model.state_dict()
    mine = loaded.model.base_model.state_dict()
    assert mine.keys() == policy.keys()
    assert all(torch.equal(mine[key], policy[key]) for key in mine)
    together = scores(loaded, ROWS)
    alone = torch.cat([scores(loaded, [row]) for row in ROWS])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        score_rows(loaded.model, ROWS, loaded.pad_id, packed=True), alone, atol=1e-5, rtol=0
    )
    (tmp_path / "saved").mkdir()
    model_save(loaded, tmp_path / "saved")
    again = classifier_load_path(tmp_path / "saved")
    assert torch.equal(scores(again, ROWS), together)
    assert json.loads((tmp_path / "saved" / "config.json").read_text())[HEAD] == "last_token"
    count = sum(p.numel() for p in loaded.model.parameters())
    for folder in (path, tmp_path / "saved"):
        assert shape_at(str(folder), speaks=False).parameters == count


def test_the_score_is_that_of_the_last_real_token_padded_on_either_side(tmp_path: Path) -> None:
    loaded = backbone_load(rare_write(tmp_path / "granite", "granite"))
    with torch.no_grad():
        hidden = loaded.model.base_model(input_ids=torch.tensor(ROWS[:1])).last_hidden_state
        expected = loaded.model.score(hidden[:, -1])[0]
    torch.testing.assert_close(scores(loaded, ROWS)[:1], expected, atol=1e-5, rtol=0)
    other = [*ROWS[0][:-1], 33]
    assert float((scores(loaded, [other]) - expected).abs()) > 1e-4
    # A text may hold the padding token itself, which is not where it ends.
    inside = [[5, loaded.pad_id], ROWS[0]]
    alone = scores(loaded, inside[:1])
    torch.testing.assert_close(scores(loaded, inside)[:1], alone, atol=1e-5, rtol=0)


def test_a_masked_language_model_is_read_at_its_first_token(tmp_path: Path) -> None:
    words = len(tokenizer_write(tmp_path, template="", encoder=True))
    config = BertConfig(
        vocab_size=words, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, pad_token_id=1, **{HEAD: "first_token"},
    )  # fmt: skip
    model = classifier_class(config, "here").from_config(config)
    model.save_pretrained(tmp_path)
    loaded = classifier_load_path(tmp_path)
    assert type(loaded.model).__name__ == "BertModelScored"
    with torch.no_grad():
        hidden = loaded.model.base_model(input_ids=torch.tensor(ROWS[:1])).last_hidden_state
        expected = loaded.model.score(hidden[:, 0])[0]
    torch.testing.assert_close(scores(loaded, ROWS)[:1], expected, atol=1e-5, rtol=0)


def test_a_head_that_is_missing_in_the_files_is_named(tmp_path: Path) -> None:
    path = rare_write(tmp_path / "granite", "granite")
    with pytest.raises(UserError, match=r"missing_keys: score\.weight"):
        classifier_load_path(path)


def test_an_artifact_of_the_library_s_class_names_no_head_of_ours(tmp_path: Path) -> None:
    loaded = backbone_load(decoder_write(tmp_path / "llama", "llama"))
    (tmp_path / "saved").mkdir()
    model_save(loaded, tmp_path / "saved")
    assert HEAD not in json.loads((tmp_path / "saved" / "config.json").read_text())
    again = classifier_load_path(tmp_path / "saved")
    assert type(again.model).__name__ == "LlamaForSequenceClassification"


def test_it_learns_recomputed_and_becomes_a_critic(tmp_path: Path) -> None:
    path = rare_write(tmp_path / "granite", "granite")
    loaded, plain = backbone_load(path), backbone_load(path)
    recompute_layers(loaded.model)
    for model in (loaded.model, plain.model):
        score_rows(model, ROWS, loaded.pad_id).sum().backward()
    for mine, theirs in zip(loaded.model.parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-5, rtol=0)
    policy = policy_load_path(path)
    actor = ActorCritic.from_reward_model(policy.model, plain.model, mean=0.5, std=2.0)
    assert torch.allclose(actor.head.weight, plain.model.score.weight / 2)
    assert actor.critic is plain.model.base_model


def test_an_architecture_without_a_backbone_is_refused() -> None:
    with pytest.raises(UserError) as refusal:
        classifier_class(TrOCRConfig(), "here")
    assert_said("no backbone for a head", str(refusal.value))


@pytest.mark.parametrize("name", HEADLESS)
def test_its_embeddings_grow_by_a_pad(tmp_path: Path, name: str) -> None:
    loaded = backbone_load(rare_write(tmp_path / name, name, pad=""))
    table = loaded.model.get_input_embeddings().weight
    assert loaded.pad_id == len(table) - 1
    torch.testing.assert_close(table[-1], table[:-1].mean(0), atol=1e-6, rtol=0)
    assert torch.isfinite(scores(loaded, ROWS)).all()


def test_buffers_that_a_backbone_writes_into_its_layers_are_written(tmp_path: Path) -> None:
    """They are in no file: Falcon-H1's would be whatever lay in memory."""
    words = len(tokenizer_write(tmp_path / "falcon_h1"))
    config = FalconH1Config(
        vocab_size=words, hidden_size=16, intermediate_size=32, num_hidden_layers=2, head_dim=8,
        num_attention_heads=2, num_key_value_heads=2, mamba_d_ssm=16, mamba_n_heads=2, mamba_d_head=8,
        mamba_d_state=4, ssm_multipliers=[0.5, 0.25, 2.0, 4.0, 8.0],
    )  # fmt: skip
    FalconH1ForCausalLM(config).save_pretrained(tmp_path / "falcon_h1")
    model = backbone_load(tmp_path / "falcon_h1").model
    found = [buffer for name, buffer in model.named_buffers() if name.endswith("mup_vector")]
    assert len(found) == 2
    assert all(torch.equal(buffer, compute_mup_vector(config)) for buffer in found)
