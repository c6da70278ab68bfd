"""When a run must not go on: pure functions on its metric rows, one an alarm.

A row holds what one rollout said of the policy that wrote it (`WATCHED`), and, once the update on it
is done, how that went. Each function looks at the last row in the light of those before and gives
the reason to stop, or nothing. The names are what manifests, pages and notices show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from training.contracts import Alarms
from training.core.run.errors import UserError

__all__ = [
    "Alarm",
    "AlarmRaised",
    "alarm_of",
    "entropy_collapse",
    "kl_explosion",
    "loss_check",
    "not_finite",
    "outlier_states",
    "reward_without_held_out_gain",
    "row_of",
]

Row = Mapping[str, float | None]
WATCHED = (
    *("reward_train", "reward_held_out", "kl_k1", "entropy", "outlier_share"),
    *("loss", "policy_loss", "value_loss", "grad_norm", "value_grad_norm"),
)
SMOOTHED = 3  # rows in the moving mean of the rewards


@dataclass(frozen=True)
class Alarm:
    """`name` is one word for programs, `says` one sentence for people."""

    name: str
    says: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class AlarmRaised(UserError):
    """An alarm that leaves nothing to keep but the checkpoints before it."""

    def __init__(self, alarm: Alarm) -> None:
        super().__init__(alarm.says)
        self.alarm = alarm


def loss_check(loss: float, *, step: int) -> None:
    """Raise the alarm "nan" where the loss of a step is not finite: the weights are lost by then."""
    if not math.isfinite(loss):
        raise AlarmRaised(
            Alarm("nan", f"The loss is {loss} at step {step}: lower the learning rate.")
        )


def row_of(metrics: Row) -> dict[str, float | None]:
    """What the alarms watch, out of everything that was measured."""
    return {name: metrics[name] for name in WATCHED if name in metrics}


def alarm_of(rows: Sequence[Row], limits: Alarms, *, patience: int | None = None) -> Alarm | None:
    """The first alarm that the end of `rows` raises; `patience` 1 asks whether a row is suspect."""
    patience = limits.patience if patience is None else patience
    for name, reason, needed in _ALARMS:
        ends = range(len(rows), max(0, len(rows) - (needed or patience)), -1)
        said = [reason(rows[:end], limits) for end in ends]
        if len(said) == (needed or patience) and all(said):
            return Alarm(name, said[0])
    return None


def not_finite(rows: Sequence[Row], limits: Alarms) -> str:
    """A loss, a gradient or a measured number is NaN or infinite: nothing after it means anything."""
    for name, value in rows[-1].items():
        if value is not None and not math.isfinite(value):
            return (
                f"{name.replace('_', ' ')} is {value}: nothing after it would mean anything. Lower the"
                " learning rate, or look at the rewards."
            )
    return ""


def kl_explosion(rows: Sequence[Row], limits: Alarms) -> str:
    """The policy has left its reference: KL per sequence (k1, in nats) is above `kl_limit`."""
    kl = rows[-1].get("kl_k1")
    if limits.kl_limit <= 0 or kl is None or not kl > limits.kl_limit:
        return ""
    return (
        f"KL to the reference is {kl:.4g} nats a sequence, above alarms.kl_limit"
        f" ({limits.kl_limit:g}). Raise kl.beta, or lower the policy's learning rate."
    )


def entropy_collapse(rows: Sequence[Row], limits: Alarms) -> str:
    """The policy says one thing only: entropy per token is below a share of what it began with."""
    first, now = rows[0].get("entropy"), rows[-1].get("entropy")
    if limits.entropy_share <= 0 or not first or now is None:
        return ""
    if not now < limits.entropy_share * first:
        return ""
    return (
        f"Entropy fell from {first:.3g} to {now:.3g} nats a token, below alarms.entropy_share"
        f" ({limits.entropy_share:g}) of its beginning. Raise kl.beta, or lower the learning rate."
    )


def reward_without_held_out_gain(rows: Sequence[Row], limits: Alarms) -> str:
    """The reward that is optimised rose by `reward_rise` since the held-out one was at its best.

    Both are moving means over three rows, so that one lucky rollout sets no mark. This is the sign of
    over-optimisation (Gao 2022): the policy learns the reward model's mistakes.
    """
    train, held_out = (_smooth(rows, name) for name in ("reward_train", "reward_held_out"))
    if limits.reward_rise <= 0 or not train or len(train) != len(held_out):
        return ""
    best = max(range(len(held_out)), key=lambda row: held_out[row])
    rise = train[-1] - train[best]
    if not rise >= limits.reward_rise:
        return ""
    return (
        f"The training reward rose by {rise:.2f} while the held-out reward gained nothing over"
        f" {held_out[best]:.2f} ({len(held_out) - 1 - best} updates): the policy learns the reward"
        " model's mistakes. Raise kl.beta, or collect labels on what the policy says now."
    )


def outlier_states(rows: Sequence[Row], limits: Alarms) -> str:
    """Too many texts are unlike all that the reference writes, as the reward model reads them.

    The Mahalanobis outlier probability (Miao 2025, arXiv 2510.13694): see `training.core.reward.outliers`.
    """
    share = rows[-1].get("outlier_share")
    if limits.outlier_share <= 0 or share is None or not share > limits.outlier_share:
        return ""
    return (
        f"{share:.0%} of the texts lie outside what the reference writes, as the reward model reads them, above"
        f" alarms.outlier_share ({limits.outlier_share:.0%}): it was trained on nothing like them. Raise kl.beta,"
        " or collect labels on what the policy says now."
    )


def _smooth(rows: Sequence[Row], name: str) -> list[float]:
    """Moving means of one metric; empty where a row lacks it."""
    values = [row.get(name) for row in rows]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return []
    means = [known[max(0, end - SMOOTHED) : end] for end in range(1, len(known) + 1)]
    return [sum(window) / len(window) for window in means]


# Name, reason, and the rows in a row that it needs; None leaves that to `Alarms.patience`.
_ALARMS: tuple[tuple[str, Callable[[Sequence[Row], Alarms], str], int | None], ...] = (
    ("nan", not_finite, 1),
    ("kl_explosion", kl_explosion, 1),
    ("entropy_collapse", entropy_collapse, None),
    ("reward_without_held_out_gain", reward_without_held_out_gain, None),
    ("outlier_states", outlier_states, None),
)
