"""The one list of checks: what it finds, and that every recipe goes through it before it spends anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.documented import assert_said
from tests.support.own_models import decoder_write
from tests.support.rare_models import rare_write
from training.contracts import AdapterConfig, ModelSource
from training.core.model.loading import classifier_load, policy_load_path
from training.core.rollout.model_checks import (
    backbone_checks,
    check_loading,
    check_spare_rows,
    checks_pass,
    policy_checks,
    probe_config,
)
from training.core.run.errors import UserError

PROMPTS = [[5, 9, 12, 30], [6, 11], [40, 41, 9, 4], [7]]
LORA = AdapterConfig(kind="lora", rank=2)


@pytest.mark.parametrize("name", ["granite", "mixtral", "cohere"])
def test_a_sound_policy_passes_every_check_and_each_says_what_it_found(
    tmp_path: Path, name: str
) -> None:
    policy = policy_load_path(rare_write(tmp_path / name, name))
    found = {c.name: c.check() for c in policy_checks(policy, PROMPTS, probe_config(), LORA)}
    assert list(found) == [
        *("end and padding", "training pass", "sampling", "rows without a token", "loading"),
        "adapter",
    ]
    assert all(found.values())


def test_rows_that_no_token_owns_must_have_no_probability(tmp_path: Path) -> None:
    policy = policy_load_path(rare_write(tmp_path / "phi", "phi", spare=6))
    with pytest.raises(UserError) as refusal:
        check_spare_rows(policy, PROMPTS)
    assert_said("rows without a token", str(refusal.value))
    assert "6 rows" in str(refusal.value)
    words = len(policy.tokenizer)
    with torch.no_grad():  # as training leaves them
        policy.model.lm_head.bias[words:] = -30.0
    assert check_spare_rows(policy, PROMPTS).startswith("6, with at most")


def test_a_class_that_empties_the_padding_row_at_every_load_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Youtu's does, around the mark of what came from a file; harmless where the output has its own table."""
    tied = policy_load_path(rare_write(tmp_path / "cohere", "cohere")).model
    alone = policy_load_path(rare_write(tmp_path / "phi", "phi")).model
    assert check_loading(tied) == "keeps every row of the vocabulary"

    def emptied(self: Any, module: torch.nn.Module) -> None:
        if isinstance(module, torch.nn.Embedding) and module.padding_idx is not None:
            module.weight.data[module.padding_idx].zero_()

    for model in (tied, alone):
        monkeypatch.setattr(type(model), "_init_weights", emptied)
    with pytest.raises(UserError) as refusal:
        check_loading(tied)
    assert_said("padding row emptied", str(refusal.value))
    assert "read by nobody" in check_loading(alone)


def test_an_adapter_that_cannot_be_merged_ends_the_checks(tmp_path: Path) -> None:
    policy = policy_load_path(rare_write(tmp_path / "qwen3_moe", "qwen3_moe"))
    named = AdapterConfig(kind="lora", targets=("up_proj",))
    with pytest.raises(UserError, match="cannot be merged"):
        checks_pass(policy_checks(policy, PROMPTS, probe_config(), named))


class _Leaky(torch.nn.Module):
    """Adds what the whole batch has in common: its width."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.device, self.config = model, model.device, model.config

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        output = self.model(input_ids=input_ids, attention_mask=attention_mask)
        output.logits = output.logits + input_ids.shape[1]
        return output


def test_a_backbone_whose_score_depends_on_its_batch_is_found(tmp_path: Path) -> None:
    path = decoder_write(tmp_path / "llama", "llama")
    loaded = classifier_load(ModelSource(kind="pretrained", name=str(path)), {})
    checks_pass(backbone_checks(loaded, max_length=64))
    object.__setattr__(loaded, "model", _Leaky(loaded.model))
    with pytest.raises(UserError, match="alone and in a batch"):
        checks_pass(backbone_checks(loaded, max_length=64))
