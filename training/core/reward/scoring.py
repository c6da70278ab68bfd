"""Score texts with a reward artifact: an ensemble of members on a common scale.

The artifact holds member_0/ ... in Hugging Face layout and `ensemble.json` (`EnsembleSettings`); where the
members are adapters, each in the layout of `peft`, and the backbone that all stand on once, in base/.
Raw scores are Bradley-Terry scores: differences of them are log-odds. Normalised scores are
(raw - mean) / std over reference completions, member by member, so that members can be combined and
rewards of different models compared.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from training.contracts import JsonContract, RewardCombination, Ties, Truncation
from training.core.data.batches import sorted_batches
from training.core.data.conversations import Encoded, conversation_encode
from training.core.data.json_lines import Message
from training.core.model.adapted_classifier import ClassifierBase, adapted_load, base_load
from training.core.model.loading import LoadedModel, classifier_load_path
from training.core.model.shared_base import BasePool
from training.core.reward.forward import ReadRows, read_rows, score_rows
from training.core.reward.ties import TieModel, win_log_odds
from training.core.run.errors import UserError

SETTINGS = "ensemble.json"
SCORED_TOKENS, SCORED_TOKENS_GPU = 1 << 13, 1 << 16
"""Tokens in a scoring pass, padding counted, so that long texts do not take the memory."""
Conversation = tuple[Sequence[Message], str]


@dataclass(frozen=True)
class BaseSettings(JsonContract):
    """The frozen weights of members that are adapters: their directory, and a digest of every weight.

    `source` is the digest of the run input that they are the backbone of, where they came from one.
    """

    path: str
    sha256: str
    source: str = ""


@dataclass(frozen=True)
class MemberSettings(JsonContract):
    """One member: its directory, its scores' mean and std on reference texts, its temperature.

    `temperature` T calibrates it: P(0 better) = sigmoid((r_0 - r_1) / T) on raw scores.
    `tie_parameter` is that of the ensemble's tie model. A member that learned one criterion of a mix names it,
    with the weight that the criterion has there.
    """

    path: str
    mean: float
    std: float
    temperature: float = 1.0
    tie_parameter: float = 0.0
    criterion: str = ""
    weight: float = 1.0


@dataclass(frozen=True)
class EnsembleSettings(JsonContract):
    """`temperature` and `tie_parameter` are for the mean of the members' raw score differences, of a mix of
    criteria for that of the mixes."""

    members: tuple[MemberSettings, ...]
    max_length: int
    temperature: float = 1.0
    reference: str = ""
    reference_texts: int = 0
    ties: Ties = "half"
    tie_parameter: float = 0.0
    truncation: Truncation = "oldest_turns"  # of texts to score, none of which can be dropped
    base: BaseSettings | None = None  # what all members stand on, where they are adapters

    @property
    def criteria(self) -> tuple[str, ...]:
        """The criteria of the mix, in the order of the members; empty where all learned the overall votes."""
        return tuple(dict.fromkeys(m.criterion for m in self.members if m.criterion))

    def scales(self) -> Tensor:
        """(M, 1): the standard deviation of each member's scores on reference texts."""
        return torch.tensor([[m.std] for m in self.members])

    def mixing(self) -> Tensor:
        """(R, M): the mixes that M members make of their normalised scores, each row the weights of one, which
        sum to 1. Raw scores of heads that learned different votes have scales of their own.

        Mix r is of the r-th member of every criterion: sum_k w_k r_k / sum_k w_k (Wu 2023, equation 2, with the
        weights on a common scale, so that a KL coefficient means what it does without criteria).
        """
        of = [[m.criterion == key for m in self.members].index(True) for key in self.criteria]
        whole = sum(self.members[i].weight for i in of)
        mixes = len(self.members) // len(of)
        found = torch.zeros(mixes, len(self.members))
        for first in of:
            for r in range(mixes):
                found[r, first + r] = self.members[first].weight / whole
        return found


@dataclass(frozen=True)
class MemberScores:
    """raw (K, N) and normalised (K, N), K members by N texts, on the CPU; texts cut for length.

    `states`, where they were asked for: one (N, d) a member, what its head made the scores of. Of a mix of
    criteria the K rows of both are the mixes, so that what is measured is what is paid, and `heads` (M, N) are
    the raw scores of the M members that they are made of.
    """

    raw: Tensor
    normalised: Tensor
    cut: int = 0
    states: tuple[Tensor, ...] = ()
    heads: Tensor | None = None

    def combined(
        self,
        how: RewardCombination = "mean",
        variance_weight: float = 0.5,
        temperature: float = 1.0,
    ) -> Tensor:
        return combine(self.normalised, how, variance_weight, temperature)

    @property
    def spread(self) -> Tensor:
        """(N,): standard deviation over the members' normalised scores."""
        return self.normalised.std(0, unbiased=False)


def combine(
    normalised: Tensor,
    how: RewardCombination,
    variance_weight: float = 0.5,
    temperature: float = 1.0,
) -> Tensor:
    """(K, N) -> (N,) on the common scale: what PPO is paid for one text by K members.

    The mean; the worst case min_k r_k (WCO), or mean_k r_k - w * mean_k (r_k - mean)^2 (UWO), both of
    Coste 2023, which pay less where the members disagree. "soft_worst" lies between mean and worst:
    -T log mean_k exp(-r_k / T), the entropic risk measure (Föllmer and Schied 2002); it goes to the mean
    as T grows and to the worst member as T falls to 0. With one member, or w = 0, all are the mean.
    """
    if how == "mean":
        return normalised.mean(0)
    if how == "worst":
        return normalised.amin(0)
    if how == "soft_worst":
        risk = torch.logsumexp(-normalised / temperature, 0) - math.log(len(normalised))
        return -temperature * risk
    return normalised.mean(0) - variance_weight * normalised.var(0, unbiased=False)


