"""What a server finds beside the weights: the sampling of training, and every end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import GenerationConfig

from tests.support import ppo_runs
from tests.support.own_models import decoder_write
from training.contracts import PpoConfig, Sampling
from training.core.model.loading import model_save, policy_load_path
from training.core.model.policy_artifact import policy_artifacts_write
from training.core.run.run_directory import Run, recipe_main


def generation(path: Path, **stated: Any) -> None:
    (path / "generation_config.json").write_text(json.dumps(stated))


def written(path: Path, folder: Path, sampling: Sampling | None) -> GenerationConfig:
    """The generation_config of the artifact that a run writes of the policy in `path`."""
    prompts = ppo_runs.write_prompts(folder / "prompts.jsonl")
    order = ppo_runs.write_order(folder / "run", ppo_runs.tiny_config(), {"prompts": prompts})

    def write(run: Run[PpoConfig]) -> None:
        run.finish(policy_artifacts_write(run, policy_load_path(path), sampling), {})

    assert recipe_main(write, "ppo", PpoConfig, [str(order)]) == 0
    return GenerationConfig.from_pretrained(folder / "run" / "policy")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return decoder_write(tmp_path / "llama", "llama")


def test_a_server_samples_as_training_did_whatever_the_model_came_with(
    path: Path, tmp_path: Path
) -> None:
    generation(path, eos_token_id=[3, 2], bos_token_id=0, repetition_penalty=1.3, top_p=0.5,
               do_sample=True, suppress_tokens=[4])  # fmt: skip
    found = written(path, tmp_path, Sampling(max_new_tokens=9, temperature=0.7))
    assert (found.do_sample, found.temperature, found.top_k, found.top_p) == (True, 0.7, 0, 1.0)
    assert (found.max_new_tokens, found.eos_token_id, found.bos_token_id) == (9, [2, 3], 0)
    assert found.repetition_penalty in (None, 1.0)
    assert found.suppress_tokens is None


def test_what_a_model_came_with_stays_where_no_sampling_is_named(
    path: Path, tmp_path: Path
) -> None:
    generation(path, eos_token_id=2, do_sample=True, top_p=0.5)
    assert written(path, tmp_path, None).top_p == 0.5


def test_a_generation_config_that_contradicts_itself_can_be_written(
    path: Path, tmp_path: Path
) -> None:
    """As Llama 2's, which names a temperature and does not sample."""
    generation(path, eos_token_id=[3, 2], do_sample=False, temperature=0.2, top_p=0.9)
    found = written(path, tmp_path, None)
    assert not found.do_sample
    assert found.eos_token_id == [2, 3]
    again = tmp_path / "again"
    again.mkdir()
    model_save(policy_load_path(tmp_path / "run" / "policy"), again)
