"""KTO by hand, against a naive loop over single completions, and its strangers."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import tensor

from tests.support import ppo_runs
from tests.support.optimiser_runs import dpo_config, write_pairs
from training.core.data.pairs import EncodedPair
from training.core.preference.kto import desirability, kto_losses, kto_point, pairs_mismatch
from training.core.preference.log_ratios import LogProbs, pair_log_probs_all
from training.core.preference.pairs import (
    PairSet,
    judge,
    mismatched,
    pairs_read,
    stranger_ratios,
)
from training.core.run.errors import UserError

CPU = torch.device("cpu")
NEITHER = tensor([False])


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def naive(
    ratios: list[tuple[float, float]],
    labels: list[tuple[float, bool]],
    strangers: list[float],
    *,
    beta: float,
    desirable: float,
    undesirable: float,
) -> list[float]:
    """The paper's lambda_y - v(x, y), one completion and one outcome after the other."""
    point = max(0.0, sum(strangers) / len(strangers))
    losses = []
    for (first, second), (p, both_bad) in zip(ratios, labels, strict=True):
        lost = 0.0
        for ratio, good in ((first, p), (second, 1 - p)):
            good = 0.0 if both_bad else good
            value_good = desirable * sigmoid(beta * (ratio - point))
            value_bad = undesirable * sigmoid(beta * (point - ratio))
            lost += good * (desirable - value_good) + (1 - good) * (undesirable - value_bad)
        losses.append(lost / 2)
    return losses


def test_a_policy_that_is_its_reference_pays_half_of_the_weights() -> None:
    zero = LogProbs(tensor([0.0]), tensor([0.0]))
    found = kto_losses(zero, tensor([1.0]), NEITHER, beta=0.1, point=0.0, desirable_weight=1.5)
    assert float(found.loss) == pytest.approx((1.5 / 2 + 1 / 2) / 2)


def test_one_pair_by_hand() -> None:
    """beta 0.5, z_0 = 1: the chosen one at 3 nats is sigmoid(1) worth, the rejected one at -1 too."""
    found = kto_losses(
        LogProbs(tensor([3.0]), tensor([-1.0])), tensor([1.0]), NEITHER, beta=0.5, point=1.0
    )
    assert float(found.loss) == pytest.approx(1 - 0.7310585786, abs=1e-6)
    assert float(found.margin) == pytest.approx(2.0)


def test_losses_equal_a_loop_over_single_completions() -> None:
    ratios = [(0.7, -1.3), (2.0, 2.5), (-0.4, 0.0), (0.1, 0.2)]
    labels = [(1.0, False), (0.0, False), (0.5, True), (0.8, False)]
    strangers = [0.4, -0.1, 0.9, 0.2]
    first, second = (tensor(side, dtype=torch.float64) for side in zip(*ratios, strict=True))
    found = kto_losses(
        LogProbs(first, second),
        tensor([p for p, _ in labels], dtype=torch.float64),
        tensor([bad for _, bad in labels]),
        beta=0.3,
        point=kto_point(sum(strangers), len(strangers)),
        desirable_weight=1.3,
        undesirable_weight=0.9,
    )
    expected = naive(ratios, labels, strangers, beta=0.3, desirable=1.3, undesirable=0.9)
    assert found.loss.tolist() == pytest.approx(expected, abs=1e-12)


def test_the_gradient_fades_on_both_sides_of_the_point() -> None:
    """d loss / d l = -beta lambda_D s (1 - s) / 2 at a desirable completion: largest at z_0, 1/8 of beta."""
    first = tensor([-40.0, 1.0, 42.0], dtype=torch.float64, requires_grad=True)
    there = torch.zeros(3, dtype=torch.float64)
    found = kto_losses(
        LogProbs(first, there),
        torch.ones(3, dtype=torch.float64),
        torch.zeros(3, dtype=torch.bool),
        beta=0.4,
        point=1.0,
    )
    found.loss.sum().backward()
    assert first.grad is not None
    assert float(first.grad[1]) == pytest.approx(-0.4 / 8)
    assert first.grad[[0, 2]].abs().max() < 1e-7


