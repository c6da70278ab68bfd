"""Best-of-n: draw n completions, keep the one with the highest score.

It is an optimiser without gradients and the yardstick of the others: how far it goes from the policy
that it draws from is known, KL <= log n - (n - 1) / n (Beirami 2024, arXiv 2401.01879; with equality
where no two completions share a score, Hilton and Gao 2022).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["best_of_n_kl", "best_rows", "expected_best", "expected_by_n", "powers_of_two"]


def best_of_n_kl(n: int) -> float:
    """log n - (n - 1) / n nats: the most that best-of-n can differ from its policy."""
    return math.log(n) - (n - 1) / n


def best_rows(scores: Tensor) -> Tensor:
    """(P, N) -> (P,): the place of the highest score of each prompt, the first of equal ones."""
    best = scores.amax(1, keepdim=True)
    return (scores == best).int().argmax(1)


def expected_best(proxy: Tensor, wanted: Tensor, n: int) -> Tensor:
    """E[`wanted` of the completion with the highest `proxy` among n], estimated without bias.

    Shapes: proxy, wanted (P, N) with N >= n completions of each of P prompts -> (P,) in float64. The
    completions are put in the order of `proxy`; the one at place i (from 1) is the best of a random
    subset of n with probability C(i - 1, n - 1) / C(N, n) (Nakano 2021, appendix I; Coste 2023). With
    wanted = proxy it estimates the expected maximum. Ties keep the order of drawing.
    """
    total = proxy.shape[1]
    if not 1 <= n <= total:
        raise ValueError(f"n is {n}; it must lie between 1 and the {total} completions drawn.")
    order = proxy.argsort(dim=1, stable=True)
    ordered = wanted.double().gather(1, order)
    places = math.comb(total, n)
    weights = [math.comb(i, n - 1) / places for i in range(total)]
    return ordered @ torch.tensor(weights, dtype=torch.float64, device=ordered.device)


def expected_by_n(
    proxy: Tensor, held_out: Tensor | None, *, total: Callable[[float | Tensor], float]
) -> list[dict[str, float | None]]:
    """What the best of 1, 2, 4 ... N is worth by both reward models, and how far it may lead.

    Shapes: (P, N), the share of one process; `total` adds a number up over all of them.
    """
    prompts = total(len(proxy))
    rows: list[dict[str, float | None]] = []
    for n in powers_of_two(proxy.shape[1]):
        row: dict[str, float | None] = {"n": float(n), "kl_bound": best_of_n_kl(n)}
        for name, scores in (("reward_train", proxy), ("reward_held_out", held_out)):
            row[name] = None
            if scores is not None:
                row[name] = total(expected_best(proxy, scores, n).sum()) / prompts
        rows.append(row)
    return rows


def powers_of_two(n: int) -> list[int]:
    """1, 2, 4 ... up to n, and n itself."""
    return sorted({2**k for k in range(n.bit_length()) if 2**k <= n} | {n})
