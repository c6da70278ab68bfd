"""What the training recipes share under `accelerate launch`: processes, schedules, training states."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, gather_object
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.optim import AdamW, Optimizer

from training.core.model.gradient_penalty import penalise_gradients
from training.core.model.recompute import recompute_layers
from training.core.run.checkpoints import random_state, random_state_restore
from training.core.run.errors import UserError
from training.core.run.run_directory import Run
from training.core.sharding import (
    clip_gradients,
    equal_passes,
    gathered,
    is_sharded,
    module_load,
    optimizer_load,
    shard,
    tensor_load,
    whole,
    whole_on_cpu,
)

ModuleT = TypeVar("ModuleT", bound=nn.Module)

_ELSEWHERE = (DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM)
_FSDP = "ACCELERATE_USE_FSDP"
_FSDP_SETTINGS = {
    "FSDP_VERSION": ("fsdp_version", ("2",), "set it to 2"),
    "FSDP_OFFLOAD_PARAMS": ("fsdp_offload_params", ("false",), "leave it out"),
    "FSDP_RESHARD_AFTER_FORWARD": (
        "fsdp_reshard_after_forward", ("true", "full_shard"), "set it to true",
    ),
    "FSDP_ACTIVATION_CHECKPOINTING": (
        "fsdp_activation_checkpointing", ("false",), "set gradient_checkpointing in the recipe",
    ),
}  # fmt: skip
"""Variables of `accelerate launch`: the setting behind each, what of it is followed, and the fix."""


def accelerator_open() -> Accelerator:
    """The processes that `accelerate launch` started.

    Without a GPU accelerate joins several processes only where it is told to use the CPU; each would
    learn alone otherwise, and all of them the same. Where the configuration asks for FSDP, networks
    are sharded by `network_open`, the same way on every device; accelerate, which would do so on GPUs
    only, is not told of it.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    wanted = _sharding_wanted()
    accelerator = Accelerator(cpu=started > 1 and not torch.cuda.is_available())
    if accelerator.num_processes != started:
        raise UserError(
            f"{started} processes were started, but {accelerator.num_processes} of them would learn"
            " together: choose MULTI_GPU in the accelerate configuration, or set ACCELERATE_USE_CPU=true"
            " to use the CPU of a machine with a GPU."
        )
    if accelerator.distributed_type in _ELSEWHERE:
        raise UserError(
            f"{accelerator.distributed_type.value} is not among the ways to learn together; choose "
            "MULTI_GPU, FSDP or NO in the accelerate configuration."
        )
    if wanted and accelerator.mixed_precision not in ("no", "bf16"):
        raise UserError(
            f"mixed_precision is {accelerator.mixed_precision} in the accelerate configuration; with "
            "FSDP set it to bf16 or no."
        )
    if accelerator.gradient_accumulation_steps != 1:
        raise UserError(
            "gradient_accumulation_steps is "
            f"{accelerator.gradient_accumulation_steps} in the accelerate configuration, which would "
            "scale the losses; leave it at 1 and set micro_batch_size in the recipe's settings."
        )
    accelerator.outerloop_shards = wanted and started > 1
    return accelerator


def _sharding_wanted() -> bool:
    """Whether the configuration asks for FSDP; raises `UserError` where it asks for what is not done."""
    if os.environ.get(_FSDP, "false").lower() != "true":
        return False
    for variable, (setting, followed, fix) in _FSDP_SETTINGS.items():
        found = os.environ.get(variable, followed[0]).lower()
        if found not in followed:
            raise UserError(f"{setting} is {found} in the accelerate configuration; {fix}.")
    os.environ[_FSDP] = "false"  # transformers would load no weights but those of process 0
    return True


def shards(accelerator: Accelerator) -> int:
    """Into how many parts the weights, gradients and moments of a learning network are cut."""
    return accelerator.num_processes if accelerator.outerloop_shards else 1