def test_a_tie_teaches_nothing_and_both_bad_pushes_both_down() -> None:
    first, second = (tensor([value], requires_grad=True) for value in (0.3, -0.2))
    for both_bad in (False, True):
        found = kto_losses(
            LogProbs(first, second), tensor([0.5]), tensor([both_bad]), beta=1.0, point=0.0
        )
        first.grad = second.grad = None
        found.loss.sum().backward()
        for side in (first, second):
            assert side.grad is not None
            assert float(side.grad) == pytest.approx(0, abs=1e-7) or both_bad
            assert float(side.grad) > 0.1 or not both_bad


def test_the_better_of_two_bad_ones_is_bad() -> None:
    first, second = desirability(tensor([1.0, 1.0, 0.3]), tensor([True, False, False]))
    assert first.tolist() == pytest.approx([0.0, 1.0, 0.3])
    assert second.tolist() == pytest.approx([0.0, 0.0, 0.7])


def test_the_point_is_never_below_0() -> None:
    assert kto_point(-3.0, 4) == 0.0
    assert kto_point(3.0, 4) == 0.75


def _pairs(path: Path, groups: list[str]) -> list[EncodedPair]:
    config = dpo_config(held_out_share=0.0)
    pairs = pairs_read(write_pairs(path), ppo_runs.tiny_policy(), config).train[: len(groups)]
    return [
        replace(pair, row=replace(pair.row, group=group))
        for pair, group in zip(pairs, groups, strict=True)
    ]


def test_a_stranger_is_the_next_pair_of_another_prompt_that_fits(tmp_path: Path) -> None:
    pairs = _pairs(tmp_path / "pairs.jsonl", ["a", "a", "b", "c"])
    asked: list[tuple[str, str]] = []

    def encode(pair: EncodedPair, other: EncodedPair) -> EncodedPair | None:
        asked.append((pair.row.id, other.row.id))
        return None if other is pairs[2] else other

    found = pairs_mismatch(pairs, pairs, encode)
    # The second "a" is no stranger of the first, and what belongs to "b" does not fit: "c" is next.
    assert [pair.row.id for pair in found] == [pairs[i].row.id for i in (3, 3, 3, 0)]
    ids = [pair.row.id for pair in pairs]
    assert asked[:2] == [(ids[0], ids[2]), (ids[0], ids[3])]


def test_pairs_of_one_prompt_are_refused(tmp_path: Path) -> None:
    pairs = _pairs(tmp_path / "pairs.jsonl", ["a", "a", "a"])
    with pytest.raises(UserError, match="all of one prompt"):
        pairs_mismatch(pairs, pairs, lambda pair, other: other)


def test_strangers_have_the_prompt_of_one_and_the_completions_of_another(tmp_path: Path) -> None:
    """And their ratios are what the policy gives them less what the reference did."""
    policy, config = ppo_runs.tiny_policy(), dpo_config(loss="kto", held_out_share=0.0)
    path = write_pairs(tmp_path / "pairs.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[0] |= {"completions": ["yes", "no"], "both_bad": True}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    train = pairs_read(path, policy, config).train
    found = mismatched(train, train, policy, config)
    before = next(i for i, pair in enumerate(found) if pair.row.completions == ("yes", "no"))
    assert found[before].row.messages == train[before].row.messages != train[0].row.messages
    assert train[0].row.both_bad
    own = pair_log_probs_all(policy.model, found, pad_id=policy.pad_id, batch_size=4, device=CPU)
    strangers = PairSet(found, LogProbs(own.first - 1, own.second + 3))
    side = PairSet(train, own, strangers)
    ratios = stranger_ratios(policy.model, side, [0, 1], pad_id=policy.pad_id, device=CPU)
    torch.testing.assert_close(ratios, tensor([1.0, 1.0, -3.0, -3.0]), atol=1e-4, rtol=0)
    with torch.no_grad():
        judged = judge(policy.model, side, [0], config, pad_id=policy.pad_id, device=CPU, point=0.5)
    expected = kto_losses(
        judged.ratios, judged.preference, tensor([True]), beta=config.beta, point=0.5
    )
    torch.testing.assert_close(judged.losses.loss, expected.loss)
