"""Several raters on one pair: vote shares, or posteriors that know how far each rater is right.

The posterior is the one-coin model of Dawid and Skene 1979: one of the two completions is the better
one, a rater finds it with a probability of their own, and both are estimated from each other by EM.

Votes are independent given the better completion, and what one rater says twice of the same pair is not: a
rater's repeats count as one vote, their mean. Who contradicts themselves has said as little as by a tie.
Votes without a rater's name are each of a person of their own.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from training.contracts import LabelSource
from training.core.data.pairs import EncodedPair
from training.core.reward.losses import TIE

__all__ = ["RaterVote", "pair_posteriors", "pairs_merge", "rater_reliabilities", "votes_once"]

# A rater of whom nothing is known is right in four of five votes, which counts as much as five votes.
_RIGHT, _WRONG = 4.0, 1.0
_LIMIT = 0.98  # nobody is trusted, or distrusted, without bound
_ROUNDS = 100


class RaterVote(NamedTuple):
    """One judgment of the pair `key`: `preference` is P(completion 0 better) as the rater put it."""

    key: Hashable
    rater: str
    preference: float


def votes_once(votes: Iterable[RaterVote]) -> list[RaterVote]:
    """One vote a rater and pair: the mean of what they said, in the order of their first."""
    said: dict[tuple[Hashable, Hashable], list[RaterVote]] = {}
    for number, vote in enumerate(votes):
        said.setdefault((vote.key, vote.rater or number), []).append(vote)
    return [
        group[0]._replace(preference=sum(vote.preference for vote in group) / len(group))
        for group in said.values()
    ]


def pair_posteriors(
    votes: Iterable[RaterVote], reliability: Mapping[str, float]
) -> dict[Hashable, float]:
    """P(0 is the better one) by pair: sigmoid(sum of (2 p - 1) log(a / (1 - a))) over its votes.

    Both completions are as likely before the first vote; a tie (p = 1/2) says nothing.
    """
    evidence: dict[Hashable, float] = defaultdict(float)
    for vote in votes_once(votes):
        a = reliability[vote.rater]
        evidence[vote.key] += (2 * vote.preference - 1) * math.log(a / (1 - a))
    return {key: 1 / (1 + math.exp(-value)) for key, value in evidence.items()}


def rater_reliabilities(votes: Sequence[RaterVote]) -> dict[str, float]:
    """P(right) by rater, by EM over the untied votes, with a prior of 4 right votes and 1 wrong.

    A rater whose pairs nobody else judged stays at the prior's 0.8: without overlap nothing tells
    good raters from bad ones.
    """
    votes = votes_once(votes)
    raters = {rater: i for i, rater in enumerate(dict.fromkeys(v.rater for v in votes))}
    untied = [v for v in votes if v.preference != 0.5]
    pairs = {key: i for i, key in enumerate(dict.fromkeys(v.key for v in untied))}
    who = np.array([raters[v.rater] for v in untied], dtype=np.intp)
    which = np.array([pairs[v.key] for v in untied], dtype=np.intp)
    p = np.array([v.preference for v in untied])
    count = _RIGHT + _WRONG + np.bincount(who, minlength=len(raters))
    found = np.full(len(raters), _RIGHT / (_RIGHT + _WRONG))
    for _ in range(_ROUNDS):
        before, odds = found, (2 * p - 1) * np.log(found / (1 - found))[who]
        posterior = (1 / (1 + np.exp(-np.bincount(which, odds, minlength=len(pairs)))))[which]
        right = _RIGHT + np.bincount(
            who, p * posterior + (1 - p) * (1 - posterior), minlength=len(raters)
        )
        found = np.clip(right / count, 1 - _LIMIT, _LIMIT)
        if np.abs(found - before).max(initial=0.0) < 1e-6:
            break
    return {rater: float(found[i]) for rater, i in raters.items()}


# -------------------------------------------------------------------------- pairs


def pairs_merge(pairs: Sequence[EncodedPair], source: LabelSource) -> list[EncodedPair]:
    """One pair for all votes on the same two completions of the same prompt, whatever their order.

    `vote_shares`: p is the weighted mean of the votes and the weight their sum, which is the same
    objective as the votes one by one. `posterior`: p is P(0 better) by all raters, mixed with 1/2
    by the share of ties; the weight is the mean, since what many votes are worth is in p. There a rater's
    repeats are one vote (see above); elsewhere each counts with its weight.
    """
    if source == "votes":
        return list(pairs)
    groups: dict[Hashable, list[EncodedPair]] = {}
    for pair in pairs:
        groups.setdefault(_key(pair), []).append(pair)
    turned = {key: [_turned_like(group[0], p) for p in group] for key, group in groups.items()}
    if source == "vote_shares":
        return [_shared(group) for group in turned.values()]
    turned = {key: _raters_once(group) for key, group in turned.items()}
    votes = [
        RaterVote(key, pair.row.rater, pair.row.preference)
        for key, group in turned.items()
        for pair in group
    ]
    posterior = pair_posteriors(votes, rater_reliabilities(votes))
    return [_believed(group, posterior[key]) for key, group in turned.items()]


def _key(pair: EncodedPair) -> Hashable:
    messages = tuple((m["role"], m["content"]) for m in pair.row.messages)
    return messages, tuple(sorted(pair.row.completions))


def _turned_like(first: EncodedPair, pair: EncodedPair) -> EncodedPair:
    """The pair with its completions in the order of `first`."""
    if pair.row.completions == first.row.completions:
        return pair
    row = replace(
        pair.row,
        completions=pair.row.completions[::-1],
        preference=1 - pair.row.preference,
        strength=2 * TIE - pair.row.strength,
    )
    return EncodedPair(row, pair.second, pair.first, pair.lengths[::-1], pair.tie_share)


def _raters_once(group: Sequence[EncodedPair]) -> list[EncodedPair]:
    """One pair a rater, all with the completions in the same order: the mean of label and weight."""
    said: dict[Hashable, list[EncodedPair]] = {}
    for number, pair in enumerate(group):
        said.setdefault(pair.row.rater or number, []).append(pair)
    return [one[0] if len(one) == 1 else _once(one) for one in said.values()]


def _once(said: Sequence[EncodedPair]) -> EncodedPair:
    weight = sum(pair.row.weight for pair in said) / len(said)
    return _merged(said, preference=_mean(said, lambda p: p.row.preference), weight=weight)


def _shared(group: Sequence[EncodedPair]) -> EncodedPair:
    return _merged(
        group,
        preference=_mean(group, lambda p: p.row.preference),
        weight=sum(p.row.weight for p in group),
    )


def _believed(group: Sequence[EncodedPair], posterior: float) -> EncodedPair:
    ties = _mean(group, lambda p: p.ties)
    return _merged(
        group,
        preference=ties / 2 + (1 - ties) * posterior,
        weight=sum(p.row.weight for p in group) / len(group),
    )


def _merged(group: Sequence[EncodedPair], *, preference: float, weight: float) -> EncodedPair:
    row = replace(
        group[0].row,
        preference=preference,
        strength=_mean(group, lambda p: p.row.strength),
        weight=weight,
    )
    return replace(group[0], row=row, tie_share=_mean(group, lambda p: p.ties))


def _mean(group: Sequence[EncodedPair], value: Callable[[EncodedPair], float]) -> float:
    """The mean over the votes by their weights; by their number where no vote weighs anything."""
    weights = [p.row.weight for p in group]
    if sum(weights) == 0:
        weights = [1.0] * len(group)
    return sum(w * value(p) for w, p in zip(weights, group, strict=True)) / sum(weights)
