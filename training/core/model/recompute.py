"""Gradient checkpointing: keep the input of each layer only, and compute the rest again backwards.

Time for memory (Chen 2016): one more forward pass, and activations of one layer in place of all.
The gradients are the same. The libraries' own switch works in training mode only, in which our models
never are, so the layers are wrapped here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from training.core.run.errors import UserError

__all__ = ["recompute_layers"]


def recompute_layers(model: nn.Module) -> None:
    """Wrap every repeated layer of `model`; to be called once, when no copy of it is made any more."""
    layers = [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]
    if not layers:
        raise UserError(
            f"{type(model).__name__} has no layers that can be recomputed: set"
            " gradient_checkpointing to false."
        )
    for layer in layers:
        layer.forward = _recomputed(layer.forward)


def _recomputed(forward: Callable[..., Any]) -> Callable[..., Any]:
    def checkpointed(*arguments: Any, **named: Any) -> Any:
        if not torch.is_grad_enabled():  # sampling and scoring keep their caches
            return forward(*arguments, **named)
        if named.get("past_key_values") is not None:  # the second pass would append to it again
            named["past_key_values"] = None
        return checkpoint(partial(forward, **named), *arguments, use_reentrant=False)

    return checkpointed
