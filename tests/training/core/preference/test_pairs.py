"""Which pairs a DPO run may learn from, and their losses under a policy."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from tests.support import ppo_runs
from tests.support.optimiser_runs import dpo_config, write_pairs
from training.core.data.pairs import group_held_out
from training.core.preference.log_ratios import LogProbs, pair_log_probs_all
from training.core.preference.pairs import PairSet, judge, pairs_read

CPU = torch.device("cpu")


def test_groups_of_the_held_out_model_and_pairs_of_no_weight_are_left_out(tmp_path: Path) -> None:
    policy, path = ppo_runs.tiny_policy(), write_pairs(tmp_path / "pairs.jsonl")
    path.write_text(path.read_text().replace('"weight": 2.0', '"weight": 0.0'))
    every, watched = pairs_read(path, policy, dpo_config(held_out_share=0.0))
    train, validation = pairs_read(path, policy, dpo_config(held_out_share=0.25))
    assert {pair.row.weight for pair in every} == {1.0}
    assert {pair.row.split for pair in every} == {"train"}
    kept = [pair.row.id for pair in every if not group_held_out(pair.row.group, 0.25)]
    assert [pair.row.id for pair in train] == kept
    assert 0 < len(train) < len(every)
    assert {pair.row.id for pair in validation} < {pair.row.id for pair in watched}


def test_a_policy_that_is_the_reference_loses_log_2_a_pair(tmp_path: Path) -> None:
    policy, config = ppo_runs.tiny_policy(), dpo_config()
    pairs, _ = pairs_read(write_pairs(tmp_path / "pairs.jsonl"), policy, config)
    reference = pair_log_probs_all(
        policy.model, pairs, pad_id=policy.pad_id, temperature=1.0, batch_size=4, device=CPU
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
