"""Low-rank adapters (Hu 2021, arXiv 2106.09685) through `peft`, put into a model in place.

The model keeps its class and its interface; only its linear layers gain a small trained part,
y = W x + (alpha / rank) B A x, with B = 0 at the start. Switched off, the model is what it was before
training: the reference policy, at no memory of its own. In the end the parts are added into the
weights, so that whoever serves the policy needs to know nothing of them.

`peft` is imported where an adapter is used: a program without one would wait for it in vain.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from training.contracts import AdapterConfig
from training.core.run.errors import UserError

__all__ = [
    "AdapterOff",
    "adapter_add",
    "adapter_merge",
    "adapter_off",
    "adapter_save",
    "adapter_size",
    "has_adapter",
    "merged_weights",
    "trainable_parameters",
]


def adapter_add(model: nn.Module, settings: AdapterConfig, *, seed: int) -> None:
    """Freeze `model` and put an adapter into it; A is drawn from `seed`, B is 0."""
    if settings.kind == "none":
        return
    from peft import LoraConfig, inject_adapter_in_model

    _check_targets(model, settings)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=0.0,
        target_modules=list(settings.targets) or "all-linear",
        task_type="CAUSAL_LM",
    )
    device = next(model.parameters()).device
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        inject_adapter_in_model(config, model)
    model.to(device)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)


def adapter_size(model: Any, settings: AdapterConfig) -> int:
    """Parameters that `adapter_add` would put into `model`: rank x (inputs + outputs) a linear layer.

    The model may be on the meta device; layers of GPT-2 (`Conv1D`) are linear ones as well.
    """
    if settings.kind == "none":
        return 0
    head = model.get_output_embeddings()
    layers = [
        (name.rpartition(".")[2], module)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and module is not head
    ]
    chosen = [m for name, m in layers if not settings.targets or name in settings.targets]
    return sum(settings.rank * sum(module.weight.shape) for module in chosen)


def _check_targets(model: nn.Module, settings: AdapterConfig) -> None:
    linear = {
        name.rpartition(".")[2] for name, m in model.named_modules() if isinstance(m, nn.Linear)
    }
    unknown = sorted(set(settings.targets) - linear)
    if unknown:
        raise UserError(
            f"adapter.targets names {unknown[0]!r}, but the policy's linear layers are "
            f"{', '.join(sorted(linear))}."
        )


def has_adapter(model: nn.Module) -> bool:
    return hasattr(model, "peft_config")


def _layers(model: nn.Module) -> list[tuple[str, Any]]:
    """(name, layer) of every layer that has a part of the adapter."""
    if not has_adapter(model):
        return []
    from peft.tuners.tuners_utils import BaseTunerLayer

    return [(name, m) for name, m in model.named_modules() if isinstance(m, BaseTunerLayer)]


@contextmanager
def adapter_off(model: nn.Module) -> Iterator[None]:
    """The model as it was before the adapter came; on again at the end, gradients included."""
    layers = _layers(model)
    for _, layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for _, layer in layers:
            layer.enable_adapters(True)


class AdapterOff:
    """Called like the policy, answers like the policy before training: the reference."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model

    def __call__(self, **arguments: Any) -> Any:
        with adapter_off(self._model):
            return self._model(**arguments)


def trainable_parameters(model: nn.Module) -> list[nn.Parameter]:
    """What an optimiser moves and a checkpoint holds: all of a model, or its adapter."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def adapter_save(model: Any, directory: Path) -> None:
    """The adapter alone in the layout of `peft`, to be put on the policy that training began with."""
    from peft import get_peft_model_state_dict

    config = model.peft_config["default"]
    state = get_peft_model_state_dict(model, adapter_name="default", save_embedding_layers=False)
    tensors = {
        f"base_model.model.{name}": tensor.detach().cpu().contiguous()
        for name, tensor in state.items()
    }
    save_file(tensors, directory / "adapter_model.safetensors", metadata={"format": "pt"})
    config.inference_mode = True
    config.target_modules = sorted(config.target_modules or ())  # a set has no order of its own
    config.save_pretrained(str(directory))


def merged_weights(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Names and weights that `model` would be saved with, an adapter added in; the model stays as it is.

    One at a time, so that no second model stands in memory. Tied weights come once.
    """
    layers = dict(_layers(model))
    saved = model.state_dict().keys()
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if name not in saved or ".lora_" in name:
            continue
        owner, _, part = name.rpartition(".base_layer.")
        if owner:
            delta = layers[owner].get_delta_weight("default") if part == "weight" else 0
            name, tensor = f"{owner}.{part}", tensor + delta
        yield name, tensor.detach()


def adapter_merge(model: nn.Module) -> None:
    """Add the adapter into the weights and take it out: an ordinary model again."""
    for name, layer in _layers(model):
        layer.merge(safe_merge=True)
        parent, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(parent), attribute, layer.get_base_layer())
    if has_adapter(model):
        del model.peft_config
    model.requires_grad_(True)
