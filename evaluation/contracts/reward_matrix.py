"""The reward model of one round on the policy of another: whether an old one agrees that policies got better."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.contracts.intervals import Interval
from training.contracts import JsonContract

# Inputs of a policy's evaluation, each with the number of an earlier round behind it.
PAST_POLICY, PAST_REWARD_MODEL = "past_policy_", "past_reward_model_"


@dataclass(frozen=True)
class CrossReward(JsonContract):
    """Mean reward (z) that the reward model of round `reward_model` gives to what the candidate of round
    `policy` wrote; None stands for the round whose record this is. `reward.n` counts groups of prompts."""

    reward_model: int | None
    policy: int | None
    reward: Interval


@dataclass(frozen=True)
class RewardMatrix(JsonContract):
    """Every kept reward model of this round and the earlier `rounds` on what was kept of every policy.

    A cell is missing where either was no longer kept, or could not be read.
    """

    rounds: tuple[int, ...]
    cells: tuple[CrossReward, ...]

    def reward(self, reward_model: int | None, policy: int | None) -> Interval | None:
        for cell in self.cells:
            if (cell.reward_model, cell.policy) == (reward_model, policy):
                return cell.reward
        return None
