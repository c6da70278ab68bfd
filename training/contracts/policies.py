"""Where a policy comes from, how it is adapted, taught by demonstrations and asked for completions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from web.json_contract import JsonContract

__all__ = [
    "AdapterConfig",
    "CheckpointDtype",
    "ModelSource",
    "SamplePairsConfig",
    "Sampling",
    "SftConfig",
    "SftPhase",
    "TemplateValue",
    "Truncation",
]

Truncation = Literal["oldest_turns", "middle", "drop"]
"""What becomes of a conversation that is longer than it may be."""

TemplateValue = bool | int | float | str
"""What a variable of a chat template may be."""

CheckpointDtype = Literal["source", "float32"]
"""The type of the weights in an artifact: that of the files that training began with, or exact."""


@dataclass(frozen=True)
class ModelSource(JsonContract):
    """Where weights come from.

    kind "input": the run input named `name`; "pretrained": any Hugging Face name or path in `name`;
    "fresh": a small model of `architecture` with the sizes below and a word-level tokenizer learned
    from the training texts (or the tokenizer of the run input named `tokenizer_from`).
    `chat_template_kwargs` become part of the model's chat template, and so of what is saved.
    """

    kind: Literal["input", "pretrained", "fresh"] = "input"
    name: str = "policy"
    architecture: Literal["llama", "bert"] = "llama"
    hidden_size: int = 96
    layers: int = 3
    heads: int = 4
    feed_forward: int = 256
    max_positions: int = 256
    init_std: float = 0.08
    vocabulary_limit: int = 4000
    tokenizer_from: str = ""
    chat_template_kwargs: dict[str, TemplateValue] = field(default_factory=dict)


@dataclass(frozen=True)
class Sampling(JsonContract):
    """How completions are drawn. top_k 0 and top_p 1 switch the filters off."""

    max_new_tokens: int = 48
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    batch_size: int = 128


@dataclass(frozen=True)
class AdapterConfig(JsonContract):
    """kind "lora" freezes the weights and trains W + (alpha / rank) B A beside them (Hu 2021).

    `targets` are names of linear layers, such as "q_proj"; none named means all but the output layer.
    """

    kind: Literal["none", "lora"] = "none"
    rank: int = 8
    alpha: float = 16.0
    targets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.rank < 1 or self.alpha <= 0:
            raise ValueError("an adapter needs a rank of at least 1 and an alpha above 0.")


@dataclass(frozen=True)
class SftPhase(JsonContract):
    """One stretch of supervised fine-tuning on the run input named `data`."""

    data: str
    steps: int
    learning_rate: float
    batch_size: int = 32
    warmup_steps: int = 50


@dataclass(frozen=True)
class SftConfig(JsonContract):
    model: ModelSource
    phases: tuple[SftPhase, ...]
    max_length: int = 256
    truncation: Truncation = "oldest_turns"
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    micro_batch_size: int = 0  # conversations in memory at once; 0: the whole batch
    gradient_checkpointing: bool = False
    checkpoint_every: int = 200
    log_every: int = 20
    checkpoint_dtype: CheckpointDtype = "source"
    adapter: AdapterConfig = field(default_factory=AdapterConfig)


@dataclass(frozen=True)
class SamplePairsConfig(JsonContract):
    """Draw `completions_per_prompt` completions; score them when a reward model input is given."""

    completions_per_prompt: int = 2
    sampling: Sampling = field(default_factory=Sampling)
