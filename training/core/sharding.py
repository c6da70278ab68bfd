"""One network spread over all processes: weights, gradients and optimiser states in parts (FSDP2).

`torch.distributed.fsdp.fully_shard` gives each process a part of every parameter (a DTensor, cut along its
first dimension). A layer gathers its weights before it computes and lets go of them afterwards; gradients
are added up into parts. Every process must go forward and backward equally often (`equal_passes`).

Sampling, scoring and saving read whole weights, by steps whose number differs between processes. They
work on the network that `shard` was given, which keeps its class and, outside `whole`, no weights.

Nobody needs this door on one device: it opens where the accelerate configuration says FSDP. It is our own
and not accelerate's because that shards on GPUs only, and code that no test ever runs on a CPU is code that
nobody has seen run. With an ordinary tensor everything here does what it would do without: nothing, or a
copy; so the recipes have one way through, whatever the number of processes.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import (
    FSDPModule,
    MixedPrecisionPolicy,
    fully_shard,
    register_fsdp_forward_method,
)
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

__all__ = [
    "clip_gradients",
    "equal_passes",
    "gathered",
    "is_sharded",
    "module_load",
    "optimizer_load",
    "parameters_cast",
    "shard",
    "tensor_load",
    "whole",
    "whole_on_cpu",
]

Convert = Callable[[Tensor], Tensor | None]


def shard(model: nn.Module, mesh: DeviceMesh, *, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A network of the same structure that holds `model`'s weights in parts; `model` loses its own.

    One unit for each repeated layer and one for the rest; they gather weights in `forward`, and in what
    a class attribute `forward_methods` names beside it. Parts are in the parameters' own precision;
    what is gathered for computing is in `dtype`, gradients are added up in float32.
    """
    sharded = copy.deepcopy(model, {id(p): p for p in model.parameters()})
    empty = {
        id(p): nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=p.requires_grad)
        for p in model.parameters()
    }
    slots = _slots(model)
    precise = dtype == torch.float32
    # Nothing writes into what our networks return.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    policy = MixedPrecisionPolicy(
        param_dtype=None if precise else dtype, reduce_dtype=None if precise else torch.float32
    )
    for unit in [*_layers(sharded), sharded]:
        taken = [p for p in unit.parameters() if not isinstance(p, DTensor)]
        fully_shard(unit, mesh=mesh, mp_policy=policy)
        for parameter in taken:  # `model` still names it: free its memory before the next unit
            parameter.data = parameter.data.new_empty(0)
    for module, name, parameter in slots:
        module.register_parameter(name, empty[id(parameter)])
    for method in getattr(model, "forward_methods", ()):
        register_fsdp_forward_method(sharded, method)
    return sharded


def is_sharded(model: nn.Module) -> bool:
    return isinstance(model, FSDPModule)


