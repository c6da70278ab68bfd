"""Score texts with a reward artifact: an ensemble of members on a common scale.

The artifact holds member_0/ ... in Hugging Face layout and `ensemble.json` (`EnsembleSettings`).
Raw scores are Bradley-Terry scores: differences of them are log-odds. Normalised scores are
(raw - mean) / std over reference completions, member by member, so that members can be combined and
rewards of different models compared.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from training.contracts import JsonContract, Ties
from training.core.data.batches import sorted_batches
from training.core.data.conversations import Encoded, conversation_encode
from training.core.data.json_lines import Message
from training.core.model.loading import LoadedModel, classifier_load_path
from training.core.reward.forward import score_rows
from training.core.reward.ties import TieModel, win_log_odds
from training.core.run.errors import UserError

SETTINGS = "ensemble.json"
SCORED_TOKENS, SCORED_TOKENS_GPU = 1 << 13, 1 << 16
"""Tokens in a scoring pass, padding counted, so that long texts do not take the memory."""
Combination = Literal["mean", "worst", "mean_minus_variance"]
Conversation = tuple[Sequence[Message], str]


@dataclass(frozen=True)
class MemberSettings(JsonContract):
    """One member: its directory, its scores' mean and std on reference texts, its temperature.

    `temperature` T calibrates it: P(0 better) = sigmoid((r_0 - r_1) / T) on raw scores.
    `tie_parameter` is that of the ensemble's tie model.
    """

    path: str
    mean: float
    std: float
    temperature: float = 1.0
    tie_parameter: float = 0.0


@dataclass(frozen=True)
class EnsembleSettings(JsonContract):
    """`temperature` and `tie_parameter` are for the mean of the members' raw score differences."""

    members: tuple[MemberSettings, ...]
    max_length: int
    temperature: float = 1.0
    reference: str = ""
    reference_texts: int = 0
    ties: Ties = "half"
    tie_parameter: float = 0.0


@dataclass(frozen=True)
class MemberScores:
    """raw (K, N) and normalised (K, N), K members by N texts, on the CPU; texts cut for length."""

    raw: Tensor
    normalised: Tensor
    cut: int = 0

    def combined(self, how: Combination = "mean", variance_weight: float = 0.5) -> Tensor:
        return combine(self.normalised, how, variance_weight)

    @property
    def spread(self) -> Tensor:
        """(N,): standard deviation over the members' normalised scores."""
        return self.normalised.std(0, unbiased=False)


def combine(normalised: Tensor, how: Combination, variance_weight: float = 0.5) -> Tensor:
    """(K, N) -> (N,) on the common scale: what PPO is paid for one text by K members.

    The mean; the worst case min_k r_k (WCO), or mean_k r_k - w * mean_k (r_k - mean)^2 (UWO), both of
    Coste 2023, which pay less where the members disagree. With w = 0, or one member, all are the mean.
    """
    if how == "mean":
        return normalised.mean(0)
    if how == "worst":
        return normalised.amin(0)
    return normalised.mean(0) - variance_weight * normalised.var(0, unbiased=False)


@dataclass(frozen=True)
class RewardModel:
    """A loaded reward artifact; `score` is deterministic and independent of batch and padding."""

    members: tuple[LoadedModel, ...]
    settings: EnsembleSettings

    def encode(self, conversations: Sequence[Conversation]) -> list[Encoded]:
        tokenizer, limit = self.members[0].tokenizer, self.settings.max_length
        return [conversation_encode(tokenizer, m, c, max_length=limit) for m, c in conversations]

    def score(
        self,
        conversations: Sequence[Conversation],
        *,
        batch_size: int = 128,
        packed: bool = False,
    ) -> MemberScores:
        """Score (messages, completion) texts in batches of similar length.

        `packed` computes less padding: the same scores, to rounding.
        """
        encoded = self.encode(conversations)
        members = (
            member_scores(member, encoded, batch_size=batch_size, packed=packed)
            for member in self.members
        )
        raw = torch.stack(list(members))
        mean = torch.tensor([[m.mean] for m in self.settings.members])
        std = torch.tensor([[m.std] for m in self.settings.members])
        return MemberScores(raw, (raw - mean) / std, sum(e.cut for e in encoded))

    def win_log_odds(self, difference: Tensor, *, calibrated: bool = True) -> Tensor:
        """log P(0 wins) / P(1 wins) from the mean of the members' raw differences r_0 - r_1.

        Calibrated: with the temperature that the validation pairs asked for. Its sigmoid is the win
        probability of a pair that is not a tie.
        """
        settings = self.settings
        model = TieModel(settings.ties, settings.tie_parameter)
        return win_log_odds(difference / (settings.temperature if calibrated else 1.0), model)

    def to(self, device: torch.device | str) -> RewardModel:
        for member in self.members:
            member.model.to(torch.device(device))
        return self


@torch.inference_mode()
def member_scores(
    member: LoadedModel,
    encoded: Sequence[Encoded],
    *,
    batch_size: int = 128,
    packed: bool = False,
) -> Tensor:
    """Raw scores (N,) of one member, in the order given."""
    training = member.model.training
    member.model.eval()
    scores = torch.zeros(len(encoded))
    tokens = SCORED_TOKENS if member.model.device.type == "cpu" else SCORED_TOKENS_GPU
    for batch in sorted_batches([len(e.ids) for e in encoded], batch_size, tokens=tokens):
        rows = [encoded[i].ids for i in batch]
        found = score_rows(member.model, rows, member.pad_id, packed=packed)
        scores[torch.tensor(batch)] = found.cpu()
    member.model.train(training)
    return scores


def reward_model_load(path: Path, *, device: torch.device | str = "cpu") -> RewardModel:
    """Load a `reward_model` or `held_out_reward_model` artifact; no weight may be missing."""
    try:
        settings = EnsembleSettings.from_json(json.loads((path / SETTINGS).read_text()))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: not a reward model; {SETTINGS} cannot be read ({error})."
        ) from error
    members = tuple(classifier_load_path(path / member.path) for member in settings.members)
    return RewardModel(members, settings).to(device)
