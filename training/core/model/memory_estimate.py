"""How much memory a run will need, from formulas, before a weight is read.

Per network of P parameters, in bytes: weights 4 P; where it is trained, gradients 4 P and AdamW's two
moments 8 P; with an adapter these two are of the adapter alone. Beside them stands the dearest moment of
the run, one of

training   what the backward pass needs of each layer, tokens x layers x (16 h + 4 f) x b (after Korthikanti
           2022, without dropout and with attention that keeps no table; measured 14-18 h with f = 3-4 h), or
           with gradient checkpointing each layer's input h and all of one layer; logits three times:
           themselves, their gradient, and the table in work
sampling   keys and values, 2 x layers x (kv heads x head size) x tokens x b, twice while they grow
scoring    the logits of policy and reference and a table in work, without a backward pass

Sharded over N processes, each holds 1/N of the weights, gradients and moments of what is trained, and while
it samples and scores b P more: whole weights. What a training pass gathers, one layer at a time and the
tables of the vocabulary, is left out.

h is the width, f that of the feed-forward block, b the bytes of a number. Within a factor of 2 of what is
measured; what the libraries themselves take (0.4 GB of program code on a CPU, about 1 GB on a GPU) is not in it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from training.contracts import AdapterConfig
from training.core.model.lora import adapter_size
from training.core.model.pretrained import causal_check, config_load
from training.core.model.score_head import classifier_class
from training.core.model.shared_base import head_state
from training.core.run.errors import UserError
from training.core.run.run_directory import Run

__all__ = [
    "Estimate",
    "Fixes",
    "Job",
    "NetworkShape",
    "available_bytes",
    "estimate",
    "memory_check",
    "memory_report",
    "shape_at",
    "shape_of",
]

CHECK = "OUTERLOOP_MEMORY_CHECK"
MODES = ("refuse", "warn", "off")
NUMBER = 4  # bytes of a weight, a gradient, a moment
LAYER_WIDTHS, LAYER_FORWARDS = 16, 4
LOGIT_TABLES = 3


@dataclass(frozen=True)
class NetworkShape:
    """What the formulas need to know of a network; `vocabulary` is 0 where it has no such head.

    `adapter` are the parameters of an adapter beside the frozen `parameters`; 0: all of them learn.
    """

    parameters: int
    layers: int
    hidden: int
    feed_forward: int
    keys: int  # kv heads x head size
    vocabulary: int
    adapter: int = 0

    @property
    def learned(self) -> int:
        """Parameters that an optimiser moves, where it moves any."""
        return self.adapter or self.parameters

    def weights_alone(self, parameters: int) -> NetworkShape:
        """So many weights of such a network, which neither learn nor speak."""
        return replace(self, parameters=parameters, vocabulary=0, adapter=0)


@dataclass(frozen=True)
class Job:
    """What is done at the dearest moment; rows x length tokens at once, `number` bytes each.

    `logits` and `scored_logits` count the positions of a row for which the vocabulary is computed;
    `recompute` stands for gradient checkpointing.
    """

    rows: int = 0
    length: int = 0
    logits: int = 0
    sampled_rows: int = 0
    sampled_length: int = 0
    scored_rows: int = 0
    scored_logits: int = 0
    recompute: bool = False
    number: int = NUMBER


@dataclass(frozen=True)
class Estimate:
    """Bytes; training, sampling and scoring take turns, so that `total` counts the largest one.

    `gathered` are sharded weights made whole for a while, to sample and score.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    cache: int
    scoring: int = 0
    gathered: int = 0

    @property
    def passing(self) -> int:
        """The dearest moment, beside what stands all the time."""
        return max(self.activations + self.logits, self.gathered + max(self.cache, self.scoring))

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.passing

    def gigabytes(self) -> dict[str, float]:
        """What pages show, in GB."""
        return {f"{k}_gb": v / 1e9 for k, v in {**asdict(self), "total": self.total}.items()}


@dataclass(frozen=True)
class Fixes:
    """The settings of a recipe that make each moment smaller; `recompute`: gradient checkpointing too.

    `weights` says how networks come to hold less of them, where they can.
    """

    training: str = "micro_batch_size"
    sampling: str = "sampling.batch_size"
    scoring: str = "micro_batch_size"
    recompute: bool = True
    weights: str = ""


def shape_at(where: str, *, speaks: bool, adapter: AdapterConfig | None = None) -> NetworkShape:
    """The sizes of the network that a folder or a Hugging Face name describes; reads no weight.

    `speaks`: a causal language model; else a sequence classifier with one output.
    """
    config = config_load(where)
    if speaks:
        causal_check(config, where)
    factory: Any = AutoModelForCausalLM if speaks else classifier_class(config, where)
    if not speaks:
        config.num_labels = 1
    try:
        with torch.device("meta"):
            model = factory.from_config(config)
    except (OSError, ValueError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"No model can be loaded from {where}: {said}") from error
    return shape_of(model, speaks=speaks, adapter=adapter)


