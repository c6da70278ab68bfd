"""DPO from spec to manifest on a tiny policy: what it learns, what it leaves alone, what it refuses."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import ppo_runs
from tests.support.optimiser_runs import (
    MEASURE,
    dpo_config,
    manifest,
    message,
    run,
    write_inputs,
    write_pairs,
)
from training.contracts import EXIT_ERROR, EXIT_USER, AdapterConfig, Alarms, Sampling
from training.core.data.pairs import group_held_out
from training.core.data.sequences import pack_sequences
from training.core.data.tokenizers import completion_encode, prompt_encode
from training.core.model.actor_critic import response_logits
from training.core.model.loading import policy_load_path
from training.core.model.logprobs import token_log_probs
from training.core.rollout.engine import OwnEngine
from training.core.rollout.reference_texts import reference_responses
from training.recipes import dpo, dpo_reference


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_inputs(tmp_path_factory.mktemp("inputs"))


def completion_log_probs(policy: Path, question: str, texts: list[str]) -> list[float]:
    loaded = policy_load_path(policy)
    prompt = prompt_encode(loaded.tokenizer, [{"role": "user", "content": question}])
    answers = [completion_encode(loaded.tokenizer, text) for text in texts]
    batch = pack_sequences(
        [prompt] * len(texts), answers, pad_id=loaded.pad_id, device=torch.device("cpu")
    )
    with torch.no_grad():
        taken = token_log_probs(response_logits(loaded.model, batch), batch.responses)
    sums: list[float] = taken.masked_fill(~batch.mask, 0).sum(1).tolist()
    return sums


def test_the_preferred_text_becomes_likelier_than_the_other(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    assert run("dpo", tmp_path / "run", inputs, dpo_config(epochs=6)) == 0
    changes = []
    for text in ("blue sun", "red moon"):
        after, before = (
            completion_log_probs(at, ppo_runs.QUESTIONS[0], [text])[0]
            for at in (tmp_path / "run" / "policy", inputs["policy"])
        )
        changes.append(after - before)
    assert changes[0] > changes[1] + 1
    rows = ppo_runs.events(tmp_path / "run", "dpo")
    first, last = rows[0]["metrics"], rows[-1]["metrics"]
    assert first["validation_loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert last["validation_implicit_accuracy"] == 1.0
    assert last["implicit_margin"] > 0
    assert last["loss"] < math.log(2)
    steps = [row["step"] for row in ppo_runs.events(tmp_path / "run", "train")]
    assert steps == list(range(1, rows[-1]["step"] + 1))


def test_pairs_of_the_held_out_model_s_groups_are_left_alone(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    assert run("dpo", tmp_path / "run", inputs, dpo_config(epochs=1)) == 0
    rows = [json.loads(line) for line in inputs["preferences"].read_text().splitlines()]
    kept = [r for r in rows if r["split"] == "train" and not group_held_out(r["group"], 0.25)]
    results = manifest(tmp_path / "run").results
    assert 0 < results["pairs"] == len(kept) < sum(r["split"] == "train" for r in rows)
    assert results["ties"] == sum(r["preference"] == 0.5 for r in kept)


def test_without_reward_models_it_learns_the_same(tmp_path: Path, inputs: dict[str, Path]) -> None:
    rest = {name: path for name, path in inputs.items() if "reward" not in name}
    for name, given in (("with", inputs), ("without", rest)):
        assert run("dpo", tmp_path / name, given, dpo_config(epochs=1)) == 0
    shas = [manifest(tmp_path / n).artifact("policy").sha256 for n in ("with", "without")]
    assert shas[0] == shas[1]
    for row in ppo_runs.events(tmp_path / "without", "dpo"):
        assert row["metrics"]["reward_train"] is None
        assert row["metrics"]["kl_exact"] is not None


def test_the_temperature_that_a_policy_is_measured_at_changes_nothing_that_it_learns(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    losses, weights = [], []
    for temperature in (1.0, 0.5):
        measure = replace(MEASURE, sampling=Sampling(max_new_tokens=6, temperature=temperature))
        at = tmp_path / str(temperature)
        assert run("dpo", at, inputs, dpo_config(epochs=1, measure=measure)) == 0
        losses.append([row["metrics"]["loss"] for row in ppo_runs.events(at, "train")])
        weights.append((at / "policy" / "model.safetensors").read_bytes())
    assert losses[0] == losses[1]
    assert weights[0] == weights[1]


def test_kto_tells_pairs_apart_and_measures_its_point_on_strangers(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    """However many texts are in memory at once: the point is that of the whole batch."""
    losses = []
    for size in (2, 64):
        at, config = tmp_path / str(size), dpo_config(loss="kto", epochs=6, micro_batch_size=size)
        assert run("dpo", at, inputs, config) == 0
        rows = [row["metrics"] for row in ppo_runs.events(at, "train")]
        losses.append([row["loss"] for row in rows])
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    assert losses[1][0] == pytest.approx(0.5, abs=1e-5)
    assert rows[0]["reference_point"] == pytest.approx(0.0, abs=1e-5)
    assert all(row["reference_point"] >= 0 for row in rows)
    last = ppo_runs.events(at, "dpo")[-1]["metrics"]
    assert last["validation_implicit_accuracy"] == 1.0
    assert last["validation_loss"] < 0.5
    assert "reference_point" not in last


def test_the_bonus_makes_what_the_reference_writes_less_likely_and_is_the_same_after_a_crash(
    tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    said, shas = {}, {}
    for name, alpha, size in (("plain", 0.0, 64), ("bonus", 0.05, 64), ("small", 0.05, 3)):
        at = tmp_path / name
        settings = dpo_config(exploration=alpha, epochs=3, micro_batch_size=size)
        assert run("dpo", at, inputs, settings) == 0
        said[name] = [row["metrics"] for row in ppo_runs.events(at, "train")]
        shas[name] = manifest(at).artifact("policy").sha256
    explored = [row["explored_log_prob"] for row in said["bonus"]]
    assert explored[-1] < explored[0] - 2
    assert "explored_log_prob" not in said["plain"][0]
    assert [row["explored_log_prob"] for row in said["small"]] == pytest.approx(explored, abs=1e-2)
    # The same first step, whose loss is of the labels alone, with another gradient.
    assert said["bonus"][0]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert said["bonus"][0]["grad_norm"] != pytest.approx(said["plain"][0]["grad_norm"], rel=1e-3)
    assert shas["bonus"] != shas["plain"]
    settings = dpo_config(exploration=0.05, epochs=3, micro_batch_size=64)
    take = dpo.train_step

    def failing(parts: Any, progress: Any, batch: Any) -> Any:
        if progress.step == 3:
            raise RuntimeError("power cut")
        return take(parts, progress, batch)

    with monkeypatch.context() as power:
        power.setattr(dpo, "train_step", failing)
        assert run("dpo", tmp_path / "cut", inputs, settings) == EXIT_ERROR
    assert run("dpo", tmp_path / "cut", inputs, settings) == 0
    assert manifest(tmp_path / "cut").artifact("policy").sha256 == shas["bonus"]


@pytest.mark.parametrize("adapter", ["none", "lora"])
def test_the_explored_text_is_what_the_reference_writes_to_the_prompt_of_its_pair(
    tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch, adapter: Any
) -> None:
    seen: list[Any] = []

    def noted(policy: Any, reference: Any, prompts: Any, seeds: Any, **settings: Any) -> Any:
        drawn = reference_responses(policy, reference, prompts, seeds, **settings)
        seen.append((prompts, seeds, settings["sampling"], drawn))
        return drawn

    monkeypatch.setattr(dpo_reference, "reference_responses", noted)
    measure = replace(MEASURE, sampling=Sampling(max_new_tokens=6, temperature=0.5))
    settings = dpo_config(
        exploration=0.1, epochs=1, measure=measure, adapter=AdapterConfig(kind=adapter, rank=2)
    )
    assert run("dpo", tmp_path / "run", inputs, settings) == 0
    ((prompts, seeds, sampling, drawn),) = seen
    assert sampling.temperature == 1.0
    assert len(set(seeds)) == len(prompts) == manifest(tmp_path / "run").results["pairs"]
    loaded = policy_load_path(inputs["reference"])
    questions = {
        tuple(prompt_encode(loaded.tokenizer, [{"role": "user", "content": question}]))
        for question in ppo_runs.QUESTIONS
    }
    assert {tuple(prompt) for prompt in prompts} == questions
    alone = OwnEngine(loaded, sampling).sample(prompts[3:4], seeds[3:4]).responses
    assert alone == drawn[3:4]


def test_pairs_marked_both_bad_become_less_likely_by_kto_alone(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    rows = [json.loads(line) for line in inputs["preferences"].read_text().splitlines()]
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("".join(json.dumps(row | {"both_bad": True}) + "\n" for row in rows))
    changes = {}
    for loss in ("dpo", "kto"):
        at = tmp_path / loss
        settings = dpo_config(loss=loss, epochs=4)
        assert run("dpo", at, inputs | {"preferences": pairs}, settings) == 0
        after, before = (
            completion_log_probs(policy, ppo_runs.QUESTIONS[0], ["blue sun", "red moon"])
            for policy in (at / "policy", inputs["policy"])
        )
        changes[loss] = [one - other for one, other in zip(after, before, strict=True)]
        assert manifest(at).results["both_bad"] == manifest(at).results["pairs"]
    assert max(changes["kto"]) < -0.5
    assert changes["dpo"][0] > changes["kto"][0] + 0.5


def test_how_many_texts_are_in_memory_at_once_changes_only_rounding(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    losses = []
    for size in (2, 64):
        settings = dpo_config(epochs=1, micro_batch_size=size)
        assert run("dpo", tmp_path / str(size), inputs, settings) == 0
        rows = ppo_runs.events(tmp_path / str(size), "train")
        losses.append([row["metrics"]["loss"] for row in rows])
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"beta": 0.0}, "beta is 0.0; set it above 0"),
        ({"label_smoothing": 0.5}, "label_smoothing is 0.5"),
        ({"simpo_margin": -1.0}, "simpo_margin is -1.0"),
        ({"desirable_weight": 0.0}, "desirable_weight is 0.0"),
        ({"exploration": -0.1}, "exploration is -0.1"),
        ({"exploration": 0.1, "loss": "ipo"}, "set exploration to 0"),
        ({"pessimism_temperature": 0.0}, "pessimism_temperature is 0.0"),
        ({"max_length": 500}, "the model reads at most 64 tokens"),
        ({"measure": replace(MEASURE, points=0)}, "measure.points is 0"),
        ({"measure": replace(MEASURE, sampling=Sampling(top_p=0.9))}, "top_k 0 and top_p 1"),
        (
            {"measure": replace(MEASURE, alarms=Alarms(outlier_share=0.4))},
            "measure.alarms.outlier_share rings in PPO alone",
        ),
        ({"measure": replace(MEASURE, sampling=Sampling(max_new_tokens=60))}, "the policy has 64"),
    ],
)
def test_what_cannot_work_is_said_in_one_sentence_before_any_step(
    tmp_path: Path, inputs: dict[str, Path], changes: dict[str, Any], sentence: str
) -> None:
    assert run("dpo", tmp_path / "run", inputs, dpo_config(**changes)) == EXIT_USER
    assert sentence in message(tmp_path / "run")
    assert not ppo_runs.events(tmp_path / "run", "dpo")


def test_prompts_too_long_for_the_reference_to_answer_are_refused(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    rows = [json.loads(line) for line in inputs["preferences"].read_text().splitlines()]
    for row in rows:
        row["messages"] = [{"role": "user", "content": " ".join([ppo_runs.QUESTIONS[0]] * 8)}]
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    measure = replace(MEASURE, sampling=Sampling(max_new_tokens=40))
    changed, config = inputs | {"preferences": pairs}, dpo_config(exploration=0.1, measure=measure)
    assert run("dpo", tmp_path / "run", changed, config) == EXIT_USER
    assert "and the model reads at most 64" in message(tmp_path / "run")


def test_too_few_groups_for_both_sides_are_refused(tmp_path: Path, inputs: dict[str, Path]) -> None:
    changed = inputs | {"preferences": write_pairs(tmp_path / "pairs.jsonl", count=1)}
    assert run("dpo", tmp_path / "run", changed, dpo_config()) == EXIT_USER
    assert "label more groups" in message(tmp_path / "run")


@pytest.mark.slow
def test_a_bandit_ends_at_its_closed_form(tmp_path: Path, inputs: dict[str, Path]) -> None:
    """One prompt, four answers, every pair labelled by Bradley-Terry: pi ~ pi_ref exp(r / beta)."""
    question, beta = ppo_runs.QUESTIONS[0], 0.5
    rewards = {"yes": 0.0, "no": 0.4, "cat": -0.3, "dog": 0.2}
    rows = [
        {
            "id": f"{a}-{b}",
            "group": question,
            "messages": [{"role": "user", "content": question}],
            "completions": [a, b],
            "preference": 1 / (1 + math.exp(rewards[b] - rewards[a])),
            "split": "train",
        }
        for a, b in itertools.combinations(rewards, 2)
    ]
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = dpo_config(
        beta=beta,
        held_out_share=0.0,
        epochs=150,
        learning_rate=1e-2,
        checkpoint_every=1000,
        measure=replace(MEASURE, points=1),
    )
    given = inputs | {"preferences": pairs}
    assert run("dpo", tmp_path / "run", given, settings) == 0
    texts = list(rewards)
    before = torch.tensor(completion_log_probs(inputs["policy"], question, texts))
    after = torch.tensor(completion_log_probs(tmp_path / "run" / "policy", question, texts))
    expected = (before + torch.tensor(list(rewards.values())) / beta).softmax(0)
    torch.testing.assert_close(after.softmax(0), expected, atol=1e-2, rtol=0)
    assert float((before.softmax(0) - expected).abs().max()) > 0.03
