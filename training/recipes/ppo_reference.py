"""What a PPO run asks of its reference before it learns: scores to compare with, and a cloud to lie outside of."""

from __future__ import annotations

from dataclasses import replace

import torch
from accelerate.utils import gather_object
from torch import Tensor

from training.core.data.randomness import derive_seed
from training.core.ppo.shaping import reference_scores
from training.core.reward.outliers import StateCloud, cloud_fit
from training.core.rollout.reference_texts import reference_texts
from training.recipes.ppo_parts import PpoParts
from training.recipes.runtime import own_share

__all__ = ["clouds_measure", "score_reference", "with_clouds"]


def score_reference(parts: PpoParts) -> Tensor:
    """[prompts, M]: scores of the reference's completions, each process drawing its share of the prompts."""
    config, accelerator = parts.config, parts.accelerator
    asked = sorted(set(parts.order.take(0, config.updates * config.prompts_per_update)))
    mine = own_share(accelerator, asked)
    with parts.network.whole(), accelerator.autocast():
        found = reference_scores(
            parts.sampler,
            [parts.prompts[i] for i in mine],
            [parts.prompt_ids[i] for i in mine],
            mine,
            sampling=config.sampling,
            completions=config.reference_completions,
            seed=parts.run.spec.seed,
        )
    table = torch.full((len(parts.prompts), config.reference_completions), torch.nan)
    for row, scores in gather_object(list(zip(mine, found.tolist(), strict=True))):
        table[row] = torch.tensor(scores)
    parts.run.emit(
        "reference", len(asked), len(asked), {"reward_train": float(table[asked].mean())}
    )
    return table


def clouds_measure(parts: PpoParts) -> tuple[StateCloud, ...]:
    """One cloud a member of the reward model: of one half of the reference's texts, its border by the other half.

    Their prompts are the first that the run trains on, so that the halves share none where there are enough.
    """
    config, count = parts.config, parts.config.outlier_texts
    states = _reference_states(parts, parts.order.take(0, count))
    half = count - count // 2
    clouds = tuple(
        cloud_fit(own[:half], own[half:], quantile=config.outlier_quantile) for own in states
    )
    shrinkage = sum(cloud.shrinkage for cloud in clouds) / len(clouds)
    metrics: dict[str, float | None] = {"reference_texts": count, "cloud_shrinkage": shrinkage}
    parts.run.emit("reference cloud", count, count, metrics)
    return clouds


def _reference_states(parts: PpoParts, asked: list[int]) -> list[Tensor]:
    """[texts, d] of each member, on every process; each draws its share of the texts."""
    config, accelerator, rewarder = parts.config, parts.accelerator, parts.sampler.rewarder
    assert rewarder is not None  # PPO has one
    mine = own_share(accelerator, range(len(asked)))
    seeds = [derive_seed(parts.run.spec.seed, "reference cloud", i) for i in mine]
    ids = [parts.prompt_ids[asked[i]] for i in mine]
    with parts.network.whole(), accelerator.autocast():
        texts = reference_texts(parts.sampler, ids, seeds, sampling=config.sampling)
        own = rewarder.states([parts.prompts[asked[i]].messages for i in mine], texts)
    rows = gather_object([(i, [member[at] for member in own]) for at, i in enumerate(mine)])
    ordered = [states for _, states in sorted(rows, key=lambda row: int(row[0]))]
    return [torch.stack(list(member)) for member in zip(*ordered, strict=True)]


def with_clouds(parts: PpoParts, clouds: tuple[StateCloud, ...]) -> PpoParts:
    """The same parts, whose sampler counts the texts outside."""
    assert parts.sampler.rewarder is not None
    rewarder = replace(parts.sampler.rewarder, clouds=clouds)
    return replace(parts, sampler=replace(parts.sampler, rewarder=rewarder))
