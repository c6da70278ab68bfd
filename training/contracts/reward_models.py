"""How reward models are trained, and which settings contradict one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from training.contracts.policies import ModelSource
from web.json_contract import ContractError, JsonContract

__all__ = ["BatchBy", "LabelSource", "RewardModelConfig", "Ties"]

Ties = Literal["half", "rao_kupper", "davidson"]
LabelSource = Literal["votes", "vote_shares", "posterior"]
BatchBy = Literal["pairs", "prompts"]


@dataclass(frozen=True)
class RewardModelConfig(JsonContract):
    """Bradley-Terry reward models: an ensemble of `members`, and the held-out model.

    Raises `ContractError` where settings contradict one another.
    """

    backbone: ModelSource
    members: int = 2
    held_out_share: float = 0.25
    epochs: int = 3
    batch_size: int = 32
    learning_rate: float = 6e-4
    warmup_share: float = 0.1
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    max_length: int = 256
    centering: float = 0.0
    label_smoothing: float = 0.0
    margin_scale: float = 0.0
    margins: tuple[float, ...] = ()  # of slightly better, better, much better
    labels: LabelSource = "votes"
    ties: Ties = "half"
    tie_parameter: float = 0.0  # fixed eta (Rao-Kupper) or nu (Davidson); 0: learned
    batch_by: BatchBy = "pairs"
    validate_every: int = 0  # steps between measurements of the validation NLL; 0: never
    patience: int = 3  # measurements without a better one, after which training ends
    weight_average: bool = False  # the members become one model, the mean of their weights
    micro_batch_size: int = 0  # pairs in memory at once; 0: the whole batch
    packed: bool = False  # passes over texts of like length; plain Llamas: no padding at all
    gradient_checkpointing: bool = False
    checkpoint_every: int = 100
    log_every: int = 10

    def __post_init__(self) -> None:
        for wrong, sentence in self._contradictions():
            if wrong:
                raise ContractError(f"RewardModelConfig: {sentence}")

    def _contradictions(self) -> tuple[tuple[bool, str], ...]:
        margins = self.margin_scale != 0 or bool(self.margins)
        rising = self.margins == tuple(sorted(self.margins)) and min(self.margins, default=0) >= 0
        return (
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
                self.label_smoothing > 0 and self.labels == "posterior",
                "label_smoothing and labels 'posterior' both soften labels for raters' errors; "
                "choose one.",
            ),
            (
                min(self.margin_scale, self.centering, self.tie_parameter) < 0,
                "margin_scale, centering and tie_parameter must not be negative.",
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
                self.weight_average and self.members < 2,
                "weight_average is the mean of members; set members to 2 or more.",
            ),
        )
