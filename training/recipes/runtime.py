"""What the training recipes share under `accelerate launch`: processes, schedules, training states."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, gather_object
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from training.core.checkpoints import random_state, random_state_restore
from training.core.errors import UserError
from training.core.run_directory import Run

_SHARDED = (DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM)


def accelerator_open() -> Accelerator:
    """The processes that `accelerate launch` started; whole models on each of them.

    Without a GPU accelerate joins several processes only where it is told to use the CPU; each would
    learn alone otherwise, and all of them the same.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    accelerator = Accelerator(cpu=started > 1 and not torch.cuda.is_available())
    if accelerator.num_processes != started:
        raise UserError(
            f"{started} processes were started, but {accelerator.num_processes} of them would learn"
            " together: choose MULTI_GPU in the accelerate configuration, or set ACCELERATE_USE_CPU=true"
            " to use the CPU of a machine with a GPU."
        )
    if accelerator.distributed_type in _SHARDED:
        raise UserError(
            f"{accelerator.distributed_type.value} shards optimizer states, which checkpoints cannot "
            "hold yet; choose MULTI_GPU or NO in the accelerate configuration."
        )
    if accelerator.gradient_accumulation_steps != 1:
        raise UserError(
            "gradient_accumulation_steps is "
            f"{accelerator.gradient_accumulation_steps} in the accelerate configuration, which would "
            "scale the losses; leave it at 1 and set micro_batch_size in the recipe's settings."
        )
    return accelerator


def activation_bytes(accelerator: Accelerator) -> int:
    """Bytes of a number that a layer keeps: 2 under mixed precision."""
    return 4 if accelerator.mixed_precision == "no" else 2


def adamw(model: nn.Module, learning_rate: float, weight_decay: float) -> AdamW:
    """AdamW with betas (0.9, 0.95); weight decay on matrices, never on norms and biases."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return AdamW([g for g in groups if g["params"]], lr=learning_rate, betas=(0.9, 0.95))


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
    losses: Sequence[Callable[[], Tensor]],
    limit: float,
) -> float:
    """One clipped step on the sum of `losses`, each computed and freed before the next.

    Each loss is a share of one global mean already, so that their number changes the order of
    summation only. Processes meet once, at the last one. Returns the gradient norm.
    """
    optimizer.zero_grad()
    for number, loss in enumerate(losses):
        last = number == len(losses) - 1
        with nullcontext() if last else accelerator.no_sync(model):
            accelerator.backward(loss())
    norm = accelerator.clip_grad_norm_(model.parameters(), limit)
    optimizer.step()
    return float(norm)


def own_share(accelerator: Accelerator, batch: Sequence[int]) -> list[int]:
    """The part of a batch that this process works on; empty where the batch is too small."""
    return list(batch[accelerator.process_index :: accelerator.num_processes])


def total(accelerator: Accelerator, value: float | Tensor) -> float:
    """The sum of a number over all processes."""
    number = torch.as_tensor(value, dtype=torch.float64, device="cpu")
    if accelerator.num_processes == 1:
        return float(number)
    return float(accelerator.reduce(number.float().to(accelerator.device), reduction="sum"))


def training_state(
    accelerator: Accelerator, model: nn.Module, optimizer: Optimizer
) -> dict[str, Any]:
    """Everything but cursors that an exact resume needs; every process must call it."""
    return {
        "model": dict(accelerator.unwrap_model(model).state_dict()),
        "optimizer": optimizer.state_dict(),
        "random": gather_object([random_state()]),
    }


def training_state_restore(
    accelerator: Accelerator, model: nn.Module, optimizer: Optimizer, state: dict[str, Any]
) -> None:
    accelerator.unwrap_model(model).load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
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
