import json
from pathlib import Path

import pytest

from evaluation.contracts import RewardModelMeasurements
from evaluation.recipes import evaluate_reward_model
from tests.support.tiny_models import TEXTS, json_lines, write_spec
from training.core.reward.scoring import reward_model_load

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


def run(directory: Path, inputs: dict[str, Path]) -> RewardModelMeasurements:
    spec = write_spec(
        directory, "evaluate_reward_model", {"null_resamples": 100, "minimum_slice": 10}, inputs
    )
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
