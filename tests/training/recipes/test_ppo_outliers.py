"""PPO that counts the texts outside what its reference writes: by whole and adapted reward models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support import ppo_runs
from tests.support.optimiser_runs import manifest, message
from tests.support.recipes import recipe_run_on_two
from tests.support.scripted_ppo import cut_and_resume, inputs_write, ppo_run
from training.contracts import EXIT_USER, AdapterConfig, Alarms
from training.core.model.score_head import head_of
from training.recipes import ppo, ppo_reference
from training.recipes.ppo_parts import PpoParts

COUNTED: dict[str, Any] = {
    "reward_function": "",
    "outlier_texts": 40,
    "outlier_quantile": 0.9,
    "policy_learning_rate": 1e-2,
    "checkpoint_every": 2,
}
LORA = AdapterConfig(kind="lora", rank=2)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("inputs")
    given = inputs_write(root)
    return given | {
        "whole": ppo_runs.write_reward_model(root / "whole", seed=1),
        "adapted": ppo_runs.write_adapted_reward_model(root / "adapted", seed=1),
    }


def run(directory: Path, inputs: dict[str, Path], reward: str = "whole", **changes: Any) -> int:
    used = {name: path for name, path in inputs.items() if name not in ("whole", "adapted")}
    return ppo_run(directory, used | {"reward_model": inputs[reward]}, COUNTED | changes)


def shares(directory: Path) -> list[float]:
    return [event["metrics"]["outlier_share"] for event in ppo_runs.events(directory, "ppo")]


def distances(states: np.ndarray, cloud: np.ndarray) -> np.ndarray:
    """Squared, by the covariance shrunk as far as the cloud says."""
    mean = cloud.mean(0)
    sample = (cloud - mean).T @ (cloud - mean) / len(cloud)
    width = len(mean)
    level = np.trace(sample) / width
    away = ((sample - level * np.eye(width)) ** 2).sum()
    noise = sum(((np.outer(x, x) - sample) ** 2).sum() for x in cloud - mean) / len(cloud) ** 2
    shrunk = min(noise, away) / away
    inverse = np.linalg.inv((1 - shrunk) * sample + shrunk * level * np.eye(width))
    return np.array([(x - mean) @ inverse @ (x - mean) for x in states])


@pytest.mark.parametrize(("reward", "adapter"), [("whole", AdapterConfig()), ("adapted", LORA)])
def test_the_share_is_that_of_states_beyond_the_border_of_each_member(
    tmp_path: Path,
    inputs: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    reward: str,
    adapter: AdapterConfig,
) -> None:
    """Worked out anew from the texts themselves: states by the library's hidden states, distances by NumPy."""
    read: list[list[np.ndarray]] = []
    clouds: list[torch.Tensor] = []
    collect, states_of = ppo.collect, ppo_reference._reference_states

    def noted(parts: PpoParts, progress: Any, update: int) -> Any:
        rollout = collect(parts, progress, update)
        assert parts.sampler.rewarder is not None
        model = parts.sampler.rewarder.train
        assert model is not None
        asked = [row.messages for row in rollout.prompts]
        encoded = model.encode(list(zip(asked, rollout.episodes.texts, strict=True)))
        read.append([np.stack([_state(m, e.ids) for e in encoded]) for m in model.members])
        return rollout

    def kept(parts: PpoParts, asked: list[int]) -> list[torch.Tensor]:
        clouds.extend(states_of(parts, asked))
        return list(clouds)

    monkeypatch.setattr(ppo, "collect", noted)
    monkeypatch.setattr(ppo_reference, "_reference_states", kept)
    assert run(tmp_path / "run", inputs, reward, adapter=adapter) == 0
    for rollout, share in zip(read, shares(tmp_path / "run"), strict=False):
        found = []
        for states, reference in zip(rollout, clouds, strict=True):
            cloud, held_out = reference.double().numpy()[:20], reference.double().numpy()[20:]
            border = np.sort(distances(held_out, cloud))[18]  # ceil(21 * 0.9) is 19
            found.append((distances(states, cloud) > border).mean())
        assert share == pytest.approx(np.mean(found), abs=1e-6)
    (event,) = ppo_runs.events(tmp_path / "run", "reference cloud")
    assert event["metrics"]["reference_texts"] == 40
    assert 0 < event["metrics"]["cloud_shrinkage"] < 1


