"""PPO's arithmetic a second time: float64, plain loops over tokens, nothing shared with the product.

Written from the formulas alone (KL, rewards, generalised advantages, whitening, clipped losses), so
that an error in the fast version cannot hide in a copy of itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    temperature: float = 1.0
    beta: float = 0.07
    gamma: float = 1.0
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    value_clip_range: float = 0.2
    missing_eos_penalty: float = 1.0
    importance_cap: float = 2.0


@dataclass(frozen=True)
class StoredRollout:
    """One batch as it was sampled; `lengths[b]` response tokens of row b are real."""

    tokens: NDArray[np.int64]  # [B, R]
    lengths: list[int]
    ended: list[bool]
    scores: list[float]
    policy_logits: Array  # [B, R, V], at sampling time
    reference_logits: Array  # [B, R, V]
    values: Array  # [B, R], at sampling time


@dataclass(frozen=True)
class Chain:
    log_probs: Array
    reference_log_probs: Array
    entropy: Array
    k1: Array
    k3: Array
    exact_kl: Array
    rewards: Array
    advantages: Array
    returns: Array
    whitened: Array


def log_softmax(row: Array) -> Array:
    top = float(np.max(row))
    return row - top - math.log(sum(math.exp(float(z) - top) for z in row))


def chain(rollout: StoredRollout, settings: Settings) -> Chain:
    shape = rollout.tokens.shape
    fields = {name: np.zeros(shape) for name in Chain.__dataclass_fields__}
    for b, length in enumerate(rollout.lengths):
        for t in range(length):
            y = int(rollout.tokens[b, t])
            p = log_softmax(rollout.policy_logits[b, t] / settings.temperature)
            q = log_softmax(rollout.reference_logits[b, t] / settings.temperature)
            fields["log_probs"][b, t], fields["reference_log_probs"][b, t] = p[y], q[y]
            fields["entropy"][b, t] = -sum(math.exp(x) * x for x in p)
            fields["k1"][b, t] = p[y] - q[y]
            fields["k3"][b, t] = math.exp(q[y] - p[y]) - 1 + p[y] - q[y]
            fields["exact_kl"][b, t] = sum(math.exp(x) * (x - z) for x, z in zip(p, q, strict=True))
            fields["rewards"][b, t] = -settings.beta * fields["k1"][b, t]
        penalty = 0.0 if rollout.ended[b] else settings.missing_eos_penalty
        fields["rewards"][b, length - 1] += rollout.scores[b] - penalty
        for t in range(length):  # the definition: a discounted sum of temporal differences
            fields["advantages"][b, t] = sum(
                (settings.gamma * settings.gae_lambda) ** (u - t)
                * (
                    fields["rewards"][b, u]
                    + settings.gamma * (rollout.values[b, u + 1] if u + 1 < length else 0.0)
                    - rollout.values[b, u]
                )
                for u in range(t, length)
            )
            fields["returns"][b, t] = fields["advantages"][b, t] + rollout.values[b, t]
    fields["whitened"] = whiten(fields["advantages"], rollout.lengths)
    return Chain(**fields)


def whiten(table: Array, lengths: list[int], *, shift_mean: bool = True) -> Array:
    entries = [float(table[b, t]) for b, n in enumerate(lengths) for t in range(n)]
    mean = sum(entries) / len(entries)
    variance = sum((x - mean) ** 2 for x in entries) / (len(entries) - 1)
    result = np.zeros_like(table)
    for b, n in enumerate(lengths):
        for t in range(n):
            result[b, t] = (table[b, t] - mean) / math.sqrt(variance + 1e-8)
            result[b, t] += 0.0 if shift_mean else mean
    return result


def importance(
    engine_log_probs: Array, rollout: StoredRollout, done: Chain, settings: Settings
) -> tuple[Array, dict[str, float]]:
    """Truncated weights [B, R], 1 on no token, and what is logged of them."""
    weights, ratios, gaps = np.ones_like(engine_log_probs), [], []
    for b, length in enumerate(rollout.lengths):
        for t in range(length):
            gap = float(done.log_probs[b, t] - engine_log_probs[b, t])
            ratios.append(math.exp(gap))
            gaps.append(abs(gap))
            weights[b, t] = min(ratios[-1], settings.importance_cap)
    return weights, {
        "importance_mean": sum(ratios) / len(ratios),
        "importance_max": max(ratios),
        "importance_truncated": sum(r > settings.importance_cap for r in ratios) / len(ratios),
        "engine_log_prob_gap": sum(gaps) / len(gaps),
    }


def policy_loss(
    logits: Array,
    rollout: StoredRollout,
    done: Chain,
    settings: Settings,
    weights: Array | None = None,
) -> tuple[float, int, float]:
    """Loss, tokens held by the clip, and the summed k3 estimate of KL(old, new)."""
    total, held, approx_kl = 0.0, 0, 0.0
    for b, length in enumerate(rollout.lengths):
        for t in range(length):
            new = log_softmax(logits[b, t] / settings.temperature)[int(rollout.tokens[b, t])]
            log_ratio = min(max(float(new - done.log_probs[b, t]), -20.0), 20.0)
            ratio, advantage = math.exp(log_ratio), float(done.whitened[b, t])
            near = min(max(ratio, 1 - settings.clip_range), 1 + settings.clip_range)
            weight = 1.0 if weights is None else float(weights[b, t])
            total += weight * max(-advantage * ratio, -advantage * near)
            held += -advantage * near > -advantage * ratio
            approx_kl += ratio - 1 - log_ratio
    return total / sum(rollout.lengths), held, approx_kl


def value_loss(values: Array, rollout: StoredRollout, done: Chain, settings: Settings) -> float:
    total = 0.0
    for b, length in enumerate(rollout.lengths):
        for t in range(length):
            old, goal = float(rollout.values[b, t]), float(done.returns[b, t])
            low, high = old - settings.value_clip_range, old + settings.value_clip_range
            near = min(max(float(values[b, t]), low), high)
            total += max((float(values[b, t]) - goal) ** 2, (near - goal) ** 2) / 2
    return total / sum(rollout.lengths)


def gradient(function: Callable[[Array], float], at: Array, *, step: float = 1e-6) -> Array:
    """Central differences, entry by entry."""
    result = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        up, down = at.copy(), at.copy()
        up[index] += step
        down[index] -= step
        result[index] = (function(up) - function(down)) / (2 * step)
    return result
