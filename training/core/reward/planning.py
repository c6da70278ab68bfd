"""Which models a run trains, from which seeds, and on whose labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import nn

from training.contracts import RewardModelConfig
from training.core.data.pairs import Division, EncodedPair, pairs_divide
from training.core.reward.ties import tie_attach, tie_start
from training.core.reward.votes import pairs_merge
from training.core.run.errors import UserError

__all__ = [
    "HELD_OUT",
    "Member",
    "criteria_divided",
    "division_of",
    "members_planned",
    "pairs_judged_on",
    "ties_prepare",
]

HELD_OUT = "held_out"


@dataclass(frozen=True)
class Member:
    """One model to train: the seeds of its first weights and of its data order, and its pairs; all of them were
    judged on `criterion`, where it has one."""

    name: str
    seed: int
    weights_seed: int
    pairs: list[EncodedPair]
    validation: list[EncodedPair]
    criterion: str = ""


def pairs_judged_on(pairs: Sequence[EncodedPair], criterion: str) -> list[EncodedPair]:
    """Those that were judged on it, with that label in place of the overall one."""
    return [
        replace(pair, row=row)
        for pair in pairs
        if (row := pair.row.of_criterion(criterion)) is not None
    ]


def criteria_divided(
    pairs: Sequence[EncodedPair], config: RewardModelConfig
) -> dict[str, Division]:
    """For each criterion of the mix (by key, sorted) its own votes, divided as the overall ones are.

    The held-out side is empty: the witness learns the overall votes. `UserError` for a criterion on which
    nobody has voted.
    """
    found = {}
    for key in sorted(config.criteria):
        own = pairs_divide(pairs, config.held_out_share)
        train = pairs_judged_on(own.train, key)
        if not sum(p.row.weight for p in train) > 0:
            raise UserError(
                f"criteria names {key!r}, and no training pair has a vote on it; ask for it in the campaign, or"
                " leave it out of reward_model.criteria."
            )
        found[key] = Division(
            train=pairs_merge(train, config.labels),
            validation=pairs_judged_on(own.validation, key),
            held_out=[],
            held_out_validation=[],
            test=pairs_judged_on(own.test, key),
        )
    return found


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


def members_planned(
    config: RewardModelConfig,
    division: Division,
    *,
    seed: int,
    criteria: Mapping[str, Division] | None = None,
) -> list[Member]:
    """The ensemble's members and, last, the held-out model; with `criteria` so many members for each of them.

    Members differ in their first weights and data order; those of an average in data order alone.
    """
    base = seed * 1000
    learned = [
        (key, votes)
        for key, votes in (criteria or {"": division}).items()
        for _ in range(config.members)
    ]
    members = [
        Member(
            name=f"member_{i}",
            seed=base + i,
            weights_seed=base if config.weight_average else base + i,
            pairs=votes.train,
            validation=votes.validation,
            criterion=key,
        )
        for i, (key, votes) in enumerate(learned)
    ]
    guard = Member(
        HELD_OUT, base + 999, base + 999, division.held_out, division.held_out_validation
    )
    for member in (*members, guard):
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
