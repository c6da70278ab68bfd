"""What a policy's training run reports at each measurement, by name: for the gate and the charts alike."""

from __future__ import annotations

from collections.abc import Mapping

MetricRow = Mapping[str, float | None]

POLICY_KINDS = ("ppo", "dpo", "best_of_n")  # the runs that make a candidate

REWARD_TRAIN = "reward_train"
REWARD_HELD_OUT = "reward_held_out"
KL = ("kl_exact", "kl_k3", "kl_k1")  # nats per reply, the exact one first


def kl_of(row: MetricRow) -> float | None:
    return next((value for name in KL if (value := row.get(name)) is not None), None)
