import json
from typing import Any

import pytest

from tests.support.recipes import manifest
from tests.support.tiny_models import (
    json_lines,
    tiny_classifier,
    tiny_policy_artifact,
    write_spec,
)
from training.contracts import SamplePairsConfig
from training.core.data.json_lines import completions_read
from training.core.model.loading import model_save
from training.core.reward.scoring import reward_model_load
from training.core.run.run_directory import recipe_main
from training.recipes import sample_pairs

PROMPTS: list[dict[str, Any]] = [
    {"id": f"p{i}", "messages": [{"role": "user", "content": text}], "group": f"g{i}"}
    for i, text in enumerate(["What is 7 plus 5?", "How?", "How many metres are 3 km?"])
]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    path = tmp_path_factory.mktemp("inputs")
    model_save(tiny_classifier(), path / "reward" / "member_0")
    model_save(tiny_classifier(seed=1), path / "reward" / "member_1")
    settings = {
        "members": [
            {"path": f"member_{i}", "mean": 0.1, "std": 0.5, "temperature": 1.0 + i}
            for i in range(2)
        ],
        "max_length": 64,
    }
    (path / "reward" / "ensemble.json").write_text(json.dumps(settings))
    return {
        "policy": tiny_policy_artifact(path / "policy"),
        "prompts": json_lines(path / "prompts.jsonl", PROMPTS),
        "reward_model": path / "reward",
    }


def run(tmp_path, inputs, name="run", prompts=None, **changes):
    config = {
        "completions_per_prompt": 3,
        "sampling": {"max_new_tokens": 6, "batch_size": 4},
        **changes,
    }
    spec = write_spec(tmp_path / name, "sample_pairs", config, inputs)
    code = recipe_main(sample_pairs.main, "sample_pairs", SamplePairsConfig, [str(spec)])
    return code, spec


def test_every_prompt_gets_its_scored_completions(tmp_path, inputs):
    code, spec = run(tmp_path, inputs)
    assert code == 0
    rows = completions_read(spec.parent / "completions.jsonl")
    assert [r["prompt_id"] for r in rows] == ["p0", "p1", "p2"]
    model = reward_model_load(inputs["reward_model"])
    for row, prompt in zip(rows, PROMPTS, strict=True):
        assert len({c["text"] for c in row["completions"]}) == 3
        assert len({c["seed"] for c in row["completions"]}) == 3
        for completion in row["completions"]:
            assert set(completion) == {"text", "tokens", "ended", "seed", "scores"}
            assert 1 <= completion["tokens"] <= 6
            scores = model.score([(prompt["messages"], completion["text"])])
            expected = {
                "reward_model": float(scores.combined()[0]),
                "reward_model/log_odds_0": float(scores.raw[0, 0]),
                "reward_model/log_odds_1": float(scores.raw[1, 0]) / 2,
            }
            assert completion["scores"] == pytest.approx(expected, abs=1e-4)
    results = manifest(spec).results
    assert (results["prompts"], results["completions"], results["repeated"]) == (3, 9, 0)
    assert results["sampling"]["top_p"] == 1.0


def test_same_order_gives_the_same_texts(tmp_path, inputs):
    _, one = run(tmp_path, inputs, "one")
    _, two = run(tmp_path, inputs, "two", sampling={"max_new_tokens": 6, "batch_size": 1})

    def texts(spec):
        rows = completions_read(spec.parent / "completions.jsonl")
        return [c["text"] for row in rows for c in row["completions"]]

    assert texts(one) == texts(two)


def test_identical_texts_are_drawn_again_at_most_three_times(tmp_path, inputs, monkeypatch):
    rounds = []
    real = sample_pairs._draw_all

    def watched(run, policy, draws, phase):
        rounds.append((phase, len(draws)))
        real(run, policy, draws, phase)

    monkeypatch.setattr(sample_pairs, "_draw_all", watched)
    greedy = {"max_new_tokens": 6, "temperature": 0.0, "batch_size": 4}
    code, spec = run(tmp_path, inputs, sampling=greedy)
    assert code == 0
    assert rounds == [("sample", 9), ("resample", 6), ("resample", 6), ("resample", 6)]
    assert manifest(spec).results["repeated"] == 6


def test_prompts_that_do_not_fit_are_named(tmp_path, inputs):
    code, spec = run(tmp_path, inputs, sampling={"max_new_tokens": 90})
    assert code == 2
    assert (
        "'p0' has 8 tokens; with 90 new ones it exceeds the policy's 96"
        in (spec.parent / "error.json").read_text()
    )
    twice = json_lines(tmp_path / "twice.jsonl", [PROMPTS[0], PROMPTS[0]])
    code, spec = run(tmp_path, {**inputs, "prompts": twice}, "twice")
    assert code == 2
