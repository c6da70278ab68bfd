"""Distinct-n: how many different n-grams a policy writes, at equal token counts."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np

from evaluation.contracts import Interval
from evaluation.statistics.intervals import IntArray, cluster_codes
from evaluation.statistics.quantiles import t_quantile

__all__ = ["distinct_n", "distinct_ratio_interval", "group_distinct_n"]

Texts = Sequence[Sequence[Hashable]]


def distinct_n(texts: Texts, n: int, *, tokens: int = 0) -> float:
    """Different n-grams over all n-grams (Li 2016) in the first `tokens` tokens (0: all) of `texts`.

    N-grams do not run over the end of a text. The share falls as more text is read, so two policies
    are compared at one token count. 0 where there is no n-gram.
    """
    seen: set[tuple[Hashable, ...]] = set()
    total, left = 0, tokens or sum(map(len, texts))
    for text in texts:
        read = text[: max(0, left)]
        left -= len(read)
        grams = list(zip(*(read[i:] for i in range(n)), strict=False))
        total += len(grams)
        seen.update(grams)
    return len(seen) / total if total else 0.0


def group_distinct_n(texts: Texts, groups: Sequence[Hashable], n: int) -> dict[Hashable, float]:
    """Distinct-n among the completions of one prompt, for prompts with two or more of them.

    Each completion is cut to the shortest of its prompt; those without an n-gram are left out.
    """
    members: dict[Hashable, list[Sequence[Hashable]]] = {}
    for text, group in zip(texts, groups, strict=True):
        if len(text) >= n:
            members.setdefault(group, []).append(text)
    return {
        group: distinct_n([t[: min(map(len, several))] for t in several], n)
        for group, several in members.items()
        if len(several) >= 2
    }


def distinct_ratio_interval(
    candidate: Texts,
    incumbent: Texts,
    clusters: Sequence[Hashable],
    n: int,
    *,
    seed: int,
    tokens: int = 0,
    blocks: int = 20,
    level: float = 0.95,
) -> Interval:
    """Ratio of distinct-n, candidate over incumbent, at equal token counts.

    `candidate[i]` and `incumbent[i]` answer one prompt of cluster `clusters[i]`. The interval is a
    delete-a-block jackknife of the log ratio over random blocks of clusters (t, blocks - 1 degrees
    of freedom): a bootstrap would draw texts twice and so take repetition for a lack of diversity.
    A candidate that writes nothing has the ratio 0.
    """
    codes, count = cluster_codes(clusters)
    if not any(map(len, candidate)) and any(map(len, incumbent)):
        return Interval(0.0, 0.0, 0.0, level, count, "no text")
    blocks = min(blocks, count)
    if blocks < 2:
        raise ValueError(f"an interval needs at least 2 clusters, got {count}.")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(codes))
    block_of = rng.permutation(count)[codes] % blocks
    full = _log_ratio(candidate, incumbent, order, n, tokens)
    left_out = np.array(
        [
            _log_ratio(candidate, incumbent, order[block_of[order] != b], n, tokens)
            for b in range(blocks)
        ]
    )
    variance = (blocks - 1) / blocks * float(((left_out - left_out.mean()) ** 2).sum())
    spread = t_quantile(0.5 + level / 2, blocks - 1) * math.sqrt(variance)
    bounds = (math.exp(full - spread), math.exp(full + spread))
    return Interval(math.exp(full), *bounds, level, count, "delete-a-block jackknife")


def _log_ratio(candidate: Texts, incumbent: Texts, rows: IntArray, n: int, tokens: int) -> float:
    ours, theirs = [candidate[i] for i in rows], [incumbent[i] for i in rows]
    equal = min(sum(map(len, ours)), sum(map(len, theirs)))
    equal = min(equal, tokens) if tokens else equal
    if not equal:
        raise ValueError("distinct-n needs texts on both sides.")
    # where there is no n-gram at all, half of one: a small share that still has a logarithm
    shares = [distinct_n(side, n, tokens=equal) or 0.5 / equal for side in (ours, theirs)]
    return math.log(shares[0] / shares[1])
