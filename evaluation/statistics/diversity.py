"""Distinct-n: how many different n-grams a policy writes, at equal token counts."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
from scipy import stats

from evaluation.contracts import Interval
from evaluation.statistics.intervals import IntArray, cluster_codes

__all__ = ["distinct_n", "distinct_ratio_interval", "within_group_distinct_n"]

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


def within_group_distinct_n(texts: Texts, groups: Sequence[Hashable], n: int) -> float:
    """Mean distinct-n among the completions of one prompt, over prompts with two or more of them.

    Each completion is cut to the shortest of its group that has an n-gram. NaN without such a group.
    """
    members: dict[Hashable, list[Sequence[Hashable]]] = {}
    for text, group in zip(texts, groups, strict=True):
        if len(text) >= n:
            members.setdefault(group, []).append(text)
    shares = [
        distinct_n([t[: min(map(len, several))] for t in several], n)
        for several in members.values()
        if len(several) >= 2
    ]
    return float(np.mean(shares)) if shares else float("nan")


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
    """
    codes, count = cluster_codes(clusters)
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
    spread = float(stats.t.ppf(0.5 + level / 2, blocks - 1)) * math.sqrt(variance)
    bounds = (math.exp(full - spread), math.exp(full + spread))
    return Interval(math.exp(full), *bounds, level, count, "delete-a-block jackknife")


def _log_ratio(candidate: Texts, incumbent: Texts, rows: IntArray, n: int, tokens: int) -> float:
    ours, theirs = [candidate[i] for i in rows], [incumbent[i] for i in rows]
    equal = min(sum(map(len, ours)), sum(map(len, theirs)))
    equal = min(equal, tokens) if tokens else equal
    shares = [distinct_n(side, n, tokens=equal) for side in (ours, theirs)] if equal else [0.0, 0.0]
    if 0.0 in shares:
        raise ValueError(f"a side has no {n}-gram in {equal} tokens: its replies are too short.")
    return math.log(shares[0] / shares[1])
