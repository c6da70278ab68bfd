"""What others saved, opened: a folder or a Hugging Face name, refused in a sentence where it does not fit.

Only safetensors are read and no code of a model's author is run. Weights are float32 once they are here,
whatever they are in their files; `stored_dtype` says what that is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING
from transformers.utils import cached_file
from transformers.utils import logging as transformers_logging

from training.chat_templates import TemplateSettingsError, templates_fix
from training.contracts import ModelSource, TemplateValue
from training.core.run.errors import UserError
from training.model_files import (
    ModelFilesError,
    config_check,
    model_folder_check,
    weight_types,
)  # fmt: skip

__all__ = [
    "causal_check",
    "chat_template_fix",
    "config_load",
    "folder_check",
    "not_whole",
    "part_check",
    "quiet",
    "source_path",
    "stored_dtype",
    "tokenizer_load",
    "weights_load",
    "whole_check",
]

_SAFE: dict[str, Any] = {
    "use_safetensors": True,
    "trust_remote_code": False,
    "dtype": torch.float32,
}
_UNREADABLE = (
    OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, ImportError, SafetensorError,
    StrictDataclassError,
)  # fmt: skip
_HALVES = {frozenset({"BF16"}): torch.bfloat16, frozenset({"F16"}): torch.float16}


def source_path(source: ModelSource, inputs: Mapping[str, Path]) -> str:
    """The folder or the Hugging Face name that `source` means."""
    if source.kind == "pretrained":
        return source.name
    if source.name not in inputs:
        known = ", ".join(sorted(inputs)) or "none"
        raise UserError(f"The model comes from the input {source.name!r}; the spec has: {known}.")
    return str(inputs[source.name])


def folder_check(where: str) -> None:
    """A folder is looked at before it is opened; any other name may be one of a model hub."""
    path = Path(where)
    if path.exists() or path.is_absolute() or where.startswith((".", "~")):
        try:
            model_folder_check(path)
        except ModelFilesError as error:
            raise UserError(str(error)) from error


def config_load(where: str) -> PreTrainedConfig:
    """The configuration alone, refused where such a model cannot be trained."""
    quiet()
    try:
        config = AutoConfig.from_pretrained(where, trust_remote_code=False)
        config_check(config.to_dict(), where)
    except ModelFilesError as error:
        raise UserError(str(error)) from error
    except _UNREADABLE as error:
        raise UserError(f"No model can be loaded from {where}: {_sentence(error)}") from error
    return config


def causal_check(config: PreTrainedConfig, where: str) -> None:
    """Raise `UserError` where the library has no causal language model of this architecture."""
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise UserError(
            f"{where}: {config.model_type} is an architecture without a causal language model in"
            " transformers, so that it cannot write; take a decoder as the policy."
        )


def part_check(config: PreTrainedConfig, where: str) -> None:
    """Raise `UserError` where a part of a larger model was loaded that could not be loaded again by itself."""
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise UserError(
            f"{where}: only its text part ({config.model_type}) would be trained, and transformers could not"
            " load what is saved of it; take a model of text alone as the policy."
        )


def tokenizer_load(
    where: str, template_settings: Mapping[str, TemplateValue] = MappingProxyType({})
) -> PreTrainedTokenizerBase:
    """The tokenizer beside a model, its chat template fixed to these settings and to one day."""
    quiet()
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            where, trust_remote_code=False
        )
    except Exception as error:  # the tokenizers library raises nothing narrower
        raise UserError(
            f"No tokenizer can be loaded from {where}: {_sentence(error)} Save the model's tokenizer"
            " files beside its weights."
        ) from error
    chat_template_fix(tokenizer, template_settings)
    return tokenizer


def chat_template_fix(
    tokenizer: PreTrainedTokenizerBase, settings: Mapping[str, TemplateValue]
) -> None:
    """Before anything is rendered: what is saved with the model then renders as training does."""
    if settings and not tokenizer.chat_template:
        raise UserError(
            "chat_template_kwargs are given, but the model has no chat template: leave them out, or save"
            " a chat_template beside its tokenizer."
        )
    try:
        fixed = templates_fix(tokenizer.chat_template, settings)
    except TemplateSettingsError as error:
        raise UserError(str(error)) from error
    if fixed != tokenizer.chat_template:
        tokenizer.chat_template = fixed


def weights_load(where: str, factory: Any, **options: Any) -> tuple[Any, Mapping[str, Any]]:
    """A model in float32 on the CPU, and what of its weights was not in the files."""
    quiet()
    try:
        model, info = factory.from_pretrained(where, **_SAFE, **options, output_loading_info=True)
    except torch.OutOfMemoryError:
        raise
    except _UNREADABLE as error:
        raise UserError(f"No model can be loaded from {where}: {_sentence(error)}") from error
    _depth_check(where, model, info["unexpected_keys"])
    return model, info


def whole_check(where: str, info: Mapping[str, Any], what: str, problems: Iterable[str]) -> None:
    """No weight that the architecture has may be drawn at random because a file lacks it."""
    for problem in problems:
        if found := info[f"{problem}_keys"]:
            raise not_whole(where, what, problem, found)


def not_whole(where: str, what: str, problem: str, found: Iterable[Any]) -> UserError:
    names = ", ".join(sorted(map(str, found))[:3])
    return UserError(
        f"{where}: not a whole {what} ({problem}_keys: {names}); save the model again, whole."
    )


def stored_dtype(where: str) -> torch.dtype:
    """The type of the weights in the files: bfloat16 or float16 where all of them are, else float32.

    Files of mixed types count as float32, so that nothing is lost where they are written again.
    """
    folder = Path(where)
    if not folder.is_dir():
        found = cached_file(where, "config.json", local_files_only=True)
        folder = Path(str(found)).parent
    return _HALVES.get(weight_types(folder), torch.float32)


def _depth_check(where: str, model: Any, unexpected: Iterable[Any]) -> None:
    """Files may hold more than a model reads, another head or tower, but no more of the same layers."""
    own = {re.sub(r"\d+", "N", name) for name in model.state_dict()}
    deeper = sorted(name for name in map(str, unexpected) if re.sub(r"\d+", "N", name) in own)
    if deeper:
        raise UserError(
            f"{where}: its files hold more layers than its config.json describes ({deeper[0]}, and"
            f" {len(deeper) - 1} more weights): put the config.json that belongs to them beside them."
        )


def _sentence(error: Exception) -> str:
    said = str(error).strip().split("\n")[0].rstrip(" .:")
    return f"{said or type(error).__name__}."


def quiet() -> None:
    """A new head is announced as missing weights; here that is meant, and checked on reload."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
