"""PPO against reward artifacts: what is optimised, what is only watched, where the critic starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import ppo_runs
from training.contracts import (
    EXIT_USER,
    InputRef,
    ModelSource,
    RewardModelConfig,
    RunManifest,
    RunSpec,
)
from training.core.data.json_lines import prompts_read
from training.core.data.sequences import pack_sequences
from training.core.data.tokenizers import completion_encode, prompt_encode
from training.core.model.actor_critic import ActorCritic
from training.core.model.loading import policy_load_path
from training.core.reward import scoring
from training.core.reward.forward import score_rows
from training.core.reward.scoring import reward_model_load
from training.core.rollout.rewarding import Rewarder
from training.core.run.run_directory import recipe_main
from training.digests import path_sha256
from training.recipes import ppo, reward_model


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("inputs")
    policy = ppo_runs.write_policy(root / "policy")
    return {
        "policy": policy,
        "reference": policy,
        "prompts": ppo_runs.write_prompts(root / "prompts.jsonl"),
        "reward_model": ppo_runs.write_reward_model(root / "reward_model", seed=1),
        "held_out_reward_model": ppo_runs.write_reward_model(root / "held", members=1, seed=9),
    }


def run(directory: Path, inputs: dict[str, Path], **changes: Any) -> int:
    config = ppo_runs.tiny_config(**({"reward_function": ""} | changes))
    return ppo.main([str(ppo_runs.write_order(directory, config, inputs))])


def manifest(directory: Path) -> RunManifest:
    return RunManifest.from_json(json.loads((directory / "manifest.json").read_text()))


def test_rows_and_samples_show_both_reward_models_side_by_side(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    before = {name: path_sha256(path) for name, path in inputs.items()}
    assert run(tmp_path / "run", inputs) == 0
    for row in ppo_runs.events(tmp_path / "run", "ppo"):
        assert None not in row["metrics"].values()
        assert row["metrics"]["ensemble_std"] > 0
    train, held_out = (
        reward_model_load(inputs[name]) for name in ("reward_model", "held_out_reward_model")
    )
    for line in (tmp_path / "run" / "samples.jsonl").read_text().splitlines():
        row = json.loads(line)
        pair = [(row["messages"], row["text"])]
        members = train.score(pair).normalised[:, 0]
        assert row["reward_train"] == pytest.approx(float(members.mean()), abs=1e-4)
        watched = float(held_out.score(pair).normalised[0, 0])
        assert row["reward_held_out"] == pytest.approx(watched, abs=1e-4)
    results = manifest(tmp_path / "run").results
    assert results["best_held_out_update"] in range(4)
    assert {name: path_sha256(path) for name, path in inputs.items()} == before


@pytest.mark.parametrize(("replicates", "how"), [(1, "mean"), (2, "worst")])
def test_a_mix_of_criteria_pays_the_weighted_sum_of_its_heads(
    tmp_path: Path, inputs: dict[str, Path], replicates: int, how: str
) -> None:
    """Of each head's own scores, by the weights 1 and 3; "worst" is that of two mixes, never of two criteria."""
    root = inputs["policy"].parent
    path = ppo_runs.write_reward_model(root / f"mix_{how}", members=2 * replicates, seed=3)
    document = json.loads((path / scoring.SETTINGS).read_text())
    for i, member in enumerate(document["members"]):
        key, weight = ("brief", 1.0) if i < replicates else ("kind", 3.0)
        member |= {"criterion": key, "weight": weight}
    (path / scoring.SETTINGS).write_text(json.dumps(document))
    mixed = {**inputs, "reward_model": path}
    assert run(tmp_path / "run", mixed, reward_combination=how) == 0
    model = reward_model_load(path)
    assert model.voices == replicates
    for line in (tmp_path / "run" / "samples.jsonl").read_text().splitlines():
        row = json.loads(line)
        heads = model.score([(row["messages"], row["text"])]).heads
        assert heads is not None
        scaled = [
            (float(score) - member["mean"]) / member["std"]
            for score, member in zip(heads[:, 0], document["members"], strict=True)
        ]
        mixes = [0.25 * scaled[r] + 0.75 * scaled[replicates + r] for r in range(replicates)]
        assert row["reward_train"] == pytest.approx(min(mixes), abs=1e-4)


def test_caution_among_mixes_needs_several_of_them(tmp_path: Path, inputs: dict[str, Path]) -> None:
    path = ppo_runs.write_reward_model(inputs["policy"].parent / "one_mix", members=2)
    document = json.loads((path / scoring.SETTINGS).read_text())
    for key, member in zip(("brief", "kind"), document["members"], strict=True):
        member |= {"criterion": key, "weight": 1.0}
    (path / scoring.SETTINGS).write_text(json.dumps(document))
    mixed = {**inputs, "reward_model": path}
    assert run(tmp_path / "run", mixed, reward_combination="worst") == EXIT_USER