def footprint_sizes(accelerator: Accelerator) -> dict[str, int]:
    """What an estimate of memory asks of the processes; `number` is the bytes of an activation."""
    return {
        "processes": accelerator.num_processes,
        "number": activation_bytes(accelerator),
        "shards": shards(accelerator),
    }


def unsharded_require(accelerator: Accelerator, what: str, *, fix: str) -> None:
    """Raise `UserError` where networks would be sharded, and `what` could not go with it."""
    if shards(accelerator) > 1:
        raise UserError(
            f"{what}, which FSDP spreads over the processes: {fix}, or choose MULTI_GPU in the "
            "accelerate configuration."
        )


@dataclass(frozen=True)
class Network(Generic[ModuleT]):
    """A network that learns.

    `plain` samples, scores and is saved; sharded, it has weights inside `whole` and `saved` only.
    `inner` holds the parameters that an optimiser moves: sharded, a network of its own, else `plain`.
    `model` is `inner` as a training step calls it: gradients meet in its backward pass.
    """

    plain: ModuleT
    inner: ModuleT
    model: nn.Module
    dtype: torch.dtype

    def whole(self) -> AbstractContextManager[None]:
        """For computing, in the precision of the training pass; every process must enter."""
        return whole(self.plain, self.inner, dtype=self.dtype)

    def saved(self) -> AbstractContextManager[None]:
        """For saving, on the main process: the exact weights; every process must enter."""
        return whole_on_cpu(self.plain, self.inner)


def network_open(
    accelerator: Accelerator, module: ModuleT, *, recompute: bool = False
) -> Network[ModuleT]:
    """Hand a network to the processes: sharded, or whole on each; `recompute` its layers backwards."""
    if shards(accelerator) == 1:
        if recompute:
            recompute_layers(module)
        return Network(module, module, accelerator.prepare(module), torch.float32)
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    dtype = torch.bfloat16 if accelerator.mixed_precision == "bf16" else torch.float32
    inner = cast(ModuleT, shard(module, mesh, dtype=dtype))
    if recompute:
        recompute_layers(inner)
    return Network(module, inner, inner, dtype)


def activation_bytes(accelerator: Accelerator) -> int:
    """Bytes of a number that a layer keeps: 2 under mixed precision."""
    return 4 if accelerator.mixed_precision == "no" else 2


