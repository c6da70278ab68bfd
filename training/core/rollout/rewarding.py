"""Where the reward of a completion comes from, and how one score becomes one reward per token."""

from __future__ import annotations

import copy
import importlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from training.core.data.json_lines import Message
from training.core.model.actor_critic import ActorCritic
from training.core.model.loading import LoadedModel
from training.core.reward.scoring import Combination, RewardModel, reward_model_load
from training.core.rollout.metrics import Scores
from training.core.run.errors import UserError
from training.core.run.run_directory import Run

__all__ = [
    "CriticSource",
    "Rewarder",
    "actor_open",
    "penalise_missing_eos",
    "rewarder_open",
    "scripted_reward",
    "shape_rewards",
]

Conversation = Sequence[Message]
ScoreTexts = Callable[[Sequence[Conversation], Sequence[str]], Tensor]


@dataclass(frozen=True)
class CriticSource:
    """A copy of a reward model to start the critic from; (score - mean) / std is normalised."""

    model: Any
    mean: float
    std: float


@dataclass(frozen=True)
class Rewarder:
    """Scores completions: `train` is what PPO optimises, `held_out` is only watched.

    Both are frozen. The train models put their members on a common scale before they are combined, as
    `combination` says (see `training.core.reward.scoring.combine`). `packed` computes less padding: the same
    scores, to rounding.
    """

    script: Callable[[Conversation, str], float] | None
    train: RewardModel | None
    held_out: RewardModel | None
    combination: Combination = "mean"
    variance_weight: float = 0.5
    packed: bool = False

    def __call__(self, conversations: Sequence[Conversation], texts: Sequence[str]) -> Scores:
        scores = self._train_scores(conversations, texts)
        if self.held_out is None:
            return scores
        pairs = list(zip(conversations, texts, strict=True))
        watched = self.held_out.score(pairs, packed=self.packed)
        return scores._replace(held_out=watched.combined(), held_out_raw=watched.raw.mean(0))

    def _train_scores(self, conversations: Sequence[Conversation], texts: Sequence[str]) -> Scores:
        pairs = list(zip(conversations, texts, strict=True))
        if self.script is not None:
            values = torch.tensor([self.script(messages, text) for messages, text in pairs])
            return Scores(values, values, torch.zeros_like(values))
        assert self.train is not None
        found = self.train.score(pairs, packed=self.packed)
        combined = found.combined(self.combination, self.variance_weight)
        return Scores(combined, found.raw.mean(0), found.spread)

    def probes(self) -> Iterator[tuple[str, ScoreTexts]]:
        """What the preflight checks, with its name for an error."""
        if self.script is not None:
            yield "The reward function", lambda rows, texts: self._train_scores(rows, texts).train
        for name, model in (("reward_model", self.train), ("held_out_reward_model", self.held_out)):
            if model is not None:
                yield f"The input {name!r}", _normalised(model)

    def critic_source(self, policy: LoadedModel) -> CriticSource | None:
        """The first train member, where it speaks the policy's tokens and reads left to right."""
        if self.train is None:
            return None
        member, settings = self.train.members[0], self.train.settings.members[0]
        same_backbone = type(member.model.base_model) is type(policy.model.base_model)
        if not same_backbone or member.tokenizer.get_vocab() != policy.tokenizer.get_vocab():
            return None
        return CriticSource(copy.deepcopy(member.model), settings.mean, settings.std)


def actor_open(policy: LoadedModel, source: CriticSource | None, *, shared: bool) -> ActorCritic:
    """The policy with a critic: on its own backbone, from a reward model, or from the policy."""
    if shared:
        return ActorCritic.shared(policy.model)
    if source is None:
        return ActorCritic.separate(policy.model)
    return ActorCritic.from_reward_model(
        policy.model, source.model, mean=source.mean, std=source.std
    )


def _normalised(model: RewardModel) -> ScoreTexts:
    def score(conversations: Sequence[Conversation], texts: Sequence[str]) -> Tensor:
        return model.score(list(zip(conversations, texts, strict=True))).combined()

    return score


def rewarder_open(
    run: Run[Any],
    *,
    combination: Combination,
    variance_weight: float,
    function: str = "",
    packed: bool = False,
    device: torch.device,
) -> Rewarder:
    """The reward models of a run, or the `function` in their place, loaded and ready."""
    script = scripted_reward(function) if function else None
    watched = run.inputs.get("held_out_reward_model")
    return Rewarder(
        script=script,
        train=None if script else _train_load(run, combination, device),
        held_out=reward_model_load(watched, device=device) if watched else None,
        combination=combination,
        variance_weight=variance_weight,
        packed=packed,
    )


def _train_load(run: Run[Any], combination: Combination, device: torch.device) -> RewardModel:
    """The model that is optimised; caution among members needs several of them."""
    model = reward_model_load(run.input("reward_model"), device=device)
    if combination != "mean" and len(model.members) < 2:
        raise UserError(
            f"reward_combination is {combination!r}, but the input 'reward_model' has one "
            "member; train it with members 2 or more and without weight_average, or choose 'mean'."
        )
    return model


def scripted_reward(name: str) -> Callable[[Conversation, str], float]:
    """Import "package.module:function"; its results are checked to be finite numbers."""
    module_name, _, function_name = name.partition(":")
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"reward_function {name!r} cannot be imported ({error}); write it as "
            "'package.module:function'."
        ) from error

    def checked(messages: Conversation, text: str) -> float:
        value = float(function([dict(message) for message in messages], text))
        if not math.isfinite(value):
            raise UserError(f"reward_function {name!r} gave {value} for the text {text[:80]!r}.")
        return value

    return checked


def penalise_missing_eos(scores: Tensor, ended: Tensor, *, penalty: float) -> Tensor:
    """score - penalty where the completion did not end by itself (Stiennon 2020; Huang 2024).

    Shapes: scores [B], ended [B] boolean, True where the text closed with EOS -> [B].
    """
    return scores - penalty * (~ended).to(scores.dtype)


def shape_rewards(scores: Tensor, kl: Tensor, mask: Tensor, *, beta: float) -> Tensor:
    """r_t = -beta * kl_t + [t is the last response token] * score (Ziegler 2019, eq. 2).

    Shapes: scores [B], kl [B, R] (the k1 estimator), mask [B, R] -> [B, R], 0 outside the mask.
    No gradient passes: the penalty is a reward, not a loss.
    """
    rewards = (-beta * kl.detach()).masked_fill(~mask, 0)
    last = (mask * torch.arange(mask.shape[1], device=mask.device)).amax(1)
    present = mask.any(1).to(rewards.dtype)
    return rewards.scatter_add(1, last[:, None], (scores.detach() * present)[:, None])
