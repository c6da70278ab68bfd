"""The cloud of reference states: by hand, by the formulas written out, and where there are few texts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from training.core.reward.outliers import StateCloud, border_rank, cloud_fit, outlier_shares
from training.core.run.errors import UserError

CROSS = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])


def written_out(states: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean, shrunk covariance and shrinkage, term by term as Ledoit and Wolf 2004 write them (section 3.3)."""
    count, width = states.shape
    mean = states.mean(0)
    gaps = states - mean
    sample = gaps.T @ gaps / count
    level = np.trace(sample) / width
    away = ((sample - level * np.eye(width)) ** 2).sum() / width
    noise = sum(((np.outer(x, x) - sample) ** 2).sum() / width for x in gaps) / count**2
    shrinkage = min(noise, away) / away
    return mean, (1 - shrinkage) * sample + shrinkage * level * np.eye(width), shrinkage


def test_a_cloud_of_four_points_by_hand() -> None:
    """S = diag(2, 1/2), m = 5/4, d² = 9/8, b² = 17/16: s = 17/18, S* = diag(31/24, 29/24)."""
    held_out = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
    cloud = cloud_fit(CROSS, held_out, quantile=0.5)
    assert cloud.shrinkage == pytest.approx(17 / 18)
    found = cloud.squared_distances(torch.tensor([[2.0, 0.0], [0.0, 1.0], [2.0, 1.0]]))
    expected = [4 * 24 / 31, 24 / 29, 4 * 24 / 31 + 24 / 29]
    assert found.tolist() == pytest.approx(expected)
    assert cloud.border == pytest.approx(24 / 31)  # the 2nd of three distances: ceil(4 / 2)
    assert cloud.outside(held_out).tolist() == [False, False, True]


@pytest.mark.parametrize(("count", "width"), [(200, 3), (40, 12), (10, 30)])
def test_distances_are_those_of_the_inverse_of_the_shrunk_covariance(
    count: int, width: int
) -> None:
    """Also with fewer texts than dimensions, where the sample covariance has no inverse."""
    rng = np.random.default_rng(count)
    states = rng.normal(size=(count, width)) * np.linspace(0.5, 3, width) + 7
    asked = rng.normal(size=(5, width)) * 4 + 7
    mean, covariance, shrinkage = written_out(states)
    expected = [(x - mean) @ np.linalg.inv(covariance) @ (x - mean) for x in asked]
    cloud = cloud_fit(torch.from_numpy(states), torch.from_numpy(asked), quantile=0.5)
    found = cloud.squared_distances(torch.from_numpy(asked))
    assert found.tolist() == pytest.approx(expected, rel=1e-6)
    assert cloud.shrinkage == pytest.approx(shrinkage, rel=1e-9)


def test_a_further_text_of_the_same_law_lies_outside_as_seldom_as_the_quantile_says() -> None:
    """Of a law with heavy tails, where χ² would let many more lie outside."""
    draw = torch.distributions.StudentT(3.0)
    torch.manual_seed(3)
    states = draw.sample((4400, 8))
    cloud = cloud_fit(states[:200], states[200:400], quantile=0.95)
    share = float(cloud.outside(states[400:]).float().mean())
    assert 0.02 < share < 0.08
    moved = float(cloud.outside(states[400:] + 6.0).float().mean())
    assert moved > 0.5


def test_the_border_is_a_distance_that_was_seen() -> None:
    assert [border_rank(n, 0.99) for n in (99, 100, 199)] == [99, 100, 198]
    assert border_rank(9, 0.9) == 9
    with pytest.raises(ValueError, match="98 distances"):
        border_rank(98, 0.99)


def test_states_that_are_all_alike_are_refused_in_a_sentence() -> None:
    alike = torch.ones(20, 4)
    with pytest.raises(UserError, match="reads all texts of the reference alike"):
        cloud_fit(alike, alike, quantile=0.5)


def test_a_direction_that_never_varied_does_not_decide_alone() -> None:
    """Rounding there is no distance, though the covariance without shrinkage would make it one."""
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(2000, 2, generator=generator)
    flat = torch.cat([states, torch.full((2000, 1), 3.0)], 1)
    cloud = cloud_fit(flat[:1000], flat[1000:], quantile=0.99)
    nudged = flat[1000:] + torch.tensor([0.0, 0.0, 1e-7])
    assert torch.equal(cloud.outside(flat[1000:]), cloud.outside(nudged))


def test_members_count_as_shares_and_a_cloud_goes_through_a_checkpoint() -> None:
    held_out = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
    near = cloud_fit(CROSS, held_out, quantile=0.5)
    wide = StateCloud.from_state(near.to_state() | {"border": math.inf})
    again = StateCloud.from_state(near.to_state())
    asked = torch.tensor([[0.0, 0.0], [9.0, 9.0]])
    assert outlier_shares([near, wide], [asked, asked]).tolist() == [0.0, 0.5]
    assert torch.equal(again.squared_distances(asked), near.squared_distances(asked))