def _state(member: Any, ids: tuple[int, ...]) -> np.ndarray:
    """What the head reads of one text alone, by the library's own list of hidden states."""
    with torch.no_grad():
        read = member.model(input_ids=torch.tensor([ids]), output_hidden_states=True)
        states = read.hidden_states[-1][0, -1]
        score = head_of(member.model)(states)
    assert float(score) == pytest.approx(float(read.logits), abs=1e-5)
    return np.asarray(states.double().numpy())


@pytest.mark.parametrize("reward", ["whole", "adapted"])
def test_a_resumed_run_counts_by_the_cloud_of_its_checkpoint(
    tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch, reward: str
) -> None:
    adapter = LORA if reward == "adapted" else AdapterConfig()
    changes = {"updates": 4, "adapter": adapter}
    assert run(tmp_path / "whole", inputs, reward, **changes) == 0
    cut_and_resume(monkeypatch, lambda: run(tmp_path / "cut", inputs, reward, **changes), at=3)
    assert len(ppo_runs.events(tmp_path / "cut", "reference cloud")) == 1  # kept, not drawn again
    whole, cut = manifest(tmp_path / "whole"), manifest(tmp_path / "cut")
    assert cut.artifact("policy").sha256 == whole.artifact("policy").sha256
    assert cut.results["final"] == whole.results["final"]
    assert cut.results["final"]["outlier_share"] == whole.results["final"]["outlier_share"]


def test_counting_changes_nothing_in_the_policy(tmp_path: Path, inputs: dict[str, Path]) -> None:
    assert (
        run(tmp_path / "counted", inputs) == run(tmp_path / "plain", inputs, outlier_texts=0) == 0
    )
    counted, plain = manifest(tmp_path / "counted"), manifest(tmp_path / "plain")
    assert counted.artifact("policy").sha256 == plain.artifact("policy").sha256
    assert "outlier_share" not in plain.results["final"]


def test_the_alarm_stops_a_run_whose_texts_left_the_cloud(
    tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the third rollout on the policy writes nothing but long texts, which the reference never does."""
    collect = ppo.collect

    def elsewhere(parts: PpoParts, progress: Any, update: int) -> Any:
        rollout = collect(parts, progress, update)
        if update < 2:
            return rollout
        texts = ["blue blue blue blue blue blue"] * len(rollout.prompts)
        assert parts.sampler.rewarder is not None
        scores = parts.sampler.rewarder([row.messages for row in rollout.prompts], texts)
        assert scores.outliers is not None
        rollout.metrics["outlier_share"] = float(scores.outliers.mean())
        return rollout

    monkeypatch.setattr(ppo, "collect", elsewhere)
    limits = Alarms(outlier_share=0.5, patience=2)
    assert run(tmp_path / "run", inputs, updates=8, policy_learning_rate=1e-5, alarms=limits) == 0
    results = manifest(tmp_path / "run").results
    assert results["stopped_by"] == "outlier_states"
    assert "of the texts lie outside what the reference writes" in results["alarm"]["says"]
    assert (results["updates"], results["alarm"]["at"]) == (1, 3)


@pytest.mark.slow
def test_two_processes_count_as_one_does(tmp_path: Path, inputs: dict[str, Path]) -> None:
    assert run(tmp_path / "one", inputs, updates=1) == 0
    used = {name: path for name, path in inputs.items() if name not in ("whole", "adapted")}
    config = ppo_runs.tiny_config(**(COUNTED | {"updates": 1}))
    spec = ppo_runs.write_order(tmp_path / "two", config, used | {"reward_model": inputs["whole"]})
    assert recipe_run_on_two("training.recipes.ppo", spec) == 0
    assert shares(tmp_path / "two") == pytest.approx(shares(tmp_path / "one"), abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"outlier_texts": 17}, "outlier_texts is 17, half of which are too few"),
        ({"outlier_quantile": 1.0}, "outlier_quantile is 1.0; set it above 0, below 1"),
        ({"reward_function": "tests.support.ppo_runs:vowels"}, "reward_function takes its place"),
        ({"outlier_texts": 0, "alarms": Alarms(outlier_share=0.3)}, "outlier_texts is 0: set"),
        ({"alarms": Alarms(outlier_share=0.05)}, "set it above 0.1, the share of the reference's"),
    ],
)
def test_settings_that_count_nothing_are_refused(
    tmp_path: Path, inputs: dict[str, Path], changes: dict[str, Any], said: str
) -> None:
    assert run(tmp_path / "run", inputs, **changes) == EXIT_USER
    assert said in message(tmp_path / "run")
