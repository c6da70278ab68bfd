"""Networks that give a text one number: the library's classifiers, and a head of our own for the others.

`transformers` has a sequence classifier for some architectures only. For any other that has a bare
backbone (`AutoModel`) the classifier is made here: backbone and one linear layer. It reads the last real
token, which has seen the whole text in every architecture, and of a masked language model the first, its
classification token. Both are found by the attention mask, so that padding says nothing.

An artifact with our head says so in its config.json ("outerloop_head"), and is read by this class for ever;
without that entry the library's class is meant.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForSequenceClassification, PreTrainedConfig
from transformers import PreTrainedModel as Pretrained
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    MODEL_MAPPING,
)

from training.core.run.errors import UserError

__all__ = ["HEAD", "classifier_class", "head_init", "head_of", "score_place"]

HEAD = "outerloop_head"
Place = Literal["last_token", "first_token"]


def classifier_class(config: PreTrainedConfig, where: str) -> Any:
    """What loads (`from_pretrained`) or makes (`from_config`) a classifier of this architecture."""
    if not hasattr(config, HEAD) and type(config) in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        return AutoModelForSequenceClassification
    if type(config) not in MODEL_MAPPING:
        raise UserError(
            f"{where}: {config.model_type} has no backbone that a reward model could stand on; take another"
            " model."
        )
    backbones = MODEL_MAPPING[type(config)]
    return _scored(backbones[0] if isinstance(backbones, tuple) else backbones)


def score_place(config: PreTrainedConfig) -> Place:
    """Where our head reads: as the artifact says, else by the architecture."""
    kind = type(config)
    masked = kind in MODEL_FOR_MASKED_LM_MAPPING and kind not in MODEL_FOR_CAUSAL_LM_MAPPING
    return cast(Place, getattr(config, HEAD, "first_token" if masked else "last_token"))


@lru_cache(maxsize=16)
def _scored(backbone: type[Pretrained]) -> type[Pretrained]:
    """A class beside the others of the architecture: its way of naming, tying and loading weights."""
    family = next(base for base in backbone.__mro__[1:] if issubclass(base, Pretrained))
    prefix = cast(Any, family).base_model_prefix or "model"
    # The text part of a larger model has its base class from the whole, whose configuration is another.
    kind = cast(Any, backbone).config_class
    members = {"base_model_prefix": prefix, "config_class": kind, "__module__": __name__}
    return cast(type[Pretrained], type(f"{backbone.__name__}Scored", (_Scored, family), members))


class _Scored:
    """Backbone and head; the family of the architecture stands behind it among the bases."""

    base_model_prefix: str

    def __init__(self, config: PreTrainedConfig) -> None:
        setattr(config, HEAD, score_place(config))
        super().__init__(config)  # type: ignore[call-arg]
        model = cast(Any, self)
        setattr(self, self.base_model_prefix, AutoModel.from_config(config))
        model.score = nn.Linear(int(config.get_text_config().hidden_size), 1, bias=False)
        model.post_init()

    @classmethod
    def is_custom_code(cls) -> bool:
        """Loaded like a class of the library: of others it skips modules that own no weights, so that buffers
        which a backbone writes into its layers would keep whatever lay in memory.
        """
        return False

    @classmethod
    def from_config(cls, config: PreTrainedConfig) -> Any:
        """New weights, as the library's automatic classes make them."""
        return cast(Any, cls)._from_config(config)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **named: Any
    ) -> SequenceClassifierOutput:
        """Logits [B, 1] of input_ids [B, T]; attention_mask [B, T] is 1 on real tokens, padded on either side."""
        model = cast(Any, self)
        seen = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        backbone = getattr(self, self.base_model_prefix)
        hidden = backbone(input_ids=input_ids, attention_mask=seen, **named).last_hidden_state
        last = getattr(model.config, HEAD) == "last_token"
        # The largest number among the real ones, or the first real one: `argmax` takes the first of equals.
        order = torch.arange(seen.shape[1], device=seen.device) if last else 1
        places = (order * seen).argmax(1)
        rows = torch.arange(len(hidden), device=hidden.device)
        return SequenceClassifierOutput(logits=model.score(hidden[rows, places.to(hidden.device)]))


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
