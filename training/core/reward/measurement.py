"""What the test split says of a reward model, and the texts that set the scale of its scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from training.contracts import RewardModelConfig
from training.core.data.conversations import Encoded, conversation_encode
from training.core.data.json_lines import completions_read, prompts_read
from training.core.data.pairs import Division, EncodedPair, labels_of
from training.core.model.loading import LoadedModel
from training.core.reward.calibration import (
    HALF,
    accuracy,
    longer_is_better,
    negative_log_likelihood,
    temperature_fit,
)
from training.core.reward.scoring import member_scores
from training.core.reward.ties import TieModel, pair_nll
from training.core.run.errors import UserError

REFERENCE_LIMIT = 2000  # training completions that stand in where no reference samples are given


@dataclass(frozen=True)
class Reference:
    """Texts on which normalised scores have mean 0 and std 1, and where they come from."""

    source: str
    texts: list[Encoded]


def reference_read(
    inputs: Mapping[str, Path],
    tokenizer: PreTrainedTokenizerBase,
    division: Division,
    *,
    config: RewardModelConfig,
) -> Reference:
    """Samples of the reference policy where given, else completions of the training split."""
    if "reference_samples" not in inputs:
        texts = [e for p in division.train for e in (p.first, p.second)]
        return Reference("training completions", texts[:REFERENCE_LIMIT])
    if "prompts" not in inputs:
        raise UserError("The input 'reference_samples' needs the input 'prompts' beside it.")
    prompts = {p.id: p.messages for p in prompts_read(inputs["prompts"])}
    encoded = []
    for row in completions_read(inputs["reference_samples"]):
        if row.get("prompt_id") not in prompts:
            raise UserError(
                f"The reference samples answer the prompt {row.get('prompt_id')!r}, "
                "which the input 'prompts' does not hold."
            )
        messages = prompts[row["prompt_id"]]
        encoded += [
            conversation_encode(
                tokenizer,
                messages,
                c["text"],
                max_length=config.max_length,
                truncation=config.truncation,
            )
            for c in row["completions"]
        ]
    if not encoded:
        raise UserError("The input 'reference_samples' holds no completions.")
    return Reference("reference samples", encoded)


def pair_differences(model: LoadedModel, pairs: Sequence[EncodedPair]) -> Tensor:
    """r_0 - r_1 (N,) on raw scores."""
    encoded = [p.first for p in pairs] + [p.second for p in pairs]
    first, second = member_scores(model, encoded).view(2, len(pairs))
    difference: Tensor = first - second
    return difference


def temperature_of(
    difference: Tensor, pairs: Sequence[EncodedPair], ties: TieModel = HALF
) -> float:
    labels = labels_of(pairs)
    return temperature_fit(
        difference, labels.preference, labels.weight, tie_share=labels.tie_share, ties=ties
    )


def validation_nll(
    difference: Tensor, pairs: Sequence[EncodedPair], ties: TieModel
) -> tuple[float, float]:
    """(weighted sum of -log likelihoods, sum of weights), for sharing out over processes."""
    labels = labels_of(pairs)
    nll = pair_nll(difference, labels.preference, labels.tie_share, ties)
    return float((labels.weight * nll).sum()), float(labels.weight.sum())


def model_results(
    difference: Tensor, pairs: Sequence[EncodedPair], temperature: float, ties: TieModel = HALF
) -> dict[str, Any]:
    """Accuracy with its interval, and likelihood before and after calibration."""
    preference = labels_of(pairs).preference
    return {
        **accuracy(difference, preference, rankings_of(pairs)).to_json(),
        "nll": negative_log_likelihood(difference, preference, ties=ties),
        "nll_calibrated": negative_log_likelihood(difference, preference, temperature, ties),
        "temperature": temperature,
        **({} if ties.kind == "half" else {"tie_parameter": ties.parameter}),
    }


def length_baseline(division: Division) -> dict[str, Any]:
    """Choose the longer (or shorter) completion; which, the members' training pairs say."""
    train, test = labels_of(division.train), labels_of(division.test)
    longer = longer_is_better(train.length_difference, train.preference)
    difference = test.length_difference if longer else -test.length_difference
    direction = "longer" if longer else "shorter"
    found = accuracy(difference, test.preference, rankings_of(division.test))
    return {**found.to_json(), "direction": direction}


def rankings_of(pairs: Sequence[EncodedPair]) -> list[str]:
    """The ranking that each pair is a part of; "" for one of its own."""
    return [pair.row.part.ranking if pair.row.part else "" for pair in pairs]
