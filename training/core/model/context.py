"""How long a text may be: what a model reads, and what the settings ask for."""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedModel

from training.core.run.errors import UserError

__all__ = ["context_length", "length_check"]


def context_length(model: PreTrainedModel) -> int | None:
    """The longest text in tokens that the model reads; None where nothing limits it.

    Models of the RoBERTa family number positions from behind their padding index, so that fewer are
    left than their configuration says.
    """
    config = model.config.get_text_config()
    positions = getattr(config, "max_position_embeddings", None)
    for name, module in model.named_modules():
        numbered = name.endswith("position_embeddings") and isinstance(module, nn.Embedding)
        if numbered and module.padding_idx is not None:
            return int(module.num_embeddings - module.padding_idx - 1)
    # XLNet says -1, where positions are relative and have no end.
    return None if positions is None or int(positions) < 1 else int(positions)


def length_check(max_length: int, model: PreTrainedModel) -> None:
    """Raise `UserError` where texts of `max_length` tokens are longer than the model reads."""
    context = context_length(model)
    if context is not None and max_length > context:
        raise UserError(
            f"max_length is {max_length}, but the model reads at most {context} tokens."
        )