def adamw(
    model: nn.Module, learning_rate: float, weight_decay: float, *, eps: float = 1e-8
) -> AdamW:
    """AdamW with betas (0.9, 0.95); weight decay on matrices, never on norms and biases."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    used = [group for group in groups if group["params"]]
    return AdamW(used, lr=learning_rate, betas=(0.9, 0.95), eps=eps, fused=True)


def linear_schedule(step: int, *, steps: int, warmup: int, floor: float = 0.0) -> float:
    """The factor on the learning rate at `step` (from 0): up to 1 over `warmup`, down to `floor`."""
    if step < warmup:
        return (step + 1) / warmup
    return floor + (1 - floor) * (steps - step) / max(1, steps - warmup)


def warmed_rate_set(
    optimizer: Optimizer, rate: float, *, step: int, steps: int, warmup_share: float
) -> float:
    """Set and return the rate at `step`: up to `rate` over a share of the steps, then down to 0."""
    factor = linear_schedule(step, steps=steps, warmup=math.ceil(warmup_share * steps))
    learning_rate_set(optimizer, rate * factor)
    return rate * factor


def learning_rate_set(optimizer: Optimizer, value: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = value


def micro_batches(rows: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """`rows` in stretches of at most `size`; 0 leaves them in one."""
    step = size or len(rows)
    return [rows[start : start + step] for start in range(0, len(rows), step)]


def optimizer_step(
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: Optimizer,
    losses: Sequence[Callable[[float], Tensor]],
    limit: float,
    *,
    penalty: float = 0.0,
    probe: float = 1e-3,
) -> float:
    """One clipped step on the sum of `losses`, each computed and freed before the next.

    With a `penalty` on the gradient's norm they are computed twice (`penalise_gradients`).

    Each loss is a share of one global mean already, so that their number changes the order of
    summation only; it is called with its weight, in the precision of the accelerate configuration.
    Processes with whole models meet once, at the last one; sharded ones at each, so
    that one with fewer repeats its last with weight 0. Returns the gradient norm.
    """
    optimizer.zero_grad()
    _gradients_add(accelerator, model, losses)
    if penalty > 0:
        scaler = accelerator.scaler
        penalise_gradients(
            model.parameters(),
            lambda: _gradients_add(accelerator, model, losses),
            penalty=penalty,
            probe=probe,
            scale=1.0 if scaler is None else scaler.get_scale(),
        )
    accelerator.unscale_gradients()
    norm = clip_gradients(model.parameters(), limit)
    optimizer.step()
    return float(norm)


def _gradients_add(
    accelerator: Accelerator, model: nn.Module, losses: Sequence[Callable[[float], Tensor]]
) -> None:
    passes = equal_passes(model, len(losses), device=accelerator.device)
    for number in range(passes):
        spare = number >= len(losses)
        meet = number == passes - 1 or is_sharded(model)
        with nullcontext() if meet else accelerator.no_sync(model):
            with accelerator.autocast():
                loss = losses[-1](0.0) if spare else losses[number](1.0)
            accelerator.backward(loss)


def own_share(accelerator: Accelerator, batch: Sequence[int]) -> list[int]:
    """The part of a batch that this process works on; empty where the batch is too small."""
    return list(batch[accelerator.process_index :: accelerator.num_processes])


def total(accelerator: Accelerator, value: float | Tensor) -> float:
    """The sum of a number over all processes."""
    number = torch.as_tensor(value, dtype=torch.float64, device="cpu")
    if accelerator.num_processes == 1:
        return float(number)
    return float(accelerator.reduce(number.float().to(accelerator.device), reduction="sum"))


def learned_state(module: nn.Module) -> dict[str, Tensor]:
    """The weights by name; with an adapter those that learn alone."""
    state = dict(module.state_dict())
    if not any(".lora_" in name for name in state):
        return state
    return {name: state[name] for name, p in module.named_parameters() if p.requires_grad}


def learned_load(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put a `learned_state` back, or all weights."""
    own = module.state_dict()
    if own.keys() == weights.keys():
        module_load(module, weights)
        return
    for name, value in weights.items():
        tensor_load(own[name], value)


def training_state(network: Network[Any], optimizer: Optimizer, **more: Any) -> dict[str, Any]:
    """Everything but cursors that an exact resume needs, whole; every process must call it.

    Of a network with an adapter what learns alone: the rest comes from its files. What it holds is complete on the
    main process, which is the one that writes. `more` is kept beside it.
    """
    state = {
        "model": learned_state(network.inner),
        "optimizer": optimizer.state_dict(),
        "random": gather_object([random_state()]),
        **more,
    }
    return dict(gathered(state))


def training_state_restore(
    accelerator: Accelerator, network: Network[Any], optimizer: Optimizer, state: dict[str, Any]
) -> None:
    learned_load(network.inner, state["model"])
    optimizer_load(optimizer, state["optimizer"])
    if accelerator.process_index < len(state["random"]):
        random_state_restore(state["random"][accelerator.process_index])


def cancel_check(run: Run[Any], accelerator: Accelerator, save: Callable[[], object]) -> None:
    """End all processes together where RUN/cancel exists, after saving."""
    if total(accelerator, float(run.cancel_requested())) > 0:
        save()
        run.check_cancel()


def torch_configure() -> None:
    """The thread count of OUTERLOOP_THREADS, and on a CPU the deterministic kernels, which are free."""
    threads = os.environ.get("OUTERLOOP_THREADS", "")
    if threads:
        if not threads.isdigit() or int(threads) < 1:
            raise UserError(f"OUTERLOOP_THREADS is {threads!r}; set it to a whole number above 0.")
        torch.set_num_threads(int(threads))
    if not torch.cuda.is_available():
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Filling fresh memory with NaN is part of that mode, and the only part that costs time.
        setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # noqa: B010
