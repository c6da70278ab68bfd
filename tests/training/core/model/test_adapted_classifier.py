"""A classifier that is an adapter: on any backbone it is read as it was saved, and as the whole that it stands for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.support.own_models import decoder_write, encoder_write
from tests.support.rare_models import rare_write
from training.contracts import AdapterConfig, ModelSource
from training.core.model.adapted_classifier import (
    adapted_load,
    adapted_new,
    adapted_save,
    base_load,
    base_of,
    base_save,
    merged,
)
from training.core.model.loading import LoadedModel, classifier_load
from training.core.model.score_head import head_of
from training.core.model.shared_base import BasePool, head_state
from training.core.reward.forward import score_rows
from training.core.run.errors import UserError

LORA = AdapterConfig(kind="lora", rank=2)
ROWS = [[5, 9, 12, 30, 8, 7, 22], [6, 11], [40, 41, 9, 4]]
WRITERS = {"gpt2": decoder_write, "qwen2": decoder_write, "bert": encoder_write}
WRITERS |= {"roberta": encoder_write, "granite": rare_write, "cohere": rare_write}


def backbone(path: Path, name: str, seed: int = 3) -> LoadedModel:
    where = path / name
    if not where.exists():
        WRITERS[name](where, name)
    return classifier_load(ModelSource(kind="pretrained", name=str(where)), {}, seed=seed)


def moved(loaded: LoadedModel) -> LoadedModel:
    torch.manual_seed(1)
    for parameter in loaded.model.parameters():
        if parameter.requires_grad:
            with torch.no_grad():
                parameter.add_(0.2 * torch.randn_like(parameter))
    return loaded


@torch.no_grad()
def scores(loaded: LoadedModel) -> torch.Tensor:
    return score_rows(loaded.model.eval(), ROWS, loaded.pad_id)


@pytest.mark.parametrize("name", WRITERS)
def test_on_any_backbone_it_is_read_as_it_was_saved(tmp_path: Path, name: str) -> None:
    whole = backbone(tmp_path, name)
    before = scores(whole)
    base = base_of(whole)
    first, second = (moved(adapted_new(base, LORA, seed=seed)) for seed in (3, 4))
    for place, loaded in (("base", None), ("one", first), ("two", second)):
        (tmp_path / place).mkdir()
        base_save(base, tmp_path / place) if loaded is None else adapted_save(
            loaded, tmp_path / place
        )
    again = base_load(tmp_path / "base", base.sha256(), BasePool())
    for place, loaded in (("one", first), ("two", second)):
        found = adapted_load(tmp_path / place, again)
        torch.testing.assert_close(scores(found), scores(loaded), atol=1e-6, rtol=0)
        torch.testing.assert_close(scores(merged(found)), scores(loaded), atol=1e-4, rtol=0)
        assert not any(p.requires_grad for p in found.model.parameters())
    assert not torch.equal(scores(first), scores(second))
    torch.testing.assert_close(scores(whole), before, atol=0, rtol=0)


def test_a_new_one_scores_as_the_whole_classifier_of_its_seed(tmp_path: Path) -> None:
    whole = backbone(tmp_path, "qwen2", seed=5)
    new = adapted_new(base_of(backbone(tmp_path, "qwen2")), LORA, seed=5)
    torch.testing.assert_close(scores(new), scores(whole), atol=1e-6, rtol=0)
    learns = {name for name, p in new.model.named_parameters() if p.requires_grad}
    assert learns == {n for n, _ in new.model.named_parameters() if ".lora_" in n} | {
        "score.weight"
    }


def test_an_encoders_whole_head_learns_and_is_kept(tmp_path: Path) -> None:
    base = base_of(backbone(tmp_path, "roberta"))
    new = adapted_new(base, LORA, seed=5)
    head = head_state(new.model)
    assert {"classifier.dense.weight", "classifier.out_proj.weight"} <= head.keys()
    learns = {name for name, p in new.model.named_parameters() if p.requires_grad}
    assert head.keys() <= learns


def test_the_weights_of_a_copy_are_its_own(tmp_path: Path) -> None:
    base = base_of(backbone(tmp_path, "qwen2"))
    shared, own = (adapted_new(base, LORA, seed=1, own=own) for own in (False, True))
    held = {id(p) for p in base.weights.parameters.values()}
    assert held <= {id(p) for p in shared.model.parameters()}
    assert not held & {id(p) for p in own.model.parameters()}
    torch.testing.assert_close(scores(own), scores(shared), atol=0, rtol=0)


def test_a_classifier_without_a_backbone_of_its_own_is_refused() -> None:
    class Flat(nn.Module):
        @property
        def base_model(self) -> nn.Module:
            return self

    with pytest.raises(UserError, match="no backbone apart from its head"):
        base_of(LoadedModel(Flat(), None))


def test_the_head_has_one_output(tmp_path: Path) -> None:
    new = adapted_new(base_of(backbone(tmp_path, "gpt2")), LORA, seed=5)
    assert head_of(new.model).out_features == 1
