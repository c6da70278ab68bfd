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
from safetensors import SafetensorError
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
from training.core.data.tokenizers import PAD, end_ids, word_tokenizer_learn
from training.core.run.errors import UserError
from training.model_files import ModelFilesError, model_folder_check

_SAFE: dict[str, Any] = {
    "use_safetensors": True,
    "trust_remote_code": False,
    "dtype": torch.float32,
}
_UNREADABLE = (
    OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, SafetensorError,
)  # fmt: skip
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
    model, tokenizer = _policy_loaded(where)
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
        _folder_check(where)
        tokenizer = tokenizer_load(where)
        model = _seeded(seed, lambda: _loaded(where, AutoModelForSequenceClassification, **_HEAD))
        vocabulary_check(model, tokenizer, where)
    _add_pad(model, tokenizer)
    head_init(model, seed)
    dropout_disable(model)
    return LoadedModel(model, tokenizer)


def classifier_load_path(path: Path) -> LoadedModel:
    """A trained reward model: unlike `classifier_load`, every weight must be in the files."""
    _folder_check(str(path))
    tokenizer = tokenizer_load(str(path))
    model, info = _loaded(
        str(path), AutoModelForSequenceClassification, **_HEAD, output_loading_info=True
    )
    _whole_check(str(path), info, "reward model", ("missing", "unexpected", "mismatched"))
    vocabulary_check(model, tokenizer, str(path))
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
    except Exception as error:  # the tokenizers library raises nothing narrower
        raise UserError(
            f"No tokenizer can be loaded from {where}: {_sentence(error)} Save the model's tokenizer"
            " files beside its weights."
        ) from error
    return tokenizer


def _policy_loaded(where: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    _folder_check(where)
    tokenizer = tokenizer_load(where)
    model, info = _loaded(where, AutoModelForCausalLM, output_loading_info=True)
    _whole_check(where, info, "policy", ("missing", "mismatched"))
    vocabulary_check(model, tokenizer, where)
    return model, tokenizer


def _folder_check(where: str) -> None:
    """A folder is looked at before it is opened; any other name may be one of a model hub."""
    path = Path(where)
    if path.exists() or path.is_absolute() or where.startswith((".", "~")):
        try:
            model_folder_check(path)
        except ModelFilesError as error:
            raise UserError(str(error)) from error


def _loaded(where: str, factory: Any, **options: Any) -> Any:
    _quiet()
    try:
        return factory.from_pretrained(where, **_SAFE, **options)
    except torch.OutOfMemoryError:
        raise
    except _UNREADABLE as error:
        raise UserError(f"No model can be loaded from {where}: {_sentence(error)}") from error


def _whole_check(where: str, info: Mapping[str, Any], what: str, problems: Iterable[str]) -> None:
    """No weight that the architecture has may be drawn at random because a file lacks it."""
    for problem in problems:
        if found := info[f"{problem}_keys"]:
            names = ", ".join(sorted(map(str, found))[:3])
            raise UserError(
                f"{where}: not a whole {what} ({problem}_keys: {names}); save the model again, whole."
            )


def vocabulary_check(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, where: str
) -> None:
    """Every token has its row of the embeddings; one for padding alone is added later."""
    rows = model.get_input_embeddings().num_embeddings
    beyond = {i for i in tokenizer.get_vocab().values() if i >= rows} - {tokenizer.pad_token_id}
    if beyond:
        raise UserError(
            f"The tokenizer of {where} has token ids up to {max(beyond)}, but the model has only {rows}"
            " embeddings: they do not belong together. Put the tokenizer beside the model that it was"
            " trained with."
        )


def _sentence(error: Exception) -> str:
    said = str(error).strip().split("\n")[0].rstrip(" .:")
    return f"{said or type(error).__name__}."


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
