"""An engine that cannot do its work is found before any is spent, and named."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import pytest
import torch

from tests.support import fake_vllm
from tests.support.documented import assert_said
from tests.support.engine_policies import PROMPTS, engine_policy
from tests.support.ppo_runs import tiny_config
from training.core.engines import Sampled, continuous_batching, engine_open, opening
from training.core.ppo.settings_check import check_settings
from training.core.rollout.engine import OwnEngine
from training.core.rollout.generation import generate
from training.core.run.errors import UserError


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_our_own_engine_draws_what_generate_draws_and_has_nothing_to_correct() -> None:
    policy, config = engine_policy(), tiny_config()
    engine = engine_open(config, policy, PROMPTS)
    assert isinstance(engine, OwnEngine)
    seeds = [1, 2, 3, 4]
    sampled = engine.sample(PROMPTS, seeds)
    direct = generate(
        policy.model,
        PROMPTS,
        seeds=seeds,
        sampling=config.sampling,
        pad_id=policy.pad_id,
        end_ids=policy.end_ids,
    )
    assert sampled.responses == [direct.response(row) for row in range(4)]
    assert sampled.ended == direct.ended.tolist()
    assert sampled.log_probs is None


@pytest.mark.slow
def test_engines_open_and_prove_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    if find_spec("vllm") is None:
        monkeypatch.setitem(sys.modules, "vllm", fake_vllm)
    policy = engine_policy()
    for name in ("transformers", "vllm"):
        config = tiny_config(rollout_engine=name, max_prompt_tokens=8)
        sampled = engine_open(config, policy, PROMPTS).sample(PROMPTS, [1, 2, 3, 4])
        assert [len(response) for response in sampled.responses] == [
            len(log_probs) for log_probs in sampled.log_probs or []
        ]


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vllm is installed")
def test_vllm_that_is_not_installed_is_named() -> None:
    with pytest.raises(UserError) as raised:
        check_settings(tiny_config(rollout_engine="vllm"), processes=1)
    assert_said("vllm not installed", str(raised.value))


def test_vllm_beside_other_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.core.engines.vllm.find_spec", lambda name: object())
    check_settings(tiny_config(rollout_engine="vllm"), processes=1)
    with pytest.raises(UserError) as raised:
        check_settings(tiny_config(rollout_engine="vllm"), processes=2)
    assert_said("vllm, several processes", str(raised.value))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"importance_cap": 0.5}, "importance_cap is 0.5"),
        ({"importance_cap": float("nan")}, "importance_cap is nan"),
        ({"engine_dtype": "bfloat16"}, "engine_dtype 'bfloat16' belongs to another engine"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        check_settings(tiny_config(**changes), processes=1)


@pytest.mark.slow
def test_an_engine_that_draws_from_another_distribution_is_refused() -> None:
    policy, config = engine_policy(), tiny_config(rollout_engine="transformers")
    sampled = engine_open(config, policy, PROMPTS).sample(PROMPTS, [1, 2, 3, 4])
    opening.check_engine(sampled, policy, PROMPTS, config)
    assert sampled.log_probs is not None
    off = [[p + 0.3 for p in row] for row in sampled.log_probs]
    with pytest.raises(UserError) as raised:
        opening.check_engine(sampled._replace(log_probs=off), policy, PROMPTS, config)
    assert_said("engine of other probabilities", str(raised.value))


def test_an_engine_that_breaks_on_the_policy_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, prompts: Sequence[Any], seeds: Sequence[int]) -> Sampled:
        raise RuntimeError("no kernel for heads of 12\nand much more")

    monkeypatch.setattr(continuous_batching.ContinuousBatchingEngine, "sample", broken)
    with pytest.raises(UserError) as raised:
        engine_open(tiny_config(rollout_engine="transformers"), engine_policy(), PROMPTS)
    assert_said("engine that cannot sample", str(raised.value))
    assert "(no kernel for heads of 12)" in str(raised.value)


@pytest.mark.slow
def test_completions_that_continuous_batching_lost_are_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`generate_batch` logs what went wrong and returns the rest."""
    policy = engine_policy()
    config = tiny_config(rollout_engine="transformers")
    engine = engine_open(config, policy, PROMPTS)
    forward, calls = policy.model.forward, []

    def failing(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("out of memory")
        return forward(*arguments, **named)

    monkeypatch.setattr(policy.model, "forward", failing)
    with pytest.raises(UserError, match=r"finished [0-3] of 4 completions \(out of memory\)"):
        engine.sample(PROMPTS, [1, 2, 3, 4])
