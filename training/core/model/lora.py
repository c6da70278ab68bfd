"""Low-rank adapters (Hu 2021, arXiv 2106.09685) through `peft`, put into a model in place.

The model keeps its class and its interface; only its linear layers gain a small trained part,
y = W x + (alpha / rank) B A x, with B = 0 at the start. Switched off, the model is what it was before
training: the reference policy, at no memory of its own. In the end the parts are added into the
weights, so that whoever serves the policy needs to know nothing of them.

`peft` is imported where an adapter is used: a program without one would wait for it in vain.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
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
    "adapter_attach",
    "adapter_check",
    "adapter_learns",
    "adapter_merge",
    "adapter_off",
    "adapter_save",
    "adapter_size",
    "has_adapter",
    "merged_weights",
    "trainable_parameters",
]

_EXPERTS = frozenset({"gate", "w1", "w2", "w3", "gate_proj", "up_proj", "down_proj"})
"""Names that `peft` takes for parts of fused experts, wherever in such a model they stand."""


def adapter_add(model: nn.Module, settings: AdapterConfig, *, seed: int) -> None:
    """Freeze `model` and put an adapter into it; A is drawn from `seed`, B is 0.

    Raises `UserError` where the adapter could not be merged into the weights again.
    """
    if settings.kind == "none":
        return
    adapter_check(model, settings)
    device = next(model.parameters()).device
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        _inject(model, settings)
    model.to(device)
    adapter_learns(model)


def adapter_learns(model: nn.Module) -> None:
    """Of all weights the adapter's learn, and no other."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)


def _inject(model: nn.Module, settings: AdapterConfig) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=0.0,
        target_modules=list(settings.targets) or list(_targets(model, settings)),
        task_type="CAUSAL_LM",
    )
    inject_adapter_in_model(config, model)


def adapter_check(model: nn.Module, settings: AdapterConfig) -> None:
    """Put an adapter in and merge it, on a copy of `model` without weights: the same names must be left.

    Raises `UserError` where the model has no such layers, or does not come out as it was.
    """
    if settings.kind == "none":
        return
    _targets_check(model, settings)
    with torch.device("meta"):
        bare = {id(p): nn.Parameter(torch.empty_like(p, device="meta")) for p in model.parameters()}
        copied = copy.deepcopy(model, dict(bare))
        before = {name: tensor.shape for name, tensor in copied.state_dict().items()}
        try:
            _inject(copied, settings)
            adapted = {name for name, _ in _layers(copied)}
            written = {name: tensor.shape for name, tensor in merged_weights(copied)}
            _merge(copied, safe=False)
        except (RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise _unmergeable(model, str(error).strip().split("\n")[0]) from error
    if odd := sorted(adapted ^ _targets(model, settings).keys()):
        raise _unmergeable(model, f"{odd[0]} would not be adapted by itself")
    after = {name: tensor.shape for name, tensor in copied.state_dict().items()}
    if after != before or not written.items() <= before.items():
        changed = sorted(after.items() ^ before.items()) or sorted(written.items() - before.items())
        raise _unmergeable(model, f"{changed[0][0]} does not come out as it went in")


def _unmergeable(model: nn.Module, reason: str) -> UserError:
    return UserError(
        f"An adapter cannot be merged into {type(model).__name__} again ({reason}): name other layers in"
        " adapter.targets, or train all weights (adapter.kind 'none')."
    )


def adapter_size(model: Any, settings: AdapterConfig) -> int:
    """Parameters that `adapter_add` would put into `model`: rank x (inputs + outputs) a linear layer.

    The model may be on the meta device; layers of GPT-2 (`Conv1D`) are linear ones as well.
    """
    if settings.kind == "none":
        return 0
    chosen = _targets(model, settings).values()
    return sum(settings.rank * sum(module.weight.shape) for module in chosen)


def _linear_layers(model: nn.Module) -> dict[str, Any]:
    """Every linear layer by its whole name; experts that are slices of one tensor are none, nor is what makes
    something else of a linear layer's output, as Llama 4's routers do.
    """
    plain = (nn.Linear.forward, Conv1D.forward)
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and type(module).forward in plain
    }


def _has_fused_experts(model: nn.Module) -> bool:
    """Whether a mixture of experts keeps their matrices in one tensor [experts, in, out]."""
    return any(
        parameter.dim() == 3
        for module in model.modules()
        if not isinstance(module, nn.Conv1d)
        for parameter in module.parameters(recurse=False)
    )


def _read_by_kernel(model: nn.Module, name: str) -> bool:
    """Whether a Mamba mixer's kernel takes the matrix itself: an adapter beside it would not be asked."""
    mixer, _, own = name.rpartition(".")
    return own == "out_proj" and hasattr(model.get_submodule(mixer), "conv1d")


