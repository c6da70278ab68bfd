"""Models by `ModelSource`: a run input, any Hugging Face name or path, or a fresh small one.

Only safetensors are read, no code of a model's author is run, and PAD is never EOS: the masks of
training and of generation depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from training.contracts import CheckpointDtype, ModelSource
from training.core.data.tokenizers import word_tokenizer_learn
from training.core.model.fresh import fresh_classifier, fresh_policy, seeded
from training.core.model.pretrained import (
    causal_check,
    chat_template_fix,
    config_load,
    folder_check,
    not_whole,
    part_check,
    quiet,
    source_path,
    stored_dtype,
    tokenizer_load,
    weights_load,
    whole_check,
)
from training.core.model.score_head import classifier_class, head_init
from training.core.model.vocabulary import (
    policy_ends,
    stated_ends,
    vocabulary_check,
    vocabulary_fit,
)

# A classifier that was trained for other labels lends its backbone, never its head.
_HEAD: dict[str, Any] = {"num_labels": 1, "ignore_mismatched_sizes": True}
States = dict[str, Tensor]


@dataclass(frozen=True)
class LoadedModel:
    """A model with its tokenizer, dropout off, in float32 on the CPU; `stored` is the type of its files."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    stored: torch.dtype = torch.float32

    @property
    def pad_id(self) -> int:
        return int(self.tokenizer.pad_token_id)

    @property
    def end_ids(self) -> tuple[int, ...]:
        return policy_ends(self.model.generation_config, self.tokenizer)

    def written_as(self, dtype: CheckpointDtype) -> LoadedModel:
        """The same model, which `model_save` writes so."""
        return replace(self, stored=torch.float32) if dtype == "float32" else self


def policy_load(
    source: ModelSource,
    inputs: Mapping[str, Path],
    *,
    texts: Iterable[str] = (),
    seed: int = 0,
) -> LoadedModel:
    """A causal language model. `texts` teach the tokenizer of a fresh one; `seed` its weights."""
    if source.kind == "fresh":
        tokenizer = _fresh_tokenizer(source, inputs, texts)
        model = fresh_policy(source, tokenizer, seed=seed)
        return _policy_finish(model, tokenizer, "the fresh model", torch.float32)
    where = source_path(source, inputs)
    folder_check(where)
    causal_check(config_load(where), where)
    tokenizer = tokenizer_load(where, source.chat_template_kwargs)
    model, info = weights_load(where, AutoModelForCausalLM)
    whole_check(where, info, "policy", ("missing", "mismatched"))
    part_check(model.config, where)
    return _policy_finish(model, tokenizer, where, stored_dtype(where))


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
    """A classifier with one output and a new head drawn from `seed`.

    The backbone is any encoder or decoder, a policy artifact included.
    """
    if source.kind == "fresh":
        where, stored = "the fresh model", torch.float32
        tokenizer = _fresh_tokenizer(source, inputs, texts)
        model = fresh_classifier(source, tokenizer, seed=seed)
    else:
        where = source_path(source, inputs)
        folder_check(where)
        factory = classifier_class(config_load(where), where)
        tokenizer = tokenizer_load(where, source.chat_template_kwargs)
        model, info = seeded(seed, lambda: weights_load(where, factory, **_HEAD))
        _backbone_check(where, model, info)
        stored = stored_dtype(where)
    vocabulary_fit(
        model, tokenizer, where, ends=stated_ends(_generation_of(model, where), tokenizer)
    )
    head_init(model, seed)
    dropout_disable(model)
    return LoadedModel(model, tokenizer, stored)


def classifier_load_path(path: Path) -> LoadedModel:
    """A trained reward model: unlike `classifier_load`, every weight must be in the files."""
    where = str(path)
    folder_check(where)
    factory = classifier_class(config_load(where), where)
    tokenizer = tokenizer_load(where)
    model, info = weights_load(where, factory, **_HEAD)
    whole_check(where, info, "reward model", ("missing", "unexpected", "mismatched"))
    vocabulary_check(model, tokenizer, where)
    dropout_disable(model)
    model.eval()
    return LoadedModel(model, tokenizer, stored_dtype(where))


def model_save(
    loaded: LoadedModel, directory: Path, keep: Callable[[States], States] = lambda state: state
) -> None:
    """Write the Hugging Face layout, weights in the type that they came in.

    The same weights give the same bytes. `keep` leaves out of the state what is not the model's.
    """
    quiet()
    with _in_dtype(loaded.model, loaded.stored):
        loaded.model.save_pretrained(
            directory, state_dict=keep(loaded.model.state_dict()), safe_serialization=True
        )
    loaded.tokenizer.save_pretrained(directory)


@contextmanager
def _in_dtype(model: PreTrainedModel, dtype: torch.dtype) -> Iterator[None]:
    """Within, all that is saved is of `dtype`; exact again afterwards. Tied weights stay tied."""
    if dtype == torch.float32:
        yield
        return
    exact = {t: t.data for t in model.state_dict(keep_vars=True).values() if t.is_floating_point()}
    stated = model.config.dtype
    for tensor, data in exact.items():
        tensor.data = data.to(dtype)
    try:
        yield
    finally:
        for tensor, data in exact.items():
            tensor.data = data
        model.config.dtype = stated


# ------------------------------------------------------------------------- finishing


def _policy_finish(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, where: str, stored: torch.dtype
) -> LoadedModel:
    model.generation_config = _generation_sound(model.generation_config)
    ends = stated_ends(model.generation_config, tokenizer)
    vocabulary_fit(model, tokenizer, where, ends=ends)
    dropout_disable(model)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.eos_token_id = list(policy_ends(model.generation_config, tokenizer))
    return LoadedModel(model, tokenizer, stored)


def _generation_sound(found: GenerationConfig | None) -> GenerationConfig:
    """As it is where it can be saved again; of one that contradicts itself, as old models' do, what is sure.

    A temperature beside do_sample false is read without a word, and refused when it is to be written.
    """
    if found is None:
        return GenerationConfig()
    try:
        found.validate(strict=True)
    except ValueError:
        sure = ("do_sample", "bos_token_id", "eos_token_id")
        return GenerationConfig(**{name: getattr(found, name) for name in sure})
    return found


def _generation_of(model: PreTrainedModel, where: str) -> GenerationConfig:
    """As a policy has it from the same folder: the file, or what follows from config.json."""
    try:
        return GenerationConfig.from_pretrained(where)
    except OSError:
        return GenerationConfig.from_model_config(model.config)


def _backbone_check(where: str, model: PreTrainedModel, info: Mapping[str, Any]) -> None:
    """What a new head may draw: itself, and the pooler, which masked language models are saved without."""
    body = f"{model.base_model_prefix}."
    missing = [name for name in info["missing_keys"] if name.startswith(body)]
    if found := [name for name in missing if "pooler" not in name]:
        raise not_whole(where, "backbone", "missing", found)


def _fresh_tokenizer(
    source: ModelSource, inputs: Mapping[str, Path], texts: Iterable[str]
) -> PreTrainedTokenizerBase:
    if source.tokenizer_from:
        name = ModelSource(kind="input", name=source.tokenizer_from)
        tokenizer = tokenizer_load(source_path(name, inputs))
    else:
        tokenizer = word_tokenizer_learn(texts, limit=source.vocabulary_limit)
    chat_template_fix(tokenizer, source.chat_template_kwargs)
    return tokenizer


def dropout_disable(model: nn.Module) -> None:
    """Switch every dropout off, the functional ones (float attributes of attention) too."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name, value in vars(module).items():
            if "dropout" in name and isinstance(value, float):
                setattr(module, name, 0.0)
