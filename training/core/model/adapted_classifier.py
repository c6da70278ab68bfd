"""Classifiers that are adapters: a small trained part and a head each, on one frozen backbone.

On disk each is a directory in the layout of `peft` (adapter_config.json, adapter_model.safetensors with the head
in it, in float32), beside the backbone's own directory, which has the tokenizer. `peft` itself opens them too.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from training.contracts import AdapterConfig
from training.core.model.loading import LoadedModel, dropout_disable, model_save
from training.core.model.lora import adapter_add, adapter_attach, adapter_merge, adapter_save
from training.core.model.pretrained import (
    config_load,
    folder_check,
    not_whole,
    stored_dtype,
    tokenizer_load,
    weights_load,
)
from training.core.model.score_head import classifier_class, head_init
from training.core.model.shared_base import (
    BasePool,
    BaseWeights,
    base_weights,
    head_state,
    network_on,
)
from training.core.model.vocabulary import vocabulary_check
from training.core.run.errors import UserError

__all__ = [
    "ClassifierBase",
    "adapted_load",
    "adapted_new",
    "adapted_save",
    "base_load",
    "base_of",
    "base_save",
    "is_adapted",
    "merged",
]

States = dict[str, Tensor]
WEIGHTS = "adapter_model.safetensors"
WRAPPED = "base_model.model."
"""What `peft` puts before every name."""


@dataclass(frozen=True)
class ClassifierBase:
    """One copy of a backbone, and what a classifier on it is made of; `head` is what a new one begins with."""

    config: PreTrainedConfig
    tokenizer: PreTrainedTokenizerBase
    stored: torch.dtype
    weights: BaseWeights
    head: Mapping[str, Tensor]

    def sha256(self) -> str:
        return self.weights.sha256(self.stored)

    def classifier(self, head: Mapping[str, Tensor], where: str) -> LoadedModel:
        factory = classifier_class(self.config, where)
        model = network_on(factory, self.config, self.weights, head)
        dropout_disable(model)
        model.requires_grad_(False)
        return LoadedModel(model, self.tokenizer, self.stored)


def is_adapted(model: PreTrainedModel) -> bool:
    return hasattr(model.base_model, "peft_config")


def base_of(loaded: LoadedModel) -> ClassifierBase:
    """The backbone of a whole classifier, its weights themselves; they are frozen from now on.

    Raises `UserError` where backbone and head are one.
    """
    model = loaded.model
    if model.base_model is model:
        raise UserError(
            f"{type(model).__name__} has no backbone apart from its head, on which adapters could stand: set"
            " adapter.kind to 'none'."
        )
    model.base_model.requires_grad_(False)
    weights, head = base_weights(model.base_model), head_state(model)
    return ClassifierBase(model.config, loaded.tokenizer, loaded.stored, weights, head)


def base_save(base: ClassifierBase, directory: Path) -> None:
    """The backbone and the tokenizer, in the Hugging Face layout; no head."""
    loaded = base.classifier(base.head, str(directory))
    inside = f"{loaded.model.base_model_prefix}."
    model_save(loaded, directory, lambda s: {n: t for n, t in s.items() if n.startswith(inside)})


def base_load(path: Path, sha256: str, pool: BasePool) -> ClassifierBase:
    """What `base_save` wrote; its weights are read only where nobody in `pool` holds the same."""
    where = str(path)
    folder_check(where)
    config, tokenizer = config_load(where), tokenizer_load(where)
    config.num_labels = 1
    weights = pool.get(sha256)
    if weights is None:
        weights = _weights_read(path, config, tokenizer)
        if weights.sha256() != sha256:
            raise UserError(
                f"{where}: not the weights that its adapters were trained on; restore the artifact."
            )
        pool.put(sha256, weights)
    return ClassifierBase(config, tokenizer, stored_dtype(where), weights, {})


def _weights_read(
    path: Path, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase
) -> BaseWeights:
    where = str(path)
    model, info = weights_load(where, classifier_class(config, where), num_labels=1)
    inside = f"{model.base_model_prefix}."
    for problem in ("missing", "unexpected", "mismatched"):
        names = [str(name) for name in info[f"{problem}_keys"]]
        found = [n for n in names if problem != "missing" or n.startswith(inside)]
        if found:
            raise not_whole(where, "backbone", problem, found)
    vocabulary_check(model, tokenizer, where)
    model.base_model.requires_grad_(False)
    return base_weights(model.base_model)


# ------------------------------------------------------------------------------ adapters


def adapted_new(
    base: ClassifierBase, settings: AdapterConfig, *, seed: int, own: bool = False
) -> LoadedModel:
    """A classifier to be trained: adapter and head drawn from `seed`, all else frozen.

    `own`: on a copy of the weights, for whoever cuts them into parts.
    """
    weights = base.weights.copied() if own else base.weights
    stands = ClassifierBase(base.config, base.tokenizer, base.stored, weights, base.head)
    loaded = stands.classifier(base.head, "the backbone")
    head_init(loaded.model, seed)
    adapter_add(loaded.model.base_model, settings, seed=seed)
    for name, parameter in loaded.model.named_parameters():
        parameter.requires_grad_(".lora_" in name or name in base.head)
    return loaded


def adapted_save(
    loaded: LoadedModel, directory: Path, keep: Callable[[States], States] = lambda state: state
) -> None:
    """Adapter and head alone, exactly; `keep` leaves out of the head what is not the model's."""
    model = loaded.model
    adapter_save(
        model.base_model,
        directory,
        prefix=f"{model.base_model_prefix}.",
        beside=keep(head_state(model)),
        task="SEQ_CLS",
    )


def adapted_load(path: Path, base: ClassifierBase) -> LoadedModel:
    """What `adapted_save` wrote, on `base`; frozen, and every weight must be in the file."""
    where = str(path)
    try:
        state = load_file(path / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path / WEIGHTS} cannot be read ({error}); restore it.") from error
    state = {name.removeprefix(WRAPPED): tensor for name, tensor in state.items()}
    head = {name: tensor for name, tensor in state.items() if ".lora_" not in name}
    loaded = base.classifier(head, where)
    model = loaded.model
    if head.keys() != head_state(model).keys():
        raise not_whole(where, "adapter", "mismatched", head.keys() ^ head_state(model).keys())
    inside = f"{model.base_model_prefix}."
    parts = {n.removeprefix(inside): t for n, t in state.items() if n not in head}
    adapter_attach(model.base_model, path, parts)
    model.requires_grad_(False)
    return loaded


def merged(loaded: LoadedModel) -> LoadedModel:
    """A whole classifier with weights of its own; the adapter and what it stands on stay as they are.

    One without an adapter is that already.
    """
    if not is_adapted(loaded.model):
        return loaded
    model: Any = copy.deepcopy(loaded.model)
    adapter_merge(model.base_model)
    model.requires_grad_(True)
    return LoadedModel(model, loaded.tokenizer, loaded.stored)