def parameters_cast(model: nn.Module, dtype: torch.dtype) -> None:
    """The weights alone: tables of positions keep their precision."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)


def _layers(model: nn.Module) -> list[nn.Module]:
    """The repeated layers, by the names that the models themselves give (`_no_split_modules`)."""
    names = {n for m in model.modules() for n in getattr(m, "_no_split_modules", None) or ()}
    stacks = (m for m in model.modules() if isinstance(m, nn.ModuleList))
    return [layer for stack in stacks for layer in stack if type(layer).__name__ in names]


def _slots(model: nn.Module) -> list[tuple[nn.Module, str, nn.Parameter]]:
    """Every place that holds a parameter; tied ones have several."""
    modules = list(model.modules())
    return [(m, name, p) for m in modules for name, p in m.named_parameters(recurse=False)]


# ------------------------------------------------------------------------ whole weights


@contextmanager
def whole(plain: nn.Module, sharded: nn.Module, *, dtype: torch.dtype) -> Iterator[None]:
    """Within, `plain` has whole weights in `dtype` on every process; every process must enter."""
    with _filled(plain, sharded, lambda part: _full(part.to(dtype))):
        yield


@contextmanager
def whole_on_cpu(plain: nn.Module, sharded: nn.Module) -> Iterator[None]:
    """Within, `plain` of process 0 has the exact weights on the CPU; every process must enter."""
    with _filled(plain, sharded, _kept):
        yield


@contextmanager
def _filled(plain: nn.Module, sharded: nn.Module, convert: Convert) -> Iterator[None]:
    if not is_sharded(sharded):
        yield
        return
    slots, parts = _slots(plain), dict(sharded.named_parameters())
    values = {}
    with torch.no_grad():
        for name, empty in plain.named_parameters():
            value = convert(parts[name].detach())
            if value is not None:
                values[id(empty)] = nn.Parameter(value, requires_grad=empty.requires_grad)
    for module, name, empty in slots:
        module.register_parameter(name, values.get(id(empty), empty))
    try:
        yield
    finally:
        for module, name, empty in slots:
            module.register_parameter(name, empty)


def _full(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _kept(tensor: Tensor) -> Tensor | None:
    """The whole of a sharded tensor on the CPU, on process 0; its parts may lie on the CPU already."""
    if not isinstance(tensor, DTensor):
        return tensor
    mesh = tensor.device_mesh
    found = _full(tensor.to(mesh.device_type))
    return found.cpu() if mesh.get_rank() == 0 else None


def gathered(state: Any) -> Any:
    """`state` with every sharded tensor whole, on the CPU; None in its place but on process 0.

    One tensor at a time; every process must come here with a state of the same structure.
    """
    if isinstance(state, Tensor):
        return _kept(state.detach())
    if isinstance(state, Mapping):
        return {name: gathered(value) for name, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(gathered(value) for value in state)
    return state


# ------------------------------------------------------------------------- whole to parts


@torch.no_grad()
def tensor_load(target: Tensor, value: Tensor) -> None:
    """Copy `value`, whole or in parts, into `target`, whole or in parts; nothing is sent."""
    found = _part(target, value)
    if isinstance(target, DTensor) and isinstance(found, DTensor):
        target.to_local().copy_(found.to_local())
    else:
        target.copy_(found)


def _part(like: Tensor, value: Tensor) -> Tensor:
    """This process's part of `value`, where `like` is in parts and `value` is not."""
    if not isinstance(like, DTensor) or isinstance(value, DTensor):
        return value
    there = value.to(like.device_mesh.device_type)
    return distribute_tensor(there, like.device_mesh, like.placements, src_data_rank=None)


def module_load(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """`load_state_dict`, strict, from a whole state into whatever `model` is."""
    if not is_sharded(model):
        model.load_state_dict(state)
        return
    own = model.state_dict()
    if own.keys() != state.keys():
        raise KeyError(f"The state holds other weights: {sorted(own.keys() ^ state.keys())}.")
    for name, tensor in own.items():
        tensor_load(tensor, state[name])


def optimizer_load(optimizer: Optimizer, state: Mapping[str, Any]) -> None:
    """`load_state_dict` from a whole state; of what has a parameter's shape its part is taken."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]

    def own(parameter: Tensor, value: Any) -> Any:
        fits = isinstance(value, Tensor) and value.shape == parameter.shape
        return _part(parameter, value) if fits else value

    moments = {
        number: {name: own(parameters[number], value) for name, value in found.items()}
        for number, found in state["state"].items()
    }
    optimizer.load_state_dict({**state, "state": moments})


# -------------------------------------------------------------------------------- steps


def equal_passes(model: nn.Module, count: int, *, device: torch.device) -> int:
    """How often this process goes forward and backward, of `count` times that it has work for.

    Where `model` is sharded, as often as the process with most work: each pass gathers weights.
    """
    if not is_sharded(model):
        return count
    most = torch.tensor(count, device=device)
    distributed.all_reduce(most, op=distributed.ReduceOp.MAX)
    return int(most)


def clip_gradients(parameters: Iterable[nn.Parameter], limit: float) -> Tensor:
    """Scale the gradients so that their common norm is at most `limit`; the norm over all parts."""
    owners: Sequence[nn.Parameter] = list(parameters)
    gradients = [p.grad for p in owners if p.grad is not None]
    norm = _full(nn.utils.get_total_norm(gradients))
    nn.utils.clip_grads_with_norm_(owners, limit, norm)
    return norm