def _targets(model: Any, settings: AdapterConfig) -> dict[str, Any]:
    """The layers that are adapted: those that are named, or all but the output layer.

    Beside fused experts the layers of dense and shared ones are left out as well, and the last matrix of a
    Mamba mixer always.
    """
    layers, head = _linear_layers(model), model.get_output_embeddings()
    if not settings.targets:
        left_out = _EXPERTS if _has_fused_experts(model) else frozenset()
        return {
            name: module
            for name, module in layers.items()
            if module is not head
            and name.rpartition(".")[2] not in left_out
            and not _read_by_kernel(model, name)
        }
    named = set(settings.targets)
    return {n: module for n, module in layers.items() if n.rpartition(".")[2] in named}


def _targets_check(model: Any, settings: AdapterConfig) -> None:
    layers = _linear_layers(model)
    known = {name.rpartition(".")[2] for name in layers}
    if unknown := sorted(set(settings.targets) - known):
        raise UserError(
            f"adapter.targets names {unknown[0]!r}, but the policy's linear layers are "
            f"{', '.join(sorted(known))}."
        )
    chosen, head = _targets(model, settings), model.get_output_embeddings()
    _shared_check(model, {name: module for name, module in chosen.items() if module is not head})
    tied = getattr(head, "weight", None) is model.get_input_embeddings().weight
    if tied and any(module is head for module in chosen.values()):
        raise UserError(
            f"adapter.targets names the output layer, whose weights {type(model).__name__} shares with its"
            " embeddings: merging would change both. Leave it out."
        )


def _shared_check(model: nn.Module, chosen: dict[str, Any]) -> None:
    """No adapted weight stands in several places: each would merge its own part into the one matrix."""
    places = Counter(id(p) for _, p in model.named_parameters(remove_duplicate=False))
    if shared := [name for name, module in chosen.items() if places[id(module.weight)] > 1]:
        raise UserError(
            f"An adapter cannot be merged into {type(model).__name__} again, as several of its layers share"
            f" the weights of {shared[0]}: name layers in adapter.targets that share none, or train all"
            " weights (adapter.kind 'none')."
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


def adapter_save(
    model: Any,
    directory: Path,
    *,
    prefix: str = "",
    beside: Mapping[str, Tensor] = MappingProxyType({}),
    task: str = "CAUSAL_LM",
) -> None:
    """The adapter alone in the layout of `peft`, to be put on the model that training began with.

    `prefix` is where `model` stands in a larger one, of which the tensors `beside` are saved too.
    """
    from peft import get_peft_model_state_dict

    config = copy.copy(model.peft_config["default"])
    state = get_peft_model_state_dict(model, adapter_name="default", save_embedding_layers=False)
    named = {f"{prefix}{name}": tensor for name, tensor in state.items()} | dict(beside)
    tensors = {
        f"base_model.model.{name}": tensor.detach().cpu().contiguous()
        for name, tensor in named.items()
    }
    save_file(tensors, directory / "adapter_model.safetensors", metadata={"format": "pt"})
    config.inference_mode = True
    config.target_modules = sorted(config.target_modules or ())  # a set has no order of its own
    config.task_type = task
    config.modules_to_save = sorted({name.partition(".")[0] for name in beside}) or None
    config.save_pretrained(str(directory))


def adapter_attach(model: nn.Module, directory: Path, state: Mapping[str, Tensor]) -> None:
    """Put a saved adapter on `model`, by its adapter_config.json and its tensors; strict on both sides."""
    from peft import LoraConfig, inject_adapter_in_model

    try:
        config = LoraConfig.from_pretrained(str(directory))
        config.modules_to_save = None
        with torch.random.fork_rng():
            inject_adapter_in_model(config, model)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{directory}: not an adapter for this model ({error}).") from error
    parts = {name.replace(".default.", "."): p for name, p in _parts(model).items()}
    if parts.keys() != state.keys():
        odd = sorted(parts.keys() ^ state.keys())[0]
        raise UserError(f"{directory}: not a whole adapter for this model ({odd}); restore it.")
    with torch.no_grad():
        for name, parameter in parts.items():
            parameter.copy_(state[name])


def _parts(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if ".lora_" in name}


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
    _merge(model, safe=True)


def _merge(model: nn.Module, *, safe: bool) -> None:
    """`safe` looks for numbers that are not finite, which weights on the meta device cannot tell.

    Each weight is changed where it lies: no second one of all stands in memory at the end of a run.
    """
    for name, layer in _layers(model):
        layer.merge(safe_merge=False)
        if safe and not torch.isfinite(layer.get_base_layer().weight).all():
            raise UserError(
                f"The adapter of {name} holds numbers that are not finite; train again."
            )
        parent, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(parent), attribute, layer.get_base_layer())
    if has_adapter(model):
        del model.peft_config
    model.requires_grad_(True)
