"""What DPO and best-of-n say they need: part by part by hand, and against the allocator."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import optimiser_runs, ppo_runs
from tests.support.memory import peak_bytes
from tests.support.optimiser_runs import best_of_n_config, dpo_config, message, run
from tests.training.core.model.test_memory_estimate import FACTOR
from training.contracts import (
    EXIT_USER,
    AdapterConfig,
    BestOfNConfig,
    DpoConfig,
    InputRef,
    MeasureConfig,
    ModelSource,
    RunSpec,
    Sampling,
)
from training.core.model import memory_estimate
from training.core.model.loading import policy_load
from training.core.model.memory_estimate import shape_at
from training.core.run.events import EventLog
from training.core.run.run_directory import Run
from training.core.tuning import materials
from training.core.tuning.footprint import best_of_n_footprint, dpo_footprint, ppo_footprint
from training.digests import path_sha256

LORA = AdapterConfig(kind="lora", rank=2)
LONG = Sampling(max_new_tokens=24, batch_size=10)
MEASURE = MeasureConfig(
    points=1, prompts=12, max_prompt_tokens=10, sampling=LONG, exact_kl_rollouts=12
)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The usual inputs, with a policy of about 0.3 M parameters and reward models of its size."""
    root = tmp_path_factory.mktemp("inputs")
    source = ModelSource(
        kind="fresh", hidden_size=96, layers=3, heads=2, feed_forward=256, max_positions=64
    )
    texts = [ppo_runs.WORDS, *ppo_runs.QUESTIONS]
    policy = ppo_runs.write_policy(root / "policy", policy_load(source, {}, texts=texts, seed=0))
    return {
        "policy": policy,
        "reference": policy,
        "prompts": ppo_runs.write_prompts(root / "prompts.jsonl"),
        "reward_model": ppo_runs.write_reward_model(root / "reward_model", seed=1),
        "held_out_reward_model": ppo_runs.write_reward_model(root / "held", members=1, seed=9),
        "preferences": optimiser_runs.write_pairs(root / "pairs.jsonl"),
    }


def order(kind: Any, config: Any, inputs: dict[str, Path]) -> Run[Any]:
    """A run that is looked at and never carried out."""
    references = {name: InputRef(str(path), path_sha256(path)) for name, path in inputs.items()}
    spec = RunSpec("test", kind, 7, references, config.to_json())
    return Run(Path(), spec, config, inputs, None, False, EventLog(None, 0, 0.0))


def of_dpo(inputs: dict[str, Path], processes: int = 1, **changes: Any) -> Any:
    config = replace(DpoConfig(measure=MEASURE, max_length=16), **changes)
    return dpo_footprint(order("dpo", config, inputs), processes=processes, number=4)


def of_best_of_n(inputs: dict[str, Path], processes: int = 1, **changes: Any) -> Any:
    config = replace(BestOfNConfig(measure=MEASURE), **changes)
    return best_of_n_footprint(order("best_of_n", config, inputs), processes=processes, number=4)


def test_dpo_holds_policy_reference_kept_weights_and_every_reward_model(
    inputs: dict[str, Path],
) -> None:
    policy = shape_at(str(inputs["policy"]), speaks=True)
    scorer = shape_at(str(inputs["held_out_reward_model"] / "member_0"), speaks=False)
    found = of_dpo(inputs)
    assert found.weights == 4 * (3 * policy.parameters + 3 * scorer.parameters)
    assert (found.gradients, found.optimizer) == (4 * policy.parameters, 8 * policy.parameters)
    alone = {k: v for k, v in inputs.items() if "reward_model" not in k}
    assert of_dpo(alone).weights == 4 * 3 * policy.parameters


def test_dpo_counts_two_sequences_a_pair_up_to_the_micro_batch(inputs: dict[str, Path]) -> None:
    words = shape_at(str(inputs["policy"]), speaks=True).vocabulary
    whole = of_dpo(inputs, batch_size=20, micro_batch_size=64)
    assert whole.logits == 3 * 4 * 40 * 16 * words
    assert of_dpo(inputs, batch_size=20, micro_batch_size=11).logits == whole.logits / 4
    assert of_dpo(inputs, processes=2, batch_size=20).logits == whole.logits / 2
    # Twelve prompts are measured, of which ten are drawn at once.
    assert whole.scoring == 3 * 4 * 12 * 24 * words
    assert whole.cache == 2 * 2 * 3 * 96 * 10 * (10 + 24) * 4


