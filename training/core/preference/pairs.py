"""The pairs of a DPO run: which ones it may learn from, and what the policy makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from training.contracts import DpoConfig
from training.core.data.json_lines import preferences_read
from training.core.data.pairs import EncodedPair, labels_of, pair_encode, pairs_divide
from training.core.model.context import length_check
from training.core.model.loading import LoadedModel
from training.core.preference.log_ratios import LogProbs, pair_log_probs
from training.core.preference.losses import PairLosses, pair_losses

__all__ = ["Judged", "PairSet", "judge", "pairs_read"]


@dataclass(frozen=True)
class PairSet:
    """Pairs with what the reference gives their completions, computed once."""

    pairs: list[EncodedPair]
    reference: LogProbs

    @property
    def lengths(self) -> list[int]:
        return [pair.longest for pair in self.pairs]


class Judged(NamedTuple):
    """Some pairs under the policy; the last two are their labels and weights, both (B,)."""

    losses: PairLosses
    ratios: LogProbs
    preference: Tensor
    weights: Tensor


def pairs_read(
    path: Path, policy: LoadedModel, config: DpoConfig
) -> tuple[list[EncodedPair], list[EncodedPair]]:
    """Pairs to train on, and pairs to watch: neither from a group of the held-out reward model."""
    length_check(config.max_length, policy.model)
    pairs = [
        pair_encode(policy.tokenizer, row, config.max_length) for row in preferences_read(path)
    ]
    if config.held_out_share == 0:
        train = [pair for pair in pairs if pair.row.split == "train"]
        validation = [pair for pair in pairs if pair.row.split == "validation"]
    else:
        division = pairs_divide(pairs, config.held_out_share)
        train, validation = division.train, division.validation
    return [pair for pair in train if pair.row.weight > 0], validation


def judge(
    model: Any,
    side: PairSet,
    rows: Sequence[int],
    config: DpoConfig,
    *,
    pad_id: int,
    device: torch.device,
) -> Judged:
    """The losses of some pairs of `side` in one forward pass of `model`; gradients flow."""
    rows = list(rows)
    pairs = [side.pairs[i] for i in rows]
    temperature = config.measure.sampling.temperature
    own = pair_log_probs(model, pairs, pad_id=pad_id, temperature=temperature, device=device)
    ratios = LogProbs(
        own.first - side.reference.first[rows].to(device),
        own.second - side.reference.second[rows].to(device),
    )
    labels = labels_of(pairs).to(device)
    losses = pair_losses(
        *ratios,
        labels.preference,
        beta=config.beta,
        kind=config.loss,
        label_smoothing=config.label_smoothing,
    )
    return Judged(losses, ratios, labels.preference, labels.weight)
