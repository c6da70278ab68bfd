import json
from pathlib import Path
from typing import Any

import pytest

from evaluation.contracts import (
    EvaluateRewardModelConfig,
    RewardModelMeasurements,
    RewardSuite,
    RewardSuiteItem,
)
from evaluation.probes import PROBES
from evaluation.recipes import evaluate_reward_model
from evaluation.suite_files import suite_write
from tests.support.tiny_models import TEXTS, json_lines, write_spec
from training.core.reward.scoring import reward_model_load
from training.digests import path_sha256

from .tiny_artifacts import tiny_reward_artifact


def preference_rows(split: str, count: int, **changes) -> list[dict]:
    return [
        {
            "id": f"{split}{i}",
            "group": f"{split}{i // 2}",
            "messages": [{"role": "user", "content": TEXTS[i % 7]}],
            "completions": [TEXTS[(i + 1) % 7], TEXTS[(i + 3) % 7] + " " + TEXTS[i % 7]],
            "preference": [1.0, 0.0, 0.5][i % 3],
            "strength": [1.0, 6.0, 4.0][i % 3],
            "split": split,
            "rater": f"rater {i % 2}",
            **changes,
        }
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("inputs")
    rows = [*preference_rows("train", 30), *preference_rows("test", 60)]
    return {
        "reward_model": tiny_reward_artifact(home / "train", members=2),
        "held_out_reward_model": tiny_reward_artifact(home / "held_out", seed=9),
        "preferences": json_lines(home / "preferences.jsonl", rows),
    }


@pytest.fixture
def decided(tmp_path, inputs) -> dict[str, Path]:
    """The same pairs, on which all votes are for the first completion."""
    rows = preference_rows("test", 60, preference=1.0)
    return {**inputs, "preferences": json_lines(tmp_path / "decided.jsonl", rows)}


def run(directory: Path, inputs: dict[str, Path], **config: Any) -> RewardModelMeasurements:
    config = {"null_resamples": 100, "minimum_slice": 10, **config}
    spec = write_spec(directory, "evaluate_reward_model", config, inputs)
    assert evaluate_reward_model.main([str(spec)]) == 0
    document = json.loads((directory / "measurements.json").read_text())
    return RewardModelMeasurements.from_json(document)


def test_only_splits_outside_training_are_measured(tmp_path, inputs):
    found = run(tmp_path, inputs)
    assert list(found.splits) == ["test"]
    assert found.members == 2
    test = found.splits["test"]
    assert (test.pairs, test.ties, test.groups) == (60, 20, 30)
    assert test.held_out_accuracy is not None
    assert {s.dimension for s in test.slices} == {"rater", "length", "strength"}
    assert sum(b.count for b in test.reliability) == 40


def test_accuracy_is_that_of_the_mean_of_the_members(tmp_path, inputs):
    model = reward_model_load(inputs["reward_model"])
    right = []
    for row in preference_rows("test", 60):
        if row["preference"] == 0.5:
            continue
        raw = model.score([(row["messages"], c) for c in row["completions"]]).raw.mean(0)
        right.append(float((raw[0] > raw[1]).item() == (row["preference"] == 1.0)))
    found = run(tmp_path, inputs).splits["test"]
    assert found.accuracy.estimate == pytest.approx(sum(right) / len(right))


def test_the_held_out_model_may_be_left_out(tmp_path, inputs):
    rest = {k: v for k, v in inputs.items() if k != "held_out_reward_model"}
    assert run(tmp_path, rest).splits["test"].held_out_accuracy is None


def test_consistency_is_measured_on_both_models_and_the_same_texts(tmp_path, decided):
    found = run(tmp_path, decided).consistency
    assert list(found) == ["held_out_reward_model", "reward_model"]
    ours, theirs = found["reward_model"], found["held_out_reward_model"]
    assert (ours.split, ours.pairs) == ("test", theirs.pairs)
    assert ours.texts == theirs.texts > 2 * ours.pairs
    assert ours.prompt_swap != theirs.prompt_swap
    assert {each.name for each in ours.probes} >= {"flattery", "markdown", "refusal instead"}
    told = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [e["step"] for e in told if e["phase"] == "consistency"] == [1, 2]


def test_consistency_is_that_of_the_mean_of_the_members(tmp_path, decided):
    """The flattery probe, worked out again from the scores of the two members."""
    found = run(tmp_path, decided).consistency["reward_model"]
    probe = next(p for p in PROBES if p.name == "flattery")
    flattery = next(each for each in found.probes if each.name == "flattery")
    pairs = {
        (row["messages"][0]["content"], *row["completions"]): row
        for row in preference_rows("test", 60)
    }
    replies = [(row["messages"], text) for row in pairs.values() for text in row["completions"]]
    model = reward_model_load(decided["reward_model"])
    written = model.score(replies).raw.mean(0)
    praised = model.score([(m, probe.change(t)) for m, t in replies]).raw.mean(0)
    assert flattery.replies == len(replies) == 14
    assert flattery.raised.estimate == pytest.approx((praised > written).double().mean().item())
    rise = (praised - written).mean() / written.std(correction=0)
    assert flattery.shift.estimate == pytest.approx(rise.item(), rel=1e-4)


def test_pairs_without_a_better_side_say_nothing_of_consistency(tmp_path, inputs):
    """Of the seven pairs each was judged either way as often."""
    assert run(tmp_path, inputs).consistency == {}
    assert "Consistency is left out" in (tmp_path / "events.jsonl").read_text()


def test_consistency_may_be_left_out(tmp_path, decided):
    assert run(tmp_path, decided, consistency_pairs=0).consistency == {}
    with pytest.raises(ValueError, match="at least 0"):
        EvaluateRewardModelConfig(consistency_pairs=-1)


def test_suites_are_measured_in_their_order_and_read_from_their_files(tmp_path, inputs):
    def item(n: int) -> RewardSuiteItem:
        return RewardSuiteItem(
            ({"role": "user", "content": TEXTS[n]},), (TEXTS[n + 1],), (TEXTS[n + 2],), "one"
        )

    files = {}
    for number in (1, 2, 10):
        path = tmp_path / f"suite-{number}.json"
        path.write_text(
            suite_write(RewardSuite(f"suite {number}", (item(0), item(number % 4 + 1))))
        )
        files[f"suite_{number}"] = path
    found = run(tmp_path / "run", {**inputs, **files}).suites
    assert [suite.suite for suite in found] == ["suite 1", "suite 2", "suite 10"]
    assert found[0].sha256 == path_sha256(files["suite_1"])
    assert found[0].mean.questions == 2
    assert found[0].mean.held_out is not None


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (preference_rows("train", 9), "no row is in validation or test"),
        (preference_rows("test", 9, preference=0.5), "untied pairs of two groups"),
    ],
)
def test_pairs_that_cannot_be_measured_end_in_a_sentence(tmp_path, inputs, rows, sentence):
    preferences = json_lines(tmp_path / "bad.jsonl", rows)
    spec = write_spec(
        tmp_path / "run", "evaluate_reward_model", {}, {**inputs, "preferences": preferences}
    )
    assert evaluate_reward_model.main([str(spec)]) == 2
    assert sentence in json.loads((tmp_path / "run" / "error.json").read_text())["message"]
