"""PPO that compares completions with one another: no critic is built, trained, saved or counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import ppo_runs
from tests.support.optimiser_runs import manifest, message
from tests.support.scripted_ppo import cut_and_resume, inputs_write, ppo_run
from training.contracts import EXIT_USER, AdapterConfig, InputRef, RunSpec
from training.core.model.actor_critic import ActorCritic
from training.core.run.events import EventLog
from training.core.run.run_directory import Run
from training.core.tuning.footprint import ppo_footprint
from training.digests import path_sha256
from training.recipes import ppo

GROUPS: dict[str, Any] = {
    "prompts_per_update": 8,
    "completions_per_prompt": 4,
    "reward_function": "tests.support.ppo_runs:vowels",
    "policy_learning_rate": 3e-3,
}
ALONE = ["rloo", "grpo", "reinforce_plus_plus", "p3o"]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return inputs_write(tmp_path_factory.mktemp("inputs"))


def run(directory: Path, inputs: dict[str, Path], **changes: Any) -> int:
    return ppo_run(directory, inputs, GROUPS | changes)


@pytest.mark.parametrize("advantage", ALONE)
def test_the_reward_rises_and_rows_say_nothing_of_values(
    tmp_path: Path, inputs: dict[str, Path], advantage: str
) -> None:
    changes = {"updates": 8, "policy_learning_rate": 1e-2, "missing_eos_penalty": 0.0}
    changes |= {"updates": 16} if advantage == "p3o" else {}  # its clip holds whole texts back
    assert run(tmp_path / "run", inputs, advantage=advantage, **changes) == 0
    rows = ppo_runs.events(tmp_path / "run", "ppo")
    assert not [name for name in rows[0]["metrics"] if name.startswith("value_")]
    final = manifest(tmp_path / "run").results["final"]
    assert final["reward_train"] > rows[0]["metrics"]["reward_train"] + 0.1


def test_completions_of_a_prompt_stand_together_and_differ(
    tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    collect = ppo.collect

    def noted(*arguments: Any) -> Any:
        seen.append(collect(*arguments))
        return seen[-1]

    monkeypatch.setattr(ppo, "collect", noted)
    assert run(tmp_path / "run", inputs, advantage="rloo", updates=1) == 0
    ids = [row.id for row in seen[0].prompts]
    assert len(ids) == 32
    groups = [ids[start : start + 4] for start in range(0, 32, 4)]
    assert all(len(set(group)) == 1 for group in groups)
    assert len({tuple(response) for response in seen[0].episodes.responses[:4]}) > 1


@pytest.mark.parametrize(
    ("advantage", "adapter"),
    [
        ("rloo", AdapterConfig()),
        ("rloo", AdapterConfig(kind="lora", rank=2)),
        ("p3o", AdapterConfig()),
    ],
)
def test_a_run_that_crashed_ends_with_the_same_bytes(
    tmp_path: Path,
    inputs: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    advantage: str,
    adapter: AdapterConfig,
) -> None:
    changes = {"advantage": advantage, "updates": 4, "adapter": adapter}
    changes |= {"policy_learning_rate": 1e-2, "gradient_penalty": 1e-3 * (advantage == "p3o")}
    assert run(tmp_path / "whole", inputs, **changes) == 0
    cut_and_resume(monkeypatch, lambda: run(tmp_path / "cut", inputs, **changes), at=2)
    shas = [manifest(tmp_path / name).artifact("policy").sha256 for name in ("whole", "cut")]
    assert shas[0] == shas[1]
    assert shas[0] != path_sha256(inputs["policy"])


@pytest.mark.parametrize(("advantage", "penalty"), [("p3o", 0.0), ("rloo", 0.5)])
def test_how_many_texts_are_in_memory_at_once_changes_only_rounding(
    tmp_path: Path, inputs: dict[str, Path], advantage: str, penalty: float
) -> None:
    said = []
    for size in (3, 64):
        changes = {"advantage": advantage, "gradient_penalty": penalty, "updates": 2}
        at = tmp_path / str(size)
        assert run(at, inputs, micro_batch_size=size, gradient_probe=0.5, **changes) == 0
        rows = [row["metrics"] for row in ppo_runs.events(at, "ppo")]
        said.append([row[name] for row in rows[:2] for name in ("policy_loss", "grad_norm")])
    assert said[0] == pytest.approx(said[1], abs=1e-4, rel=1e-3)


def test_a_penalty_changes_what_is_learned_and_0_changes_no_byte(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    shas = []
    for name, penalty, probe in (("none", 0.0, 1e-3), ("off", 0.0, 0.5), ("on", 0.5, 0.5)):
        changes = {"gradient_penalty": penalty, "gradient_probe": probe, "updates": 2}
        assert run(tmp_path / name, inputs, advantage="rloo", **changes) == 0
        shas.append(manifest(tmp_path / name).artifact("policy").sha256)
    assert shas[0] == shas[1] != shas[2]


def test_no_critic_is_built_or_counted(inputs: dict[str, Path], tmp_path: Path) -> None:
    def weights(**changes: Any) -> int:
        config = ppo_runs.tiny_config(**(GROUPS | changes))
        references = {name: InputRef(str(path), "") for name, path in inputs.items()}
        spec = RunSpec("test", "ppo", 1, references, config.to_json())
        events = EventLog(None, 0, 0.0)
        order = Run(tmp_path, spec, config, inputs, None, True, events)
        return ppo_footprint(order, processes=1, number=4).weights

    policy = ppo_runs.tiny_policy().model
    whole = sum(p.numel() for p in policy.parameters())
    assert weights() - weights(advantage="grpo") == 4 * whole
    actor = ActorCritic.alone(policy)
    assert actor.value_parameters() == []
    assert sum(p.numel() for p in actor.parameters()) == whole


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"advantage": "rloo", "completions_per_prompt": 1}, "set it to 2 or more"),
        ({"advantage": "grpo", "shared_backbone": True}, "set it to false"),
        ({"advantage": "p3o", "completions_per_prompt": 3}, "set it to an even number"),
        ({"advantage": "p3o", "rollout_engine": "transformers"}, "set rollout_engine to 'own'"),
        ({"advantage": "p3o", "pair_ratio_cap": 0.5}, "pair_ratio_cap is 0.5"),
        (
            {"advantage": "p3o", "completions_per_prompt": 2, "prompts_per_update": 3},
            "use a multiple of 4",
        ),
        ({"gradient_penalty": -1.0}, "gradient_penalty is -1.0"),
        ({"completions_per_prompt": 0}, "completions_per_prompt is 0"),
        ({"completions_per_prompt": 3, "prompts_per_update": 5}, "is 15, which 2 mini-batches"),
    ],
)
def test_what_cannot_work_is_said_in_one_sentence(
    tmp_path: Path, inputs: dict[str, Path], changes: dict[str, Any], sentence: str
) -> None:
    assert run(tmp_path / "run", inputs, **changes) == EXIT_USER
    assert sentence in message(tmp_path / "run")
