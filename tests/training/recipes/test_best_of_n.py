"""Best-of-n from spec to manifest on a tiny policy: what is drawn, chosen and learned."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import ppo_runs
from tests.support.optimiser_runs import (
    MEASURE,
    best_of_n_config,
    manifest,
    message,
    run,
    write_inputs,
)
from training.contracts import EXIT_USER
from training.core.best_of_n.estimates import best_of_n_kl
from training.core.reward.scoring import reward_model_load


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, inputs: dict[str, Path]) -> Path:
    torch.set_num_threads(1)
    directory = tmp_path_factory.mktemp("finished") / "run"
    assert run("best_of_n", directory, inputs, best_of_n_config(missing_eos_penalty=0.0)) == 0
    return directory


def chosen(directory: Path) -> list[dict[str, Any]]:
    artifact = manifest(directory).artifact("best_of_n_chosen")
    lines = (directory / artifact.path).read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_every_prompt_of_every_iteration_has_one_winner(finished: Path) -> None:
    rows = chosen(finished)
    assert [row["iteration"] for row in rows] == [1] * 16 + [2] * 16
    assert manifest(finished).results["iterations_drawn"] == 2
    assert all(row["messages"][-1]["role"] == "assistant" for row in rows)


def test_winners_carry_the_score_of_the_model_that_chose_them(
    finished: Path, inputs: dict[str, Path]
) -> None:
    model = reward_model_load(inputs["reward_model"])
    for row in chosen(finished)[:4]:
        *messages, answer = row["messages"]
        score = float(model.score([(messages, answer["content"])]).normalised.mean())
        assert row["reward_train"] == pytest.approx(score, abs=1e-4)


def test_what_choice_is_worth_is_logged_before_anything_is_learned(finished: Path) -> None:
    drawn = ppo_runs.events(finished, "drawn")
    assert [row["step"] for row in drawn] == [1, 2, 4] * 2
    first = [row["metrics"] for row in drawn[:3]]
    rewards = [row["reward_train"] for row in first]
    assert rewards == sorted(rewards)
    assert first[2]["kl_bound"] == pytest.approx(best_of_n_kl(4))
    winners = [row["reward_train"] for row in chosen(finished)[:16]]
    assert rewards[2] == pytest.approx(sum(winners) / 16)  # the best of all n is the winner itself
    assert manifest(finished).results["expected_by_n"][0] == first


def test_a_known_reward_rises(tmp_path: Path, inputs: dict[str, Path]) -> None:
    rest = {name: path for name, path in inputs.items() if "reward" not in name}
    settings = best_of_n_config(
        n=8,
        iterations=3,
        prompts_per_iteration=64,
        batch_size=16,
        epochs=4,
        learning_rate=1e-2,
        missing_eos_penalty=0.0,
        reward_function="tests.support.ppo_runs:vowels",
        measure=replace(MEASURE, points=1, prompts=64),
        checkpoint_every=100,
    )
    assert run("best_of_n", tmp_path / "run", rest, settings) == 0
    first, last = ppo_runs.events(tmp_path / "run", "best_of_n")
    assert last["metrics"]["reward_train"] > first["metrics"]["reward_train"] + 0.05
    by_n = manifest(tmp_path / "run").results["expected_by_n"]
    assert by_n[2][0]["reward_train"] > by_n[0][0]["reward_train"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"n": 1}, "the best of one is no choice"),
        ({"iterations": 0}, "iterations is 0; set it above 0"),
        ({"reward_function": "no.such:thing"}, "'package.module:function'"),
    ],
)
def test_what_cannot_work_is_said_in_one_sentence_before_any_step(
    tmp_path: Path, inputs: dict[str, Path], changes: dict[str, Any], sentence: str
) -> None:
    assert run("best_of_n", tmp_path / "run", inputs, best_of_n_config(**changes)) == EXIT_USER
    assert sentence in message(tmp_path / "run")
    assert not ppo_runs.events(tmp_path / "run", "best_of_n")