@dataclass(frozen=True)
class RewardModel:
    """A loaded reward artifact; `score` is deterministic and independent of batch and padding."""

    members: tuple[LoadedModel, ...]
    settings: EnsembleSettings

    @property
    def voices(self) -> int:
        """How many rewards it gives a text: of its members, or of their mixes."""
        return len(self.settings.mixing()) if self.settings.criteria else len(self.members)

    def encode(self, conversations: Sequence[Conversation]) -> list[Encoded]:
        tokenizer, settings = self.members[0].tokenizer, self.settings
        limit, how = settings.max_length, settings.truncation
        return [
            conversation_encode(tokenizer, m, c, max_length=limit, truncation=how)
            for m, c in conversations
        ]

    def score(
        self,
        conversations: Sequence[Conversation],
        *,
        batch_size: int = 128,
        packed: bool = False,
        states: bool = False,
    ) -> MemberScores:
        """Score (messages, completion) texts in batches of similar length.

        `packed` computes less padding: the same scores, to rounding. `states` are kept in the same passes.
        """
        encoded = self.encode(conversations)
        read = member_read if states else _scores_only
        found = [read(m, encoded, batch_size=batch_size, packed=packed) for m in self.members]
        raw = torch.stack([member.scores for member in found])
        mean = torch.tensor([[m.mean] for m in self.settings.members])
        kept = tuple(member.states for member in found) if states else ()
        cut, normalised = sum(e.cut for e in encoded), (raw - mean) / self.settings.scales()
        if not self.settings.criteria:
            return MemberScores(raw, normalised, cut, kept)
        mixed = self.settings.mixing() @ normalised
        return MemberScores(mixed, mixed, cut, kept, heads=raw)

    def by_name(self, name: str, scores: MemberScores) -> list[dict[str, float]]:
        """For each of N texts: NAME, the normalised combination; NAME/log_odds_k, member k's calibrated score
        r_k / T_k, of which the difference of two texts is the log-odds that it gives the first."""
        heats = [m.temperature for m in self.settings.members]
        if scores.heads is not None:  # what calibrates one head calibrates no mix
            heats = [self.settings.temperature] * len(scores.raw)
        heat = torch.tensor([[each] for each in heats])
        told = {name: scores.combined()} | {
            f"{name}/log_odds_{k}": row for k, row in enumerate(scores.raw / heat)
        }
        return [
            dict(zip(told, values, strict=True))
            for values in torch.stack(list(told.values())).T.tolist()
        ]

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


def member_scores(
    member: LoadedModel,
    encoded: Sequence[Encoded],
    *,
    batch_size: int = 128,
    packed: bool = False,
) -> Tensor:
    """Raw scores (N,) of one member, in the order given."""
    return _scores_only(member, encoded, batch_size=batch_size, packed=packed).scores


def member_read(
    member: LoadedModel,
    encoded: Sequence[Encoded],
    *,
    batch_size: int = 128,
    packed: bool = False,
) -> ReadRows:
    """Raw scores (N,) of one member and the states (N, d) behind them, in the order given, on the CPU."""
    return _read(member, encoded, partial(read_rows, packed=packed), batch_size)


def _scores_only(
    member: LoadedModel, encoded: Sequence[Encoded], *, batch_size: int, packed: bool
) -> ReadRows:
    def read(model: nn.Module, rows: Sequence[Sequence[int]], pad_id: int) -> ReadRows:
        scores = score_rows(model, rows, pad_id, packed=packed)
        return ReadRows(scores, scores.new_zeros(len(rows), 0))

    return _read(member, encoded, read, batch_size)


@torch.inference_mode()
def _read(
    member: LoadedModel,
    encoded: Sequence[Encoded],
    read: Callable[[nn.Module, Sequence[Sequence[int]], int], ReadRows],
    batch_size: int,
) -> ReadRows:
    training = member.model.training
    member.model.eval()
    tokens = SCORED_TOKENS if member.model.device.type == "cpu" else SCORED_TOKENS_GPU
    batches = list(sorted_batches([len(e.ids) for e in encoded], batch_size, tokens=tokens))
    found = [read(member.model, [encoded[i].ids for i in b], member.pad_id) for b in batches]
    member.model.train(training)
    order = torch.tensor([i for batch in batches for i in batch], dtype=torch.long).argsort()
    if not found:
        return ReadRows(torch.zeros(0), torch.zeros(0, 0))
    scores, states = (
        torch.cat([part.cpu() for part in column])[order] for column in zip(*found, strict=True)
    )
    return ReadRows(scores, states)


def member_load(path: Path, base: ClassifierBase | None) -> LoadedModel:
    """A trained member: whole, or an adapter on `base`."""
    return classifier_load_path(path) if base is None else adapted_load(path, base)


def reward_model_load(
    path: Path, *, device: torch.device | str = "cpu", pool: BasePool | None = None
) -> RewardModel:
    """Load a `reward_model` or `held_out_reward_model` artifact; no weight may be missing.

    Members that are adapters stand on one copy of their backbone: that of `pool`, where it has the same.
    """
    try:
        settings = EnsembleSettings.from_json(json.loads((path / SETTINGS).read_text()))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: not a reward model; {SETTINGS} cannot be read ({error})."
        ) from error
    stands, base = settings.base, None
    if stands is not None:
        base = base_load(path / stands.path, stands.sha256, pool or BasePool())
    members = tuple(member_load(path / member.path, base) for member in settings.members)
    return RewardModel(members, settings).to(device)
