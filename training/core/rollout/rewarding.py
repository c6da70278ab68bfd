"""Where the reward of a completion comes from, and how one score becomes one reward per token."""

from __future__ import annotations

import copy
import importlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from training.contracts import AdapterConfig, RewardCombination
from training.core.data.json_lines import Message
from training.core.model.actor_critic import ActorCritic, backbone_of
from training.core.model.adapted_classifier import merged
from training.core.model.loading import LoadedModel
from training.core.model.lora import adapter_add, adapter_learns, has_adapter
from training.core.model.shared_base import BasePool, network_view
from training.core.reward.outliers import StateCloud, outlier_shares
from training.core.reward.scoring import RewardModel, reward_model_load
from training.core.rollout.metrics import Scores
from training.core.rollout.verifying import Verifier
from training.core.run.errors import UserError
from training.core.run.run_directory import Run

__all__ = [
    "CriticAdapter",
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


class Probe(NamedTuple):
    """What the preflight checks: its name for an error, its raw scores ([N], or [members, N]) and how far they
    spread over reference texts ([members, 1])."""

    name: str
    score: ScoreTexts
    spread: Tensor


@dataclass(frozen=True)
class CriticSource:
    """A frozen reward model to start the critic from; (score - mean) / std is normalised."""

    member: LoadedModel
    mean: float
    std: float


@dataclass(frozen=True)
class CriticAdapter:
    """The critic learns by an adapter, drawn from `seed`, on weights that it shares, or has a copy of (`own`).

    A reward model that is an adapter goes on with that one, of its own rank.
    """

    settings: AdapterConfig
    seed: int
    own: bool = False

    def on(self, network: Any) -> Any:
        """A network like this frozen one, with an adapter in it that learns."""
        found = copy.deepcopy(network) if self.own else network_view(network)
        backbone = found.base_model
        if has_adapter(backbone):
            adapter_learns(backbone)
        else:
            adapter_add(backbone, self.settings, seed=self.seed)
        return found


@dataclass(frozen=True)
class Rewarder:
    """Scores completions: `train` is what PPO optimises, `held_out` is only watched.

    Both are frozen. The train models put their members on a common scale before they are combined, as
    `combination` says (see `training.core.reward.scoring.combine`). `packed` computes less padding: the same
    scores, to rounding. What the `verifier` says of a text is added, times its weight; 0 where it fails. With
    `clouds`, one a train member, texts are counted that lie outside them.
    """

    script: Callable[[Conversation, str], float] | None
    train: RewardModel | None
    held_out: RewardModel | None
    combination: RewardCombination = "mean"
    variance_weight: float = 0.5
    pessimism_temperature: float = 1.0
    packed: bool = False
    verifier: Verifier | None = None
    verifier_weight: float = 1.0
    clouds: tuple[StateCloud, ...] = ()

    def __call__(self, conversations: Sequence[Conversation], texts: Sequence[str]) -> Scores:
        scores = self.train_scores(conversations, texts)
        if self.held_out is None:
            return scores
        pairs = list(zip(conversations, texts, strict=True))
        watched = self.held_out.score(pairs, packed=self.packed)
        return scores._replace(held_out=watched.combined(), held_out_raw=watched.raw.mean(0))

    def train_scores(self, conversations: Sequence[Conversation], texts: Sequence[str]) -> Scores:
        """Without the held-out model."""
        scores = self._model_scores(conversations, texts)
        if self.verifier is None:
            return scores
        said = [self.verifier(m, text) for m, text in zip(conversations, texts, strict=True)]
        verified = torch.tensor([torch.nan if value is None else value for value in said])
        paid = scores.train + self.verifier_weight * verified.nan_to_num(0.0)
        return scores._replace(train=paid, verified=verified)

    def _model_scores(self, conversations: Sequence[Conversation], texts: Sequence[str]) -> Scores:
        pairs = list(zip(conversations, texts, strict=True))
        if self.script is not None:
            values = torch.tensor([self.script(messages, text) for messages, text in pairs])
            return Scores(values, values, torch.zeros_like(values))
        assert self.train is not None
        found = self.train.score(pairs, packed=self.packed, states=bool(self.clouds))
        combined = found.combined(
            self.combination, self.variance_weight, self.pessimism_temperature
        )
        outliers = outlier_shares(self.clouds, found.states) if self.clouds else None
        return Scores(combined, found.raw.mean(0), found.spread, outliers=outliers)

    def states(
        self, conversations: Sequence[Conversation], texts: Sequence[str]
    ) -> tuple[Tensor, ...]:
        """(N, d) of each train member: what its head makes the scores of these texts of."""
        assert self.train is not None
        pairs = list(zip(conversations, texts, strict=True))
        return self.train.score(pairs, packed=self.packed, states=True).states

    def probes(self) -> Iterator[Probe]:
        if self.script is not None:
            yield Probe(
                "The reward function",
                lambda rows, texts: self.train_scores(rows, texts).train,
                torch.ones(1),
            )
        for name, model in self.models():
            spread = torch.tensor([[member.std] for member in model.settings.members])
            yield Probe(name, _raw(model), spread)

    def models(self) -> Iterator[tuple[str, RewardModel]]:
        """The reward models, each with its name for an error."""
        for name, model in (("reward_model", self.train), ("held_out_reward_model", self.held_out)):
            if model is not None:
                yield f"The input {name!r}", model

    def critic_source(self, policy: LoadedModel) -> CriticSource | None:
        """The first train member, of a mix of criteria the one that weighs most, where it speaks the policy's
        tokens and reads left to right."""
        if self.train is None:
            return None
        weights = [settings.weight for settings in self.train.settings.members]
        first = weights.index(max(weights))
        member, settings = self.train.members[first], self.train.settings.members[first]
        same_backbone = type(member.model.base_model) is type(policy.model.base_model)
        if not same_backbone or member.tokenizer.get_vocab() != policy.tokenizer.get_vocab():
            return None
        return CriticSource(member, settings.mean, settings.std)


def actor_open(
    policy: LoadedModel,
    source: CriticSource | None,
    *,
    shared: bool,
    critic: bool = True,
    adapter: CriticAdapter | None = None,
) -> ActorCritic:
    """The policy, and a critic if wanted: on its own backbone, from a reward model, or from the policy.

    A critic that is no `adapter` is a whole copy. The policy has no adapter of its own yet.
    """
    if not critic:
        return ActorCritic.alone(policy.model)
    if shared:
        return ActorCritic.shared(policy.model)
    if source is None:
        if adapter is None:
            return ActorCritic.separate(policy.model)
        policy.model.requires_grad_(False)  # frozen by the adapter that it gets, shared from now on
        return ActorCritic.separate(policy.model, critic=adapter.on(backbone_of(policy.model)))
    model = adapter.on(source.member.model) if adapter else _whole_copy(source.member)
    return ActorCritic.from_reward_model(policy.model, model, mean=source.mean, std=source.std)


def _whole_copy(member: LoadedModel) -> Any:
    """All of whose weights learn."""
    own = merged(member)
    model = copy.deepcopy(own.model) if own is member else own.model
    return model.requires_grad_(True)


def _raw(model: RewardModel) -> ScoreTexts:
    def score(conversations: Sequence[Conversation], texts: Sequence[str]) -> Tensor:
        found = model.score(list(zip(conversations, texts, strict=True)))
        return found.raw if found.heads is None else found.heads

    return score


def rewarder_open(
    run: Run[Any],
    *,
    combination: RewardCombination,
    variance_weight: float,
    pessimism_temperature: float,
    function: str = "",
    verifier: Verifier | None = None,
    verifier_weight: float = 1.0,
    packed: bool = False,
    device: torch.device,
    pool: BasePool | None = None,
) -> Rewarder:
    """The reward models of a run, or the `function` in their place, loaded and ready.

    Those that are adapters stand on the weights of `pool` where these are their backbone's, and on one copy anyway.
    """
    pool = BasePool() if pool is None else pool
    script = scripted_reward(function) if function else None
    if verifier is not None:
        verifier.check()
    watched = run.inputs.get("held_out_reward_model")
    return Rewarder(
        script=script,
        train=None if script else _train_load(run, combination, device, pool),
        held_out=_frozen_load(watched, device, pool) if watched else None,
        combination=combination,
        variance_weight=variance_weight,
        pessimism_temperature=pessimism_temperature,
        packed=packed,
        verifier=verifier,
        verifier_weight=verifier_weight,
    )


def _frozen_load(path: Path, device: torch.device, pool: BasePool) -> RewardModel:
    model = reward_model_load(path, device=device, pool=pool)
    for member in model.members:
        member.model.requires_grad_(False)
    return model


def _train_load(
    run: Run[Any], combination: RewardCombination, device: torch.device, pool: BasePool
) -> RewardModel:
    """The model that is optimised; caution among members needs several of them."""
    model = _frozen_load(run.input("reward_model"), device, pool)
    if combination != "mean" and model.voices < 2:
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
