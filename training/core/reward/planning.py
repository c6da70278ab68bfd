"""Which models a run trains, from which seeds, and on whose labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import nn

from training.contracts import RewardModelConfig
from training.core.data.pairs import Division, EncodedPair, pairs_divide
from training.core.reward.ties import tie_attach, tie_start
from training.core.reward.votes import pairs_merge
from training.core.run.errors import UserError

__all__ = ["HELD_OUT", "Member", "division_of", "members_planned", "ties_prepare"]

HELD_OUT = "held_out"


@dataclass(frozen=True)
class Member:
    """One model to train: the seeds of its first weights and of its data order, and its pairs."""

    name: str
    seed: int
    weights_seed: int
    pairs: list[EncodedPair]
    validation: list[EncodedPair]


def division_of(pairs: Sequence[EncodedPair], config: RewardModelConfig) -> Division:
    """Votes are merged where models learn from them; measurements stay on the votes themselves."""
    if config.labels == "posterior" and any(pair.row.part for pair in pairs):
        raise UserError(
            "labels 'posterior' takes every pair for an independent vote, and the pairs of a ranking are none: set"
            " labels to 'votes' or 'vote_shares', or leave campaigns that rank out of the snapshot."
        )
    division = pairs_divide(pairs, config.held_out_share)
    return replace(
        division,
        train=pairs_merge(division.train, config.labels),
        held_out=pairs_merge(division.held_out, config.labels),
    )


def members_planned(config: RewardModelConfig, division: Division, *, seed: int) -> list[Member]:
    """The ensemble's members and, last, the held-out model.

    Members differ in their first weights and data order; those of an average in data order alone.
    """
    base = seed * 1000
    members = [
        Member(
            name=f"member_{i}",
            seed=base + i,
            weights_seed=base if config.weight_average else base + i,
            pairs=division.train,
            validation=division.validation,
        )
        for i in range(config.members)
    ]
    guard = Member(
        HELD_OUT, base + 999, base + 999, division.held_out, division.held_out_validation
    )
    for member in (members[0], guard):
        _check_validation(config, member)
    return [*members, guard]


def _check_validation(config: RewardModelConfig, member: Member) -> None:
    if config.validate_every > 0 and not sum(p.row.weight for p in member.validation) > 0:
        raise UserError(
            f"validate_every is {config.validate_every}, but there are no validation pairs for "
            f"{member.name}; label prompts of the validation split, or set validate_every to 0."
        )


def ties_prepare(model: nn.Module, config: RewardModelConfig, pairs: Sequence[EncodedPair]) -> None:
    """Give `model` the tie parameter of its config, if any.

    A learned one starts where equal scores tie as often as the pairs do (by Laplace's rule, since a
    parameter of 0 could not be left again).
    """
    if config.ties == "half":
        return
    share = (sum(p.ties for p in pairs) + 1) / (len(pairs) + 2)
    start = config.tie_parameter or tie_start(config.ties, share)
    tie_attach(model, config.ties, start=start, learned=config.tie_parameter == 0)