def test_an_exploring_dpo_counts_three_texts_a_pair_and_the_answers_to_all_prompts(
    inputs: dict[str, Path],
) -> None:
    words = shape_at(str(inputs["policy"]), speaks=True).vocabulary
    found = of_dpo(inputs, batch_size=20, micro_batch_size=64, exploration=0.1)
    assert found.logits == 3 * 4 * 60 * 16 * words
    assert of_dpo(inputs, micro_batch_size=11, exploration=0.1).logits == 3 * 4 * 9 * 16 * words
    # Ten at once, of prompts that may fill the 16 tokens of a pair.
    assert found.cache == 2 * 2 * 3 * 96 * 10 * (16 + 24) * 4


def test_a_penalised_gradient_holds_weights_and_gradients_once_more(
    inputs: dict[str, Path],
) -> None:
    def weights(**changes: Any) -> int:
        config = ppo_runs.tiny_config(**changes)
        return ppo_footprint(order("ppo", config, inputs), processes=1, number=4).weights

    policy = shape_at(str(inputs["policy"]), speaks=True)
    assert weights(gradient_penalty=0.1) - weights() == 4 * 2 * policy.parameters


def test_best_of_n_counts_winners_as_long_as_prompt_and_completion(
    inputs: dict[str, Path],
) -> None:
    policy = shape_at(str(inputs["policy"]), speaks=True)
    scorer = shape_at(str(inputs["held_out_reward_model"] / "member_0"), speaks=False)
    found = of_best_of_n(inputs, batch_size=6, prompts_per_iteration=8)
    assert found.weights == 4 * (3 * policy.parameters + 3 * scorer.parameters)
    assert found.logits == 3 * 4 * 6 * (10 + 24) * policy.vocabulary
    assert of_best_of_n(inputs, processes=2, batch_size=6).logits == found.logits / 2
    scripted = of_best_of_n(inputs, reward_function="a:b")
    assert scripted.weights == 4 * (3 * policy.parameters + scorer.parameters)


def test_best_of_n_draws_as_many_at_once_as_the_larger_of_both_asks_for(
    inputs: dict[str, Path],
) -> None:
    wide = replace(MEASURE, sampling=replace(LONG, batch_size=100))
    one = of_best_of_n(inputs, measure=wide, n=2, prompts_per_iteration=1).cache
    many = of_best_of_n(inputs, measure=wide, n=4, prompts_per_iteration=8).cache
    assert (one, many) == (12 * one / 12, 32 * one / 12)


@pytest.mark.parametrize("footprint", [of_dpo, of_best_of_n])
def test_with_an_adapter_only_it_has_gradients_and_moments_and_no_reference_is_loaded(
    inputs: dict[str, Path], footprint: Any
) -> None:
    policy = shape_at(str(inputs["policy"]), speaks=True)
    # Three layers: q, k, v and o of 96 to 96; gate, up and down between 96 and 256.
    adapter = 3 * 2 * (4 * (96 + 96) + 3 * (96 + 256))
    found, whole = footprint(inputs, adapter=LORA), footprint(inputs)
    assert (found.gradients, found.optimizer) == (4 * adapter, 8 * adapter)
    # Policy, its adapter and the kept adapter stand where three policies stood.
    assert whole.weights - found.weights == 4 * (2 * policy.parameters - 2 * adapter)
    assert found.activations == whole.activations


