"""The pairs of a DPO run: which ones it may learn from, and what the policy makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from training.contracts import DpoConfig, PairLoss
from training.core.data.fitting import Fitted
from training.core.data.json_lines import preferences_read
from training.core.data.pairs import (
    EncodedPair,
    labels_of,
    pair_encode,
    pairs_divide,
    pairs_encode,
)
from training.core.model.context import length_check
from training.core.model.loading import LoadedModel
from training.core.preference.kto import kto_losses, pairs_mismatch
from training.core.preference.log_ratios import (
    LogProbs,
    Text,
    pair_log_probs,
    pair_texts,
    pair_tokens,
    text_log_probs,
)
from training.core.preference.losses import PairLosses, pair_losses

__all__ = ["DpoPairs", "Judged", "PairSet", "judge", "mismatched", "pairs_read", "stranger_ratios"]


@dataclass(frozen=True)
class PairSet:
    """Pairs with what the reference gives their completions, computed once.

    `strangers` are the same prompts with completions of other ones, and `explored` a completion of the reference to
    each, where the loss reads such.
    """

    pairs: list[EncodedPair]
    reference: LogProbs
    strangers: PairSet | None = None
    explored: list[Text] | None = None

    @property
    def lengths(self) -> list[int]:
        return [pair.longest for pair in self.pairs]


class Judged(NamedTuple):
    """Some pairs under the policy; labels and weights are (B,), and so is log pi of the explored completions."""

    losses: PairLosses
    ratios: LogProbs
    preference: Tensor
    weights: Tensor
    explored: Tensor | None = None


class DpoPairs(NamedTuple):
    """Pairs to learn from and pairs to watch; `fitted` says what became of all rows of the file."""

    train: list[EncodedPair]
    validation: list[EncodedPair]
    fitted: Fitted


def pairs_read(path: Path, policy: LoadedModel, config: DpoConfig) -> DpoPairs:
    """Pairs to train on, and pairs to watch: neither from a group of the held-out reward model."""
    length_check(config.max_length, policy.model)
    pairs, fitted = _encoded(path, policy, config)
    if config.held_out_share == 0:
        train = [pair for pair in pairs if pair.row.split == "train"]
        validation = [pair for pair in pairs if pair.row.split == "validation"]
    else:
        division = pairs_divide(pairs, config.held_out_share)
        train, validation = division.train, division.validation
    return DpoPairs([pair for pair in train if pair.row.weight > 0], validation, fitted)


def _encoded(
    path: Path, policy: LoadedModel, config: DpoConfig
) -> tuple[list[EncodedPair], Fitted]:
    found = pairs_encode(
        policy.tokenizer,
        preferences_read(path),
        max_length=config.max_length,
        truncation=config.truncation,
    )
    return found.encoded, found.fitted


def mismatched(
    pairs: Sequence[EncodedPair],
    train: Sequence[EncodedPair],
    policy: LoadedModel,
    config: DpoConfig,
) -> list[EncodedPair]:
    """The prompts of `pairs` with completions of other training prompts (`pairs_mismatch`)."""

    def encode(pair: EncodedPair, other: EncodedPair) -> EncodedPair | None:
        row = replace(pair.row, completions=other.row.completions)
        return pair_encode(policy.tokenizer, row, config.max_length, config.truncation)

    return pairs_mismatch(pairs, train, encode)


@torch.no_grad()
def stranger_ratios(
    model: Any, side: PairSet, rows: Sequence[int], *, pad_id: int, device: torch.device
) -> Tensor:
    """[2 rows] log-ratios of completions that belong to other prompts, in one forward pass of `model`."""
    assert side.strangers is not None
    own = pair_log_probs(
        model, [side.strangers.pairs[i] for i in rows], pad_id=pad_id, device=device
    )
    return torch.cat(_ratios(own, side.strangers, rows))


def _ratios(own: LogProbs, side: PairSet, rows: Sequence[int]) -> LogProbs:
    rows, device = list(rows), own.first.device
    return LogProbs(
        own.first - side.reference.first[rows].to(device),
        own.second - side.reference.second[rows].to(device),
    )


def judge(
    model: Any,
    side: PairSet,
    rows: Sequence[int],
    config: DpoConfig,
    *,
    pad_id: int,
    device: torch.device,
    point: float = 0.0,
) -> Judged:
    """The losses of some pairs of `side` in one forward pass of `model`; gradients flow. `point` is KTO's z_0."""
    pairs = [side.pairs[i] for i in rows]
    texts = pair_texts(pairs) + ([side.explored[i] for i in rows] if side.explored else [])
    sums = text_log_probs(model, texts, pad_id=pad_id, device=device)
    own = LogProbs(sums[: len(pairs)], sums[len(pairs) : 2 * len(pairs)])
    ratios = _ratios(own, side, rows)
    labels = labels_of(pairs).to(device)
    if config.loss == "kto":
        losses = kto_losses(
            ratios,
            labels.preference,
            torch.tensor([pair.row.both_bad for pair in pairs], device=device),
            beta=config.beta,
            point=point,
            desirable_weight=config.desirable_weight,
            undesirable_weight=config.undesirable_weight,
            label_smoothing=config.label_smoothing,
        )
        return Judged(losses, ratios, labels.preference, labels.weight)
    losses = pair_losses(
        *_compared(own, ratios, pairs, config.loss),
        labels.preference,
        beta=config.beta,
        kind=config.loss,
        label_smoothing=config.label_smoothing,
        simpo_margin=config.simpo_margin,
    )
    explored = sums[2 * len(pairs) :] if side.explored else None
    return Judged(losses, ratios, labels.preference, labels.weight, explored)


def _compared(
    own: LogProbs, ratios: LogProbs, pairs: Sequence[EncodedPair], loss: PairLoss
) -> LogProbs:
    """What of each completion the loss sets against that of the other."""
    if loss == "dpo":
        return ratios
    tokens = pair_tokens(pairs, device=own.first.device)
    taken = own if loss == "simpo" else ratios
    return LogProbs(taken.first / tokens.first, taken.second / tokens.second)