def test_the_held_out_model_changes_nothing_in_the_policy(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    without = {name: path for name, path in inputs.items() if name != "held_out_reward_model"}
    assert run(tmp_path / "with", inputs) == run(tmp_path / "without", without) == 0
    shas = [manifest(tmp_path / name).artifact("policy").sha256 for name in ("with", "without")]
    assert shas[0] == shas[1]


def test_the_reward_of_the_model_rises(tmp_path: Path, inputs: dict[str, Path]) -> None:
    changes = {"updates": 8, "prompts_per_update": 64, "micro_batch_size": 32}
    rates = {"policy_learning_rate": 1e-2, "value_learning_rate": 1e-2}
    assert run(tmp_path / "run", inputs, missing_eos_penalty=0.0, **changes, **rates) == 0
    first = ppo_runs.events(tmp_path / "run", "ppo")[0]["metrics"]["reward_train"]
    assert manifest(tmp_path / "run").results["final"]["reward_train"] > first + 0.3


@pytest.mark.parametrize("how", ["mean", "worst", "mean_minus_variance", "soft_worst"])
def test_members_are_combined_as_the_config_says(inputs: dict[str, Path], how: Any) -> None:
    model = reward_model_load(inputs["reward_model"])
    rows = prompts_read(inputs["prompts"])[:3]
    texts = ["yes", "no no", "blue"]
    rewarder = Rewarder(None, model, None, how, variance_weight=2.0, pessimism_temperature=0.5)
    scores = rewarder([row.messages for row in rows], texts)
    first, second = model.score(
        [(row.messages, text) for row, text in zip(rows, texts, strict=True)]
    ).normalised
    mean = (first + second) / 2
    expected = {
        "mean": mean,
        "worst": torch.minimum(first, second),
        "mean_minus_variance": mean - 2.0 * (first - second).square() / 4,
        "soft_worst": -0.5 * (((-first / 0.5).exp() + (-second / 0.5).exp()) / 2).log(),
    }
    torch.testing.assert_close(scores.train, expected[how])
    torch.testing.assert_close(scores.spread, (first - second).abs() / 2)


def test_rewards_do_not_depend_on_packing(
    inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def noted(*arguments: Any, packed: bool = False) -> torch.Tensor:
        asked.append(packed)
        return score_rows(*arguments, packed=packed)

    monkeypatch.setattr(scoring, "score_rows", noted)
    train, held_out = map(
        reward_model_load, (inputs["reward_model"], inputs["held_out_reward_model"])
    )
    rows = prompts_read(inputs["prompts"])[:3]
    plain, packed = (
        Rewarder(None, train, held_out, packed=packed)(
            [row.messages for row in rows], ["yes", "no no blue", ""]
        )
        for packed in (False, True)
    )
    torch.testing.assert_close(tuple(packed), tuple(plain), atol=1e-5, rtol=0)
    assert asked == [False] * 3 + [True] * 3  # two members and the held-out model


def test_one_member_cannot_be_combined_cautiously(tmp_path: Path, inputs: dict[str, Path]) -> None:
    one = inputs | {"reward_model": inputs["held_out_reward_model"]}
    assert run(tmp_path / "run", one, reward_combination="worst") == EXIT_USER
    message = json.loads((tmp_path / "run" / "error.json").read_text())["message"]
    assert "'reward_model' has one member" in message


def test_the_critic_starts_as_the_normalised_reward_model(inputs: dict[str, Path]) -> None:
    policy = policy_load_path(inputs["policy"])
    model = reward_model_load(inputs["reward_model"])
    source = Rewarder(None, model, None).critic_source(policy)
    assert source is not None
    actor = ActorCritic.from_reward_model(
        policy.model, source.member.model, mean=source.mean, std=source.std
    )
    messages = prompts_read(inputs["prompts"])[0].messages
    prompt, response = (
        prompt_encode(policy.tokenizer, messages),
        completion_encode(policy.tokenizer, "yes"),
    )
    # The value before one more token is the score of the text so far.
    batch = pack_sequences([prompt], [[*response, 0]], pad_id=0, device=torch.device("cpu"))
    _, values = actor.logits_and_values(batch)
    score = model.score([(messages, "yes")]).normalised[0, 0]
    torch.testing.assert_close(values[0, -1], score, atol=1e-5, rtol=0)


def test_without_any_reward_the_missing_input_is_named(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    rest = {name: path for name, path in inputs.items() if "reward" not in name}
    assert run(tmp_path / "run", rest) == EXIT_USER
    assert "'reward_model'" in json.loads((tmp_path / "run" / "error.json").read_text())["message"]


def test_ppo_climbs_a_model_that_the_reward_recipe_trained(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    """Every pair prefers blue to red; a policy that follows pleases both models."""
    rows = [
        {
            "id": f"c{i}",
            "group": f"g{i}",
            "messages": [{"role": "user", "content": ppo_runs.QUESTIONS[i % 6]}],
            "completions": sorted(["blue sun", "red moon"], reverse=bool(i % 2)),
            "preference": float(i % 2 == 0),
            "split": "test" if i % 10 == 0 else "train",
        }
        for i in range(120)
    ]
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = RewardModelConfig(backbone=ModelSource(), members=2, learning_rate=3e-3, max_length=48)
    found = {"preferences": pairs, "policy": inputs["policy"]}
    references = {name: InputRef(str(path), path_sha256(path)) for name, path in found.items()}
    spec = RunSpec("rm-test", "reward_model", 3, references, config.to_json())
    (tmp_path / "rm").mkdir()
    (tmp_path / "rm" / "spec.json").write_text(json.dumps(spec.to_json()))
    order = [str(tmp_path / "rm" / "spec.json")]
    assert recipe_main(reward_model.main, "reward_model", RewardModelConfig, order) == 0
    models = {
        name: tmp_path / "rm" / manifest(tmp_path / "rm").artifact(name).path
        for name in ("reward_model", "held_out_reward_model")
    }
    changes = {"updates": 6, "prompts_per_update": 64, "micro_batch_size": 32}
    rates = {"policy_learning_rate": 1e-2, "value_learning_rate": 1e-2}
    assert run(tmp_path / "run", inputs | models, missing_eos_penalty=0.0, **changes, **rates) == 0
    first = ppo_runs.events(tmp_path / "run", "ppo")[0]["metrics"]
    final = manifest(tmp_path / "run").results["final"]
    assert final["reward_train"] > first["reward_train"] + 0.3
    assert final["reward_held_out"] > first["reward_held_out"]