def test_adapters_on_the_policys_weights_count_as_adapters_alone(inputs: dict[str, Path]) -> None:
    policy = shape_at(str(inputs["policy"]), speaks=True)
    root = inputs["policy"].parent
    adapted = {
        "reward_model": ppo_runs.write_adapted_reward_model(root / "adapted"),
        "held_out_reward_model": ppo_runs.write_adapted_reward_model(root / "watched", members=1),
    }
    config = ppo_runs.tiny_config(reward_function="", adapter=LORA)
    one = ppo_footprint(order("ppo", config, inputs | adapted), processes=1, number=4)
    # Of rank 2 the policy's adapter; of rank 3, with a head, three members' and the critic's.
    rank = 3 * (4 * (96 + 96) + 3 * (96 + 256))
    adapters = 2 * 2 * rank + 4 * 3 * rank + 4 * 96  # the policy's twice: one is kept
    assert one.weights == pytest.approx(4 * (policy.parameters + adapters), rel=0.02)
    assert one.gradients == pytest.approx(4 * (2 * rank + 3 * rank + 96), rel=0.1)
    whole = ppo_footprint(order("ppo", config, inputs), processes=1, number=4)
    assert whole.weights > 3 * one.weights
    config = replace(config, critic_adapter=False)
    own = ppo_footprint(order("ppo", config, inputs | adapted), processes=1, number=4)
    assert own.weights - one.weights > 3 * policy.parameters


CONFIGS = {
    "dpo": lambda **changes: dpo_config(measure=MEASURE, max_length=16, epochs=1, **changes),
    "best_of_n": lambda **changes: best_of_n_config(measure=MEASURE, iterations=1, **changes),
}


@pytest.mark.slow
@pytest.mark.parametrize("adapter", [AdapterConfig(), LORA], ids=["whole", "lora"])
@pytest.mark.parametrize("kind", ["dpo", "best_of_n"])
def test_a_whole_run_takes_what_the_estimate_says_within_its_factor(
    tmp_path: Path, inputs: dict[str, Path], kind: str, adapter: AdapterConfig
) -> None:
    torch.set_num_threads(1)
    config = CONFIGS[kind](adapter=adapter, checkpoint_every=1000)
    codes: list[int] = []
    measured = peak_bytes(lambda: codes.append(run(kind, tmp_path / "run", inputs, config)))
    assert codes == [0]
    (event,) = ppo_runs.events(tmp_path / "run", "memory")
    found = event["metrics"]["total_gb"] * 1e9
    assert 1 / FACTOR < found / measured < FACTOR, (event["metrics"], measured)


@pytest.mark.parametrize(
    ("kind", "free", "changes", "fix"),
    [
        ("dpo", 200_000, {"batch_size": 2}, "take a smaller model, or more memory;"),
        ("dpo", 200_000, {"batch_size": 2}, "set adapter, so that networks of one base hold its"),
        (
            "dpo",
            200_000,
            {"batch_size": 2, "adapter": LORA},
            "train the reward models with adapter,",
        ),
        ("dpo", 200_000, {"batch_size": 4096, "micro_batch_size": 8192}, "lower micro_batch_size;"),
        ("best_of_n", 200_000, {"batch_size": 4096}, "lower batch_size;"),
    ],
)
def test_a_run_that_cannot_fit_is_refused_before_a_weight_is_read(
    tmp_path: Path,
    inputs: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    free: int,
    changes: dict[str, Any],
    fix: str,
) -> None:
    monkeypatch.setattr(memory_estimate, "available_bytes", lambda device: free)
    monkeypatch.setattr(
        materials, "policy_load_path", lambda path: pytest.fail("weights were read")
    )
    assert run(kind, tmp_path / "run", inputs, CONFIGS[kind](**changes)) == EXIT_USER
    said = message(tmp_path / "run")
    assert "of memory are needed" in said
    assert fix in said
    assert json.loads((tmp_path / "run" / "error.json").read_text())["exit_code"] == EXIT_USER


def test_too_many_completions_at_once_name_the_setting_of_the_measurement(
    tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_estimate, "available_bytes", lambda device: 200_000)
    many = replace(MEASURE, sampling=replace(LONG, batch_size=5000))
    config = best_of_n_config(measure=many, n=100, prompts_per_iteration=50)
    assert run("best_of_n", tmp_path / "run", inputs, config) == EXIT_USER
    assert "lower measure.sampling.batch_size;" in message(tmp_path / "run")
