"""The gate's evidence in many simulated rounds at once: the product's formulas on arrays.

A benchmark that draws thousands of rounds would spend its time on Python's loops. Whatever is computed
here is computed again by the product's own functions for the first rounds of every call: a difference
ends the benchmark.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import special

from evaluation.statistics.betting import AIMED, LARGEST_FRACTION, Aim, hedged_e_process
from evaluation.statistics.control import (
    FURTHEST,
    LARGEST_COEFFICIENT,
    control_outcomes,
    controlled_differences,
)
from evaluation.statistics.intervals import FloatArray, IntArray
from evaluation.statistics.people import EXPONENT, people_e_process
from evaluation.statistics.sequences import FRACTIONS

CHECKED = 2  # rounds of each call that the product computes too
CHUNK = 250


class Evidence(NamedTuple):
    """E-values [rounds, blocks] for people like these, and for these people."""

    population: FloatArray
    panel: FloatArray


class Controlled(NamedTuple):
    """Outcomes [rounds, labels] with predictions taken from them: y, and z in [0, 1]."""

    values: FloatArray
    bounded: FloatArray


def evidence_of(
    values: FloatArray,
    bounded: FloatArray,
    who: IntArray | None,
    *,
    levels: FloatArray,
    labels: int,
    block: int,
) -> Evidence:
    """Against "at most even". `who` [rounds, labels] numbers the annotators; None: a new one each time."""
    found = Evidence(
        _population(values, who, levels, labels, block), _panel(bounded, levels, labels, block)
    )
    for row in range(min(CHECKED, len(values))):
        aim = Aim(float(levels[row]), labels)
        people = (np.arange(values.shape[1]) if who is None else who[row]).tolist()
        population = people_e_process(values[row], people, aim=aim, block=block)
        panel = hedged_e_process(bounded[row], aim=aim, block=block)
        np.testing.assert_allclose(found.population[row], population, rtol=1e-6)
        np.testing.assert_allclose(found.panel[row], panel, rtol=1e-6)
    return found


def controlled(
    x: FloatArray, g: FloatArray, reference: FloatArray, *, labels: int, block: int
) -> Controlled:
    """`control_outcomes` of many rounds; `reference` [rounds, a multiple of `labels`]."""
    shares = reference.reshape(len(x), labels, -1).mean(axis=2)[:, : x.shape[1]]
    found = controlled_by(x, g - shares, block=block)
    for row in range(min(CHECKED, len(x))):
        differences = controlled_differences(g[row], reference[row], labels=labels)
        own = control_outcomes(x[row], differences, null=0.5, block=block)
        np.testing.assert_allclose(found.values[row], own.values, atol=1e-9)
        np.testing.assert_allclose(found.bounded[row], own.bounded, atol=1e-9)
    return found


def controlled_by(x: FloatArray, d: FloatArray, *, block: int) -> Controlled:
    """The outcomes less the coefficient of earlier blocks times the differences d."""
    starts = np.arange(x.shape[1]) // block * block

    def earlier(values: FloatArray) -> FloatArray:
        sums = np.zeros((len(values), values.shape[1] + 1))
        np.cumsum(values, axis=1, out=sums[:, 1:])
        return np.asarray(sums[:, starts])

    n, spread = np.maximum(starts, 1), np.maximum(earlier(d * d), 1e-12)
    sum_x, sum_d = earlier(x), earlier(d)
    slope = (earlier(x * d) - sum_x * sum_d / n) / spread
    noise = np.maximum(earlier(x * x) / n - (sum_x / n) ** 2, 0.0) / spread
    helps = (starts > 0) & (slope > 0) & (slope**2 > noise)
    helps &= np.abs(sum_d) <= FURTHEST * np.sqrt(spread)
    shrunk = slope - noise / np.where(helps, slope, 1.0)
    b = np.where(helps, np.minimum(shrunk, LARGEST_COEFFICIENT), 0.0)
    y = x - b * d
    return Controlled(y, np.clip(0.5 + (y - 0.5) / (1 + 2 * b), 0.0, 1.0))


def _population(
    y: FloatArray, who: IntArray | None, levels: FloatArray, labels: int, block: int
) -> FloatArray:
    mean, error, people, effective = _walks(y, who, block)
    n = block * np.arange(1, mean.shape[1] + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        tail = special.stdtr(np.maximum(people - 1, 1), (0.5 - mean) / error)
    z = -special.ndtri(np.clip(tail, 1e-300, 1 - 1e-16))
    mixture = np.zeros_like(z)
    for fraction in FRACTIONS:
        exponent = fraction * z * np.sqrt(effective) - fraction**2 * effective / 2
        mixture += np.exp(np.minimum(exponent, EXPONENT)) / len(FRACTIONS)
    level = AIMED * levels[:, None]
    barrier, reached, done = -special.ndtri(level / 2), z * np.sqrt(n / labels), n / labels
    left = np.sqrt(np.maximum(1 - done, 1e-300))
    option = 2 * special.ndtr((reached - barrier) / left) / level
    option = np.where(done >= 1, 0.0, option)
    option = np.where(reached >= barrier, 1 / level, option)
    return np.where(people < 2, 1.0, AIMED * option + (1 - AIMED) * mixture)


def _walks(
    y: FloatArray, who: IntArray | None, block: int
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """(mean, its error, annotators, effective labels), each [rounds, blocks]."""
    rounds, blocks = len(y), y.shape[1] // block
    n = block * np.arange(1, blocks + 1)
    sums = np.cumsum(y, axis=1)[:, block - 1 :: block][:, :blocks]
    squares = np.cumsum(y * y, axis=1)[:, block - 1 :: block][:, :blocks]
    mean = sums / n
    if who is None:
        people = np.broadcast_to(n, mean.shape).astype(float)
        residuals = squares - n * mean**2
    else:
        people, residuals = np.zeros((rounds, blocks)), np.zeros((rounds, blocks))
        by, labels = np.zeros((2, rounds, int(who.max()) + 1))
        rows = np.arange(rounds)[:, None]
        for index in range(blocks):
            part = slice(index * block, (index + 1) * block)
            by[rows, who[:, part]] += y[:, part]
            labels[rows, who[:, part]] += 1
            people[:, index] = (labels > 0).sum(1)
            residuals[:, index] = ((by - labels * mean[:, index : index + 1]) ** 2).sum(1)
    variance = people / np.maximum(people - 1, 1) * np.maximum(residuals, 0.0) / n**2
    independent = (squares + 1) / (n + 2) - ((sums + 1) / (n + 2)) ** 2
    independent /= n
    effective = n / np.maximum(1.0, variance / independent)
    return mean, np.sqrt(np.where(variance > 0, variance, independent)), people, effective


def _panel(z: FloatArray, levels: FloatArray, labels: int, block: int) -> FloatArray:
    blocks = z.shape[1] // block
    pays = (z[:, : blocks * block] / 0.5 - 1.0).reshape(len(z), blocks, block)
    capital, squares, aimed = np.ones(len(z)), np.ones(len(z)), np.empty((len(z), blocks))
    for index in range(blocks):
        done = index * block
        u = capital * AIMED * levels
        half = np.maximum(u, 1e-300) / 2
        density = np.exp(-(special.ndtri(half) ** 2) / 2) / np.sqrt(2 * np.pi)
        sigma = np.sqrt(squares / (done + 1) * max(labels - done, 1))
        fraction = np.minimum(LARGEST_FRACTION, density / (half * sigma))
        fraction = np.where((u >= 1) | (labels - done <= 0), 0.0, fraction)
        capital = capital * np.prod(1 + fraction[:, None] * pays[:, index], axis=1)
        squares = squares + (pays[:, index] ** 2).sum(1)
        aimed[:, index] = capital
    mixture = np.zeros((len(z), blocks))
    for fraction in FRACTIONS:
        logs = np.log1p(fraction * pays).sum(2).cumsum(1)
        mixture += np.exp(np.minimum(logs, 700.0)) / len(FRACTIONS)
    return np.asarray(AIMED * aimed + (1 - AIMED) * mixture)
