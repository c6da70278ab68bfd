"""How reward models are trained, and which settings contradict one another."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from training.contracts.policies import AdapterConfig, CheckpointDtype, ModelSource, Truncation
from web.json_contract import ContractError, JsonContract

__all__ = ["BatchBy", "LabelSource", "OffPolicyConfig", "RewardLoss", "RewardModelConfig", "Ties"]

Ties = Literal["half", "rao_kupper", "davidson"]
LabelSource = Literal["votes", "vote_shares", "posterior"]
RewardLoss = Literal["bradley_terry", "plackett_luce"]
BatchBy = Literal["pairs", "prompts"]


@dataclass(frozen=True)
class OffPolicyConfig(JsonContract):
    """Whether pairs that older policies wrote are weighed towards the current one (Ackermann 2025)."""

    correction: Literal["none", "importance"] = "none"
    power: float = 1.0  # of the importance weights, to flatten them (Shimodaira 2000)
    cap: float = 10.0  # the largest of them, before they are divided by their mean
    least_effective_share: float = 0.1  # of the weighed pairs; below it nothing is learned


@dataclass(frozen=True)
class RewardModelConfig(JsonContract):
    """Reward models by Bradley-Terry, or of whole rankings by Plackett-Luce: an ensemble of `members`, and the
    held-out model.

    Raises `ContractError` where settings contradict one another.
    """

    backbone: ModelSource
    members: int = 2  # of each criterion, where there are any
    criteria: dict[str, float] = field(default_factory=dict)  # key -> weight; empty: overall alone
    held_out_share: float = 0.25
    epochs: int = 3
    batch_size: int = 32
    learning_rate: float = 6e-4
    warmup_share: float = 0.1
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    gradient_penalty: float = 0.0  # on half the squared norm of the gradient; 0: none
    gradient_probe: float = (
        1e-3  # share of the gradient by which it moves the weights to see its change
    )
    max_length: int = 256
    truncation: Truncation = "oldest_turns"
    loss: RewardLoss = "bradley_terry"
    centering: float = 0.0
    label_smoothing: float = 0.0
    margin_scale: float = 0.0
    margins: tuple[float, ...] = ()  # of slightly better, better, much better
    label_updating: float = 0.0  # how far labels move to what the model says, after each epoch
    labels: LabelSource = "votes"
    ties: Ties = "half"
    tie_parameter: float = 0.0  # fixed eta (Rao-Kupper) or nu (Davidson); 0: learned
    off_policy: OffPolicyConfig = field(default_factory=OffPolicyConfig)
    cross_prompt_share: float = 0.0  # pairs with answers to other prompts, for each judged pair
    batch_by: BatchBy = "pairs"
    validate_every: int = 0  # steps between measurements of the validation NLL; 0: never
    patience: int = 3  # measurements without a better one, after which training ends
    weight_average: bool = False  # the members become one model, the mean of their weights
    micro_batch_size: int = 0  # pairs in memory at once; 0: the whole batch
    packed: bool = False  # passes over texts of like length; plain Llamas: no padding at all
    gradient_checkpointing: bool = False
    checkpoint_dtype: CheckpointDtype = "source"
    adapter: AdapterConfig = field(default_factory=AdapterConfig)
    checkpoint_every: int = 100
    log_every: int = 10

    def __post_init__(self) -> None:
        for wrong, sentence in self._contradictions():
            if wrong:
                raise ContractError(f"RewardModelConfig: {sentence}")

    def _off_policy(self) -> tuple[tuple[bool, str], ...]:
        asked, weighed = self.off_policy, self.off_policy.correction != "none"
        return (
            (
                not (0 < asked.power <= 1 <= asked.cap and 0 <= asked.least_effective_share < 1),
                "off_policy needs a power above 0, up to 1, a cap of 1 or more, and a least_effective_share of 0"
                f" or more, below 1, not {asked.power}, {asked.cap} and {asked.least_effective_share}.",
            ),
            (
                weighed and self.loss == "plackett_luce",
                "off_policy weighs pairs by who wrote them, and loss 'plackett_luce' learns rankings as a whole; "
                "set off_policy.correction to 'none', or loss to 'bradley_terry'.",
            ),
            (
                weighed and self.cross_prompt_share > 0,
                "cross_prompt_share makes pairs that no policy wrote out of pairs that off_policy weighs by who "
                "did; set cross_prompt_share to 0, or off_policy.correction to 'none'.",
            ),
        )

    def _criteria(self) -> tuple[tuple[bool, str], ...]:
        weights = self.criteria
        return (
            (
                any(not (math.isfinite(weight) and weight > 0) for weight in weights.values()),
                f"criteria must be finite weights above 0, not {weights}; leave out a criterion that counts nothing.",
            ),
            (
                bool(weights) and self.weight_average,
                "weight_average makes one model of members that learned the same, and those of different criteria did"
                " not; set weight_average to false, or criteria to {}.",
            ),
            (
                bool(weights) and self.loss == "plackett_luce",
                "criteria are asked of pairs, and loss 'plackett_luce' learns rankings; set loss to 'bradley_terry',"
                " or criteria to {}.",
            ),
        )

    def _contradictions(self) -> tuple[tuple[bool, str], ...]:
        margins = self.margin_scale != 0 or bool(self.margins)
        rising = self.margins == tuple(sorted(self.margins)) and min(self.margins, default=0) >= 0
        return (
            *self._off_policy(),
            (
                min(self.members, self.epochs, self.batch_size) < 1,
                "members, epochs and batch_size must be at least 1.",
            ),
            (
                not 0 < self.held_out_share < 1,
                f"held_out_share must lie between 0 and 1, not {self.held_out_share}: "
                "the held-out model is always trained.",
            ),
            (
                not 0 <= self.label_smoothing < 0.5,
                f"label_smoothing must lie in [0, 0.5), not {self.label_smoothing}.",
            ),
            (
                not 0 <= self.label_updating < 1,
                f"label_updating must lie in [0, 1), not {self.label_updating}.",
            ),
            (
                self.label_updating > 0 and self.ties != "half",
                f"label_updating turns ties into preferences, and ties {self.ties!r} learns how often "
                "there are any; set label_updating to 0, or ties to 'half'.",
            ),
            (
                self.cross_prompt_share > 0 and self.ties != "half",
                f"cross_prompt_share adds ties that nobody gave, and ties {self.ties!r} learns how often "
                "there are any; set cross_prompt_share to 0, or ties to 'half'.",
            ),
            (
                self.loss == "plackett_luce"
                and (
                    margins
                    or max(self.label_smoothing, self.label_updating) > 0
                    or self.ties != "half"
                    or self.labels != "votes"
                    or self.batch_by != "pairs"
                ),
                "loss 'plackett_luce' learns each ranking as it was given and whole: leave margin_scale, "
                "margins, label_smoothing, label_updating, ties, labels and batch_by at their defaults, or "
                "set loss to 'bradley_terry'.",
            ),
            (
                self.label_smoothing > 0 and self.labels == "posterior",
                "label_smoothing and labels 'posterior' both soften labels for raters' errors; "
                "choose one.",
            ),
            (
                min(self.margin_scale, self.centering, self.tie_parameter, self.cross_prompt_share)
                < 0,
                "margin_scale, centering, tie_parameter and cross_prompt_share must not be negative.",
            ),
            (
                self.margin_scale != 0 and bool(self.margins),
                "margin_scale and margins both set the margin; leave one at its default.",
            ),
            (
                bool(self.margins) and (len(self.margins) != 3 or not rising),
                "margins must be three rising numbers, those of slightly better, better and much "
                f"better, not {list(self.margins)}.",
            ),
            (
                margins and self.ties != "half",
                f"a margin and the tie model {self.ties!r} both claim the scores near equality; "
                "set margin_scale to 0 and margins to [], or ties to 'half'.",
            ),
            (
                self.tie_parameter != 0 and self.ties == "half",
                "tie_parameter belongs to a tie model; set ties to 'rao_kupper' or 'davidson', or "
                "tie_parameter to 0.",
            ),
            (
                min(self.checkpoint_every, self.log_every, self.patience) < 1,
                "checkpoint_every, log_every and patience must be at least 1.",
            ),
            (
                self.validate_every < 0,
                f"validate_every must be 0 (never) or more, not {self.validate_every}.",
            ),
            (
                self.adapter.kind != "none" and self.backbone.kind == "fresh",
                "adapter freezes the backbone, and a fresh one has learned nothing; name a backbone "
                "that was trained, or set adapter.kind to 'none'.",
            ),
            *self._criteria(),
            (
                self.gradient_penalty < 0 or self.gradient_probe <= 0,
                "gradient_penalty must not be negative, and gradient_probe must be above 0.",
            ),
            (
                self.weight_average and self.members < 2,
                "weight_average is the mean of members; set members to 2 or more.",
            ),
        )
