"""Models by `ModelSource`: a run input, any Hugging Face name or path, or a fresh small one.

Only safetensors are read, no code of a model's author is run, and PAD is never EOS: the masks of
training and of generation depend on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as transformers_logging

from training.contracts import ModelSource
from training.core.errors import UserError
from training.core.tokenizers import PAD, end_ids, word_tokenizer_learn

_SAFE: dict[str, Any] = {
    "use_safetensors": True,
    "trust_remote_code": False,
    "dtype": torch.float32,
}
# A classifier that was trained for other labels lends its backbone, never its head.
_HEAD: dict[str, Any] = {"num_labels": 1, "ignore_mismatched_sizes": True}


@dataclass(frozen=True)
class LoadedModel:
    """A model with its tokenizer, dropout off, in float32 on the CPU."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    @property
    def pad_id(self) -> int:
        return int(self.tokenizer.pad_token_id)

    @property
    def end_ids(self) -> tuple[int, ...]:
        return end_ids(self.tokenizer)


def policy_load(
    source: ModelSource,
    inputs: Mapping[str, Path],
    *,
    texts: Iterable[str] = (),
    seed: int = 0,
) -> LoadedModel:
    """A causal language model. `texts` teach the tokenizer of a fresh one; `seed` its weights."""
    if source.kind == "fresh":
        if source.architecture != "llama":
            raise UserError(f"A fresh policy must be a llama, not a {source.architecture}.")
        tokenizer = _fresh_tokenizer(source, inputs, texts)
        model = _seeded(seed, lambda: LlamaForCausalLM(_llama_config(source, tokenizer)))
        return _finish_policy(model, tokenizer, fresh=True)
    where = source_path(source, inputs)
    tokenizer = tokenizer_load(where)
    model = _loaded(where, AutoModelForCausalLM)
    return _finish_policy(model, tokenizer, fresh=False)


def policy_load_path(path: Path) -> LoadedModel:
    """A policy artifact."""
    return policy_load(ModelSource(kind="pretrained", name=str(path)), {})


def classifier_load(
    source: ModelSource,
    inputs: Mapping[str, Path],
    *,
    texts: Iterable[str] = (),
    seed: int = 0,
) -> LoadedModel:
    """A sequence classifier with one output and a new head drawn from `seed`.

    The backbone is any encoder or decoder, a policy artifact included.
    """
    if source.kind == "fresh":
        tokenizer = _fresh_tokenizer(source, inputs, texts)
        model = _seeded(seed, lambda: _fresh_classifier(source, tokenizer))
    else:
        where = source_path(source, inputs)
        tokenizer = tokenizer_load(where)
        model = _seeded(seed, lambda: _loaded(where, AutoModelForSequenceClassification, **_HEAD))
    _add_pad(model, tokenizer)
    head_init(model, seed)
    dropout_disable(model)
    return LoadedModel(model, tokenizer)


def classifier_load_path(path: Path) -> LoadedModel:
    """A trained reward model: unlike `classifier_load`, every weight must be in the files."""
    tokenizer = tokenizer_load(str(path))
    model, info = _loaded(
        str(path), AutoModelForSequenceClassification, **_HEAD, output_loading_info=True
    )
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info[problem]:
            names = ", ".join(sorted(map(str, info[problem]))[:3])
            raise UserError(f"{path}: not a whole reward model ({problem}: {names}).")
    dropout_disable(model)
    model.eval()
    return LoadedModel(model, tokenizer)


def model_save(loaded: LoadedModel, directory: Path, state: dict[str, Any] | None = None) -> None:
    """Write the Hugging Face layout; the same weights give the same bytes."""
    _quiet()
    loaded.model.save_pretrained(directory, state_dict=state, safe_serialization=True)
    loaded.tokenizer.save_pretrained(directory)


# ------------------------------------------------------------------------- loading


def source_path(source: ModelSource, inputs: Mapping[str, Path]) -> str:
    if source.kind == "pretrained":
        return source.name
    if source.name not in inputs:
        known = ", ".join(sorted(inputs)) or "none"
        raise UserError(f"The model comes from the input {source.name!r}; the spec has: {known}.")
    return str(inputs[source.name])