def shape_of(model: Any, *, speaks: bool, adapter: AdapterConfig | None = None) -> NetworkShape:
    """The sizes of a network by its configuration; the names differ between architectures.

    What a configuration does not name counts as least: the estimate is then too small, which lets a
    run start that may not fit, and never keeps away one that does.
    """
    config = model.config.get_text_config()
    hidden = int(getattr(config, "hidden_size", 0) or model.get_input_embeddings().embedding_dim)
    heads = _largest(getattr(config, "num_attention_heads", 1))
    head_size = _largest(getattr(config, "head_dim", None) or hidden // heads)
    return NetworkShape(
        parameters=sum(p.numel() for p in model.parameters()),
        layers=int(getattr(config, "num_hidden_layers", 1)),
        hidden=hidden,
        feed_forward=_feed_forward(config, hidden),
        keys=_largest(getattr(config, "num_key_value_heads", None) or heads) * head_size,
        vocabulary=int(model.get_input_embeddings().num_embeddings) if speaks else 0,
        adapter=_adapter_size(model, adapter, speaks=speaks) if adapter else 0,
    )


def _adapter_size(model: Any, settings: AdapterConfig, *, speaks: bool) -> int:
    """Of a classifier the adapter stands on the backbone, and the head learns beside it."""
    if speaks or settings.kind == "none":
        return adapter_size(model, settings)
    head = sum(tensor.numel() for tensor in head_state(model).values())
    return adapter_size(model.base_model, settings) + head


def _feed_forward(config: Any, hidden: int) -> int:
    for name in ("intermediate_size", "n_inner", "hidden_dim", "ffn_dim"):
        if getattr(config, name, None):
            return _largest(getattr(config, name))
    return 4 * hidden


def _largest(size: int | Sequence[int]) -> int:
    """Some configurations give a size for each layer."""
    return int(size) if isinstance(size, int | float) else max(map(int, size))


def estimate(
    trained: Sequence[NetworkShape], frozen: Sequence[NetworkShape], job: Job, *, shards: int = 1
) -> Estimate:
    """What networks that learn and networks that only score need together, at the dearest moment.

    Of what is trained, with what stays frozen below an adapter, each process holds one of `shards` parts.
    """
    networks = [*trained, *frozen]
    learning = -(-sum(shape.learned for shape in trained) // shards)
    cut = sum(shape.parameters + shape.adapter for shape in trained)
    every = -(-cut // shards) + sum(shape.parameters + shape.adapter for shape in frozen)
    speaking = max((shape.vocabulary for shape in networks), default=0)
    table = LOGIT_TABLES * NUMBER * speaking
    return Estimate(
        weights=NUMBER * every,
        gradients=NUMBER * learning,
        optimizer=2 * NUMBER * learning,
        activations=sum(_activations(shape, job) for shape in trained),
        logits=table * job.rows * job.logits,
        cache=max((_cache(shape, job) for shape in networks), default=0),
        scoring=table * job.scored_rows * job.scored_logits,
        gathered=job.number * cut if shards > 1 else 0,
    )


def _activations(shape: NetworkShape, job: Job) -> int:
    tokens = job.rows * job.length
    layer = LAYER_WIDTHS * shape.hidden + LAYER_FORWARDS * shape.feed_forward
    kept = shape.hidden * shape.layers + layer if job.recompute else layer * shape.layers
    return tokens * kept * job.number


def _cache(shape: NetworkShape, job: Job) -> int:
    tokens = job.sampled_rows * job.sampled_length
    return 2 * 2 * shape.layers * shape.keys * tokens * job.number if shape.vocabulary else 0


# ------------------------------------------------------------------------ what there is


def available_bytes(device: torch.device) -> int:
    """Free memory for this process: of the GPU, or its part of what the machine or the container has."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = min(_memory_free(), _container_free())
    return free // max(1, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def _memory_free() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 1 << 62


def _container_free(root: Path = Path("/sys/fs/cgroup")) -> int:
    """What the control group of this process (version 2) leaves; without a limit, no bound."""
    try:
        limit = (root / "memory.max").read_text().strip()
        used = int((root / "memory.current").read_text())
    except (OSError, ValueError):
        return 1 << 62
    return 1 << 62 if limit == "max" else max(0, int(limit) - used)


def memory_check(found: Estimate, *, device: torch.device, fixes: Fixes | None = None) -> str:
    """A sentence on what is needed; `UserError` with the fix where it cannot fit.

    OUTERLOOP_MEMORY_CHECK=warn only says so, off does not look.
    """
    mode = os.environ.get(CHECK) or "refuse"
    if mode not in MODES:
        raise UserError(f"{CHECK} is {mode!r}; set it to {', '.join(MODES)}.")
    says = f"About {_size(found.total)} of memory are needed ({_parts(found)})"
    if mode == "off":
        return f"{says}."
    there = available_bytes(device)
    place = "the GPU" if device.type == "cuda" else "the machine"
    says += f", and {place} has {_size(there)} free for this process"
    if found.total <= there:
        return f"{says}."
    if mode == "warn":
        return f"{says}: it will not fit."
    raise UserError(
        f"{says}: {_advice(found, fixes or Fixes())}; or set {CHECK}=warn to start all the same."
    )


def memory_report(
    run: Run[Any], found: Estimate, *, device: torch.device, fixes: Fixes | None = None
) -> None:
    """Check, and leave an event with the parts in GB."""
    says = memory_check(found, device=device, fixes=fixes)
    run.emit("memory", 1, 1, found.gigabytes(), message=says)


def _parts(found: Estimate) -> str:
    parts = [(name, size) for name, size in asdict(found).items() if size]
    return ", ".join(f"{name} {_size(size)}" for name, size in sorted(parts, key=lambda p: -p[1]))


def _advice(found: Estimate, fixes: Fixes) -> str:
    moment = max(found.activations + found.logits, found.cache, found.scoring)
    if moment < found.total / 2:
        return f"{fixes.weights}take a smaller model, or more memory"
    if moment == found.cache:
        return f"lower {fixes.sampling}"
    if moment == found.scoring:
        return f"lower {fixes.scoring}"
    if found.logits > found.activations or not fixes.recompute:
        return f"lower {fixes.training}"
    return f"lower {fixes.training}, or set gradient_checkpointing"


def _size(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.3g} MB"
