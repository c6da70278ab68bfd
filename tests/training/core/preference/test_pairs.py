"""Which pairs a DPO run may learn from, and their losses under a policy."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import ppo_runs
from tests.support.optimiser_runs import dpo_config, write_pairs
from training.core.data.pairs import group_held_out
from training.core.data.tokenizers import completion_encode
from training.core.preference.log_ratios import LogProbs, pair_log_probs_all, pair_tokens
from training.core.preference.pairs import PairSet, judge, pairs_read

CPU = torch.device("cpu")


def test_groups_of_the_held_out_model_and_pairs_of_no_weight_are_left_out(tmp_path: Path) -> None:
    policy, path = ppo_runs.tiny_policy(), write_pairs(tmp_path / "pairs.jsonl")
    path.write_text(path.read_text().replace('"weight": 2.0', '"weight": 0.0'))
    every, watched, _ = pairs_read(path, policy, dpo_config(held_out_share=0.0))
    train, validation, _ = pairs_read(path, policy, dpo_config(held_out_share=0.25))
    assert {pair.row.weight for pair in every} == {1.0}
    assert {pair.row.split for pair in every} == {"train"}
    kept = [pair.row.id for pair in every if not group_held_out(pair.row.group, 0.25)]
    assert [pair.row.id for pair in train] == kept
    assert 0 < len(train) < len(every)
    assert {pair.row.id for pair in validation} < {pair.row.id for pair in watched}


def test_a_policy_that_is_the_reference_loses_log_2_a_pair(tmp_path: Path) -> None:
    policy, config = ppo_runs.tiny_policy(), dpo_config()
    pairs, _, _ = pairs_read(write_pairs(tmp_path / "pairs.jsonl"), policy, config)
    reference = pair_log_probs_all(
        policy.model, pairs, pad_id=policy.pad_id, batch_size=4, device=CPU
    )
    side = PairSet(pairs, reference)
    with torch.no_grad():
        found = judge(policy.model, side, [3, 0], config, pad_id=policy.pad_id, device=CPU)
    assert found.losses.loss.tolist() == pytest.approx([math.log(2)] * 2, abs=1e-5)
    assert found.preference.tolist() == [pairs[i].row.preference for i in (3, 0)]
    assert found.weights.tolist() == [pairs[i].row.weight for i in (3, 0)]
    # A reference that finds completion 0 less likely by 2 nats: h = beta x 2.
    shifted = PairSet(pairs, LogProbs(reference.first - 2, reference.second))
    with torch.no_grad():
        found = judge(policy.model, shifted, [3, 0], config, pad_id=policy.pad_id, device=CPU)
    assert found.losses.margin.tolist() == pytest.approx([2 * config.beta] * 2, abs=1e-5)


def test_ipo_divides_by_the_tokens_of_each_completion_its_end_included(tmp_path: Path) -> None:
    policy, path = ppo_runs.tiny_policy(), write_pairs(tmp_path / "pairs.jsonl")
    path.write_text(path.read_text().replace("red moon", "red moon red moon"))
    pairs = pairs_read(path, policy, dpo_config()).train
    tokens = pair_tokens(pairs[:2], device=CPU)
    counts = {
        c: float(len(completion_encode(policy.tokenizer, c))) for c in pairs[0].row.completions
    }
    assert len(set(counts.values())) == 2
    for side, numbers in enumerate(tokens):
        assert numbers.tolist() == [counts[pair.row.completions[side]] for pair in pairs[:2]]
    reference = pair_log_probs_all(
        policy.model, pairs, pad_id=policy.pad_id, batch_size=4, device=CPU
    )
    # 2 nats more than the reference gives completion 0: 2 / n a token.
    shifted = PairSet(pairs, LogProbs(reference.first - 2, reference.second))
    config = dpo_config(loss="ipo")
    with torch.no_grad():
        found = judge(policy.model, shifted, [0, 1], config, pad_id=policy.pad_id, device=CPU)
    expected = [config.beta * 2 / n for n in tokens.first.tolist()]
    assert found.losses.margin.tolist() == pytest.approx(expected, abs=1e-5)
    assert found.ratios.first.tolist() == pytest.approx([2.0, 2.0], abs=1e-4)


@pytest.mark.parametrize("loss", ["length_normalised_dpo", "simpo"])
def test_completions_are_compared_by_their_means_a_token(tmp_path: Path, loss: Any) -> None:
    """Texts of 3 and 2 tokens (their end counts); a reference that differs by 6 and by 1 nats."""
    policy = ppo_runs.tiny_policy()
    path = write_pairs(tmp_path / "pairs.jsonl")
    path.write_text(path.read_text().replace("red moon", "red"))
    config = dpo_config(loss=loss, beta=2.0, simpo_margin=0.5, held_out_share=0.0)
    pairs = [p for p in pairs_read(path, policy, config)[0] if p.row.completions[0] == "blue sun"]
    own = pair_log_probs_all(policy.model, pairs, pad_id=policy.pad_id, batch_size=4, device=CPU)
    side = PairSet(pairs, LogProbs(own.first - 6, own.second - 1))
    with torch.no_grad():
        found = judge(policy.model, side, [0, 1], config, pad_id=policy.pad_id, device=CPU)
    likelihood = 2.0 * (own.first[:2] / 3 - own.second[:2] / 2)
    expected = likelihood if loss == "simpo" else torch.full((2,), 2.0 * (6 / 3 - 1 / 2))
    torch.testing.assert_close(found.losses.margin, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.ratios.first, torch.full((2,), 6.0), atol=1e-5, rtol=0)