def tokenizer_load(where: str) -> PreTrainedTokenizerBase:
    _quiet()
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            where, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise UserError(f"No tokenizer can be loaded from {where}: {_sentence(error)}") from error
    return tokenizer


def _loaded(where: str, factory: Any, **options: Any) -> Any:
    _quiet()
    try:
        return factory.from_pretrained(where, **_SAFE, **options)
    except (OSError, ValueError) as error:
        raise UserError(f"No model can be loaded from {where}: {_sentence(error)}") from error


def _sentence(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


def _quiet() -> None:
    """A new head is announced as missing weights; here that is meant, and checked on reload."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def _seeded(seed: int, build: Any) -> Any:
    """Draw new weights from `seed` without touching the global random state."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build()


def _finish_policy(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, fresh: bool
) -> LoadedModel:
    _add_pad(model, tokenizer)
    dropout_disable(model)
    loaded = LoadedModel(model, tokenizer)
    if fresh or model.generation_config is None:
        # What a server does when a request names no sampling: the policy's own distribution.
        model.generation_config = GenerationConfig(
            do_sample=True, temperature=1.0, top_k=0, top_p=1.0
        )
    model.generation_config.pad_token_id = loaded.pad_id
    model.generation_config.eos_token_id = list(loaded.end_ids)
    return loaded


def _add_pad(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    ends = {tokenizer.eos_token_id}
    if tokenizer.chat_template:
        ends |= set(end_ids(tokenizer))
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id in ends:
        tokenizer.add_special_tokens({"pad_token": PAD})
        if len(tokenizer) > model.get_input_embeddings().num_embeddings:
            model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.config.pad_token_id = tokenizer.pad_token_id
    text_config = model.config.get_text_config()
    text_config.pad_token_id = tokenizer.pad_token_id


def dropout_disable(model: nn.Module) -> None:
    """Switch every dropout off, the functional ones (float attributes of attention) too."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name, value in vars(module).items():
            if "dropout" in name and isinstance(value, float):
                setattr(module, name, 0.0)


# --------------------------------------------------------------------------- heads


def head_of(model: nn.Module) -> nn.Linear:
    """The last linear layer with one output: `score`, `classifier`, `classifier.out_proj` ..."""
    heads = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == 1]
    if not heads:
        raise UserError(f"{type(model).__name__} has no head with one output.")
    return heads[-1]


def head_init(model: nn.Module, seed: int) -> None:
    """Draw the head from N(0, 1/sqrt(d + 1)), bias 0 (Stiennon 2020; Huang 2024)."""
    head = head_of(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        noise = torch.randn(head.weight.shape, generator=generator)
        head.weight.copy_(noise / (head.in_features + 1) ** 0.5)
        if head.bias is not None:
            head.bias.zero_()


# --------------------------------------------------------------------- fresh models


def _fresh_tokenizer(
    source: ModelSource, inputs: Mapping[str, Path], texts: Iterable[str]
) -> PreTrainedTokenizerBase:
    if source.tokenizer_from:
        name = ModelSource(kind="input", name=source.tokenizer_from)
        return tokenizer_load(source_path(name, inputs))
    tokenizer: PreTrainedTokenizerFast = word_tokenizer_learn(texts, limit=source.vocabulary_limit)
    return tokenizer


def _llama_config(source: ModelSource, tokenizer: PreTrainedTokenizerBase) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=source.hidden_size,
        intermediate_size=source.feed_forward,
        num_hidden_layers=source.layers,
        num_attention_heads=source.heads,
        max_position_embeddings=source.max_positions,
        initializer_range=source.init_std,
        tie_word_embeddings=False,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        num_labels=1,
    )


def _fresh_classifier(source: ModelSource, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    if source.architecture == "llama":
        return LlamaForSequenceClassification(_llama_config(source, tokenizer))
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=source.hidden_size,
            intermediate_size=source.feed_forward,
            num_hidden_layers=source.layers,
            num_attention_heads=source.heads,
            max_position_embeddings=source.max_positions,
            initializer_range=source.init_std,
            pad_token_id=tokenizer.pad_token_id,
            num_labels=1,
        )
    )
