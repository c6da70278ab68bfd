"""Tiny random models of any family, in folders as people bring them, and what they compute taken plainly.

Weights are drawn wide enough that attention, positions and padding show in every logit: the draws of a
family's own configuration are so narrow that a mask that is ignored would pass for rounding.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, PretrainedConfig
from transformers.models.auto import modeling_auto

from benchmarks.architecture_configs import tiny_config
from training.core.data.tokenizers import END, PAD, UNKNOWN, word_tokenizer_learn

__all__ = [
    "TEXTS",
    "causal_class",
    "families",
    "head_class",
    "model_write",
    "padless_write",
    "plain_load",
    "plain_logits",
    "weights_tied",
]

CAUSAL = dict(modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
SCORING = dict(modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES)
TEXTS = (
    "What is a cat?", "A cat is an animal that people keep.", "Say yes.", "Yes.", "Why is the sky blue,"
    " and the sea? Answer in one word, and do not say more than you must, please.", "Because of the light.",
)  # fmt: skip
SPARE = "<|spare|>"


def families() -> list[str]:
    """Every family that claims causal language modelling or sequence classification."""
    return sorted({*CAUSAL, *SCORING})


def causal_class(family: str) -> str:
    return _name(CAUSAL.get(family, ""))


def head_class(family: str) -> str:
    return _name(SCORING.get(family, ""))


def _name(classes: str | Sequence[str]) -> str:
    return classes if isinstance(classes, str) else classes[0]


def model_write(family: str, path: Path) -> int:
    """Write a tiny model with the project's word tokenizer; returns how many weights it has.

    It is the family's causal language model; where there is none, its bare backbone.
    """
    tokenizer = word_tokenizer_learn(TEXTS, limit=300)
    ids = tokenizer.get_vocab()
    tokens = {"pad": ids[PAD], "eos": ids[END], "sep": ids[END], "bos": ids[UNKNOWN]}
    tokens |= {"cls": ids[UNKNOWN], "unk": ids[UNKNOWN], "start": ids[PAD], "other": ids["~"]}
    causal = getattr(transformers, causal_class(family)) if family in CAUSAL else None
    reads = causal.config_class if causal else None
    whole, config = tiny_config(family, reads, vocabulary=len(ids), tokens=tokens)
    torch.manual_seed(0)
    model = causal(config) if causal else _backbone(config)
    _weights_widen(model)
    path.mkdir(parents=True)
    model.save_pretrained(path)
    if whole is not config:  # as people have it, the text part inside the whole
        whole.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return sum(p.numel() for p in model.parameters())


def _backbone(config: PretrainedConfig) -> Any:
    """The bare backbone: the first where the library has several."""
    kind = modeling_auto.MODEL_MAPPING[type(config)]
    return (kind[0] if isinstance(kind, tuple) else kind)(config)


@torch.no_grad()
def _weights_widen(model: nn.Module) -> None:
    """Every matrix to a standard deviation of 1 / sqrt(inputs) at least, embeddings to 0.3."""
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    for parameter in model.parameters():
        if parameter.dim() < 2 or parameter.numel() < 2 or not parameter.is_floating_point():
            continue
        wanted = 0.3 if id(parameter) in tables else parameter.shape[-1] ** -0.5
        found = float(parameter.std())
        if 0 < found < wanted:
            parameter.mul_(wanted / found)
        elif found == 0:
            parameter.add_(torch.randn_like(parameter) * wanted)


def padless_write(path: Path, target: Path) -> None:
    """A copy whose tokenizer has no padding token: loading it must add one, and a row of embeddings."""
    shutil.copytree(path, target)
    for file in [*target.glob("tokenizer*.json"), *target.glob("special_tokens*.json")]:
        lines = file.read_text().replace(PAD, SPARE).splitlines(keepends=True)
        file.write_text("".join(line for line in lines if '"pad_token"' not in line))


# ----------------------------------------------------------------------------- plainly


def plain_load(path: Path, *, scores: bool = False) -> Any:
    """The library's own load of a folder, whole: no weight missing, none left over."""
    factory = AutoModelForSequenceClassification if scores else AutoModelForCausalLM
    model, told = factory.from_pretrained(path, dtype=torch.float32, output_loading_info=True)
    left = {name: keys for name, keys in told.items() if keys and name.endswith("_keys")}
    if left:
        raise ValueError(f"{path.name} does not load whole: {left}")
    return model.eval()


@torch.no_grad()
def plain_logits(model: Any, rows: Sequence[Sequence[int]]) -> list[Tensor]:
    """Logits of each row by itself: no padding, no mask, no positions given, no cache."""
    device = next(model.parameters()).device
    return [model(input_ids=torch.tensor([row], device=device)).logits[0].float() for row in rows]


def weights_tied(model: Any) -> bool:
    """Whether embeddings and output layer are one matrix."""
    output = model.get_output_embeddings()
    return output is not None and output.weight is model.get_input_embeddings().weight
