"""Several networks on one copy of frozen weights.

What is large about a network are its weights; its modules are small. So each network here has modules of its own, made
by its own configuration, which hold the very same parameters as those of others: nothing is switched
or swapped, and one network's adapter is no business of another's. Whether two networks may share is decided by
a digest over every weight, never by a name. Shared weights must stay as they are: whoever trains them
trains them under all.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import init_empty_weights
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

__all__ = ["BasePool", "BaseWeights", "base_weights", "head_state", "network_on", "network_view"]


@dataclass(frozen=True)
class BaseWeights:
    """A backbone's parameters and saved buffers by name, without those of an adapter."""

    parameters: Mapping[str, nn.Parameter]
    buffers: Mapping[str, Tensor]

    def sha256(self, dtype: torch.dtype = torch.float32) -> str:
        """Over names, shapes and values, as these are after a way through files of `dtype`."""
        digest = hashlib.sha256()
        for name, tensor in sorted({**self.parameters, **self.buffers}.items()):
            value = tensor.detach()
            if value.is_floating_point():
                value = value.to(dtype).float()
            digest.update(f"{name} {list(value.shape)} {value.dtype}\n".encode())
            digest.update(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def copied(self) -> BaseWeights:
        """Weights of one's own, tied ones still tied."""
        return BaseWeights(*copy.deepcopy((dict(self.parameters), dict(self.buffers))))


def base_weights(backbone: nn.Module) -> BaseWeights:
    saved = backbone.state_dict().keys()
    return BaseWeights(
        {
            name.replace(".base_layer.", "."): parameter
            for name, parameter in backbone.named_parameters(remove_duplicate=False)
            if ".lora_" not in name
        },
        {name: buffer for name, buffer in backbone.named_buffers() if name in saved},
    )


class BasePool:
    """Frozen weights that other networks may stand on, found by their digest."""

    def __init__(self) -> None:
        self._known: dict[str, BaseWeights] = {}
        self._offered: list[nn.Module] = []

    def offer(self, backbone: nn.Module) -> None:
        """A backbone whose weights nobody changes; its digest is worked out when one is asked for."""
        self._offered.append(backbone)

    def put(self, sha256: str, weights: BaseWeights) -> None:
        self._known[sha256] = weights

    def get(self, sha256: str) -> BaseWeights | None:
        while sha256 not in self._known and self._offered:
            weights = base_weights(self._offered.pop())
            self._known.setdefault(weights.sha256(), weights)
        return self._known.get(sha256)


def network_on(
    factory: Any, config: PreTrainedConfig, weights: BaseWeights, head: Mapping[str, Tensor]
) -> PreTrainedModel:
    """A network of `factory` whose backbone holds `weights` themselves, and whose head a copy of `head`."""
    own = copy.deepcopy(config)
    own.dtype = torch.float32
    with torch.random.fork_rng(), init_empty_weights(include_buffers=False):
        model: PreTrainedModel = factory.from_config(own)
    backbone: nn.Module = model.base_model
    slots = [(m, n, p) for m, n, p in _slots(backbone)]
    for module, name, place in slots:
        module.register_parameter(name, weights.parameters[place])
    for name, buffer in weights.buffers.items():
        backbone.get_buffer(name).copy_(buffer)
    for name, value in head.items():
        owner, _, attribute = name.rpartition(".")
        parameter = nn.Parameter(value.detach().clone())
        model.get_submodule(owner).register_parameter(attribute, parameter)
    return model.eval()


def _slots(backbone: nn.Module) -> list[tuple[nn.Module, str, str]]:
    """(module, attribute, whole name) of every parameter, tied ones at each of their places."""
    return [
        (module, name, f"{path}.{name}" if path else name)
        for path, module in backbone.named_modules()
        for name, _ in module.named_parameters(recurse=False)
    ]


def network_view(network: nn.Module) -> Any:
    """A copy of modules, of adapters and of whatever learns, around the very same frozen weights."""
    frozen = {
        id(parameter): parameter
        for name, parameter in network.named_parameters()
        if ".lora_" not in name and not parameter.requires_grad
    }
    return copy.deepcopy(network, dict(frozen))


def head_state(model: PreTrainedModel) -> dict[str, Tensor]:
    """Of a classifier, the parameters outside its backbone."""
    inside = f"{model.base_model_prefix}."
    return {n: p.detach() for n, p in model.named_parameters() if not n.startswith(inside)}
