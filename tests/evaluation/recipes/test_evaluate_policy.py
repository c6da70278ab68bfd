import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from evaluation.contracts import PolicyMeasurements, SamplePair, Suite, SuiteItem, TaskSuite
from evaluation.recipes import evaluate_policy
from evaluation.recipes.check_task_suite import check
from evaluation.safety.refusal import MANNERS, manners_read
from evaluation.suite_files import suite_write
from tests.support.lm_eval_tasks import library_provided, task_folder
from tests.support.tiny_models import TEXTS, json_lines, tiny_policy_artifact, write_spec
from training.contracts import RunManifest
from training.digests import path_sha256

from .tiny_artifacts import tiny_reward_artifact

CONFIG = {"sampling": {"max_new_tokens": 8}, "bootstrap_resamples": 100, "best_of_n": 0}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("inputs")
    rows = [
        {
            "id": f"p{i}",
            "group": f"g{i % 12}",
            "messages": [{"role": "user", "content": TEXTS[i % 7]}],
        }
        for i in range(24)
    ]
    return {
        "candidate": tiny_policy_artifact(home / "candidate", seed=1),
        "incumbent": tiny_policy_artifact(home / "incumbent", seed=2),
        "reference": tiny_policy_artifact(home / "reference", seed=3),
        "reward_model": tiny_reward_artifact(home / "train", members=2),
        "held_out_reward_model": tiny_reward_artifact(home / "held_out", seed=9),
        "prompts": json_lines(home / "prompts.jsonl", rows),
    }


def run(directory: Path, inputs: dict[str, Path], **config) -> Path:
    spec = write_spec(directory, "evaluate_policy", {**CONFIG, **config}, inputs)
    assert evaluate_policy.main([str(spec)]) == 0
    return directory


def measurements(directory: Path) -> PolicyMeasurements:
    return PolicyMeasurements.from_json(json.loads((directory / "measurements.json").read_text()))


def test_a_run_writes_samples_highlights_and_measurements_with_their_hashes(tmp_path, inputs):
    run(tmp_path, inputs)
    manifest = RunManifest.from_json(json.loads((tmp_path / "manifest.json").read_text()))
    for name in ("samples", "highlights", "measurements"):
        artifact = manifest.artifact(name)
        assert artifact.sha256 == path_sha256(tmp_path / artifact.path)
    found = measurements(tmp_path)
    assert (found.prompts, found.groups) == (24, 12)
    assert found.kl["reference"].low > 0
    assert found.aa_difference is None
    assert found.ensemble_std_ratio is not None
    assert manifest.results == json.loads(json.dumps(found.to_json()))
    for pair in json.loads((tmp_path / "highlights.json").read_text()):
        SamplePair.from_json(pair)


def test_samples_carry_both_texts_and_what_the_gains_are_made_of(tmp_path, inputs):
    run(tmp_path, inputs)
    lines = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    assert [line["prompt_id"] for line in lines] == [f"p{i}" for i in range(24)]
    gains = [
        line["candidate"]["scores"]["train"] - line["incumbent"]["scores"]["train"]
        for line in lines
    ]
    assert sum(gains) / 24 == pytest.approx(measurements(tmp_path).train_gain.estimate)
    assert lines[0]["candidate"]["kl"].keys() == {"reference", "incumbent"}
    assert lines[0]["candidate"]["seed"] == lines[0]["incumbent"]["seed"]


def test_candidate_and_incumbent_with_the_same_weights_differ_by_exactly_nothing(tmp_path, inputs):
    copy = tiny_policy_artifact(tmp_path / "copy", seed=2)
    found = measurements(run(tmp_path / "run", {**inputs, "candidate": copy}))
    assert found.aa_difference == 0.0
    assert (found.train_gain.low, found.train_gain.high) == (0.0, 0.0)
    assert (found.kl["incumbent"].low, found.kl["incumbent"].high) == (0.0, 0.0)


def test_a_second_run_of_the_same_spec_measures_the_same(tmp_path, inputs):
    first, again = (run(tmp_path / name, inputs) for name in ("a", "b"))
    assert (first / "samples.jsonl").read_bytes() == (again / "samples.jsonl").read_bytes()
    assert measurements(first) == measurements(again)


def test_several_samples_a_prompt_measure_diversity_within_prompts(tmp_path, inputs):
    found = measurements(run(tmp_path, inputs, samples_per_prompt=2, max_prompts=10))
    assert found.prompts == 10
    assert "distinct_2_within" in found.diversity


def test_best_of_n_is_measured_on_what_was_drawn_and_what_it_lacks(tmp_path, inputs):
    """Four drawn by one evaluation, or one and three further ones: the same texts, the same curve."""
    curves = [
        measurements(
            run(
                tmp_path / str(own),
                inputs,
                samples_per_prompt=own,
                best_of_n=4,
                best_of_n_prompts=5,
            )
        ).best_of_n
        for own in (1, 4, 8)
    ]
    first = curves[0]
    assert first is not None
    assert (first.prompts, first.completions, [p.n for p in first.points]) == (5, 4, [1, 2, 4])
    rewards = [point.train.estimate for point in first.points]
    assert rewards == sorted(rewards)
    for other in curves[1:]:
        assert other is not None
        for point, same in zip(other.points, first.points, strict=True):
            assert point.train.estimate == pytest.approx(same.train.estimate, abs=1e-5)
            assert point.held_out.estimate == pytest.approx(same.held_out.estimate, abs=1e-5)
    events = (tmp_path / "1" / "events.jsonl").read_text()
    assert "Best of 4 on 5 prompts: 20 completions." in events


def test_a_plan_that_asks_for_no_best_of_n_gets_none(tmp_path, inputs):
    assert measurements(run(tmp_path, inputs, max_prompts=4)).best_of_n is None


def past_policy(path: Path, texts: Sequence[str]) -> Path:
    rows = [
        {
            "messages": [{"role": "user", "content": TEXTS[i % 7]}],
            "text": text,
            "group": f"g{i}",
        }
        for i, text in enumerate(texts)
    ]
    return json_lines(path, rows)


def test_reward_models_of_earlier_rounds_score_this_candidate_and_this_one_theirs(tmp_path, inputs):
    """Round 1 left texts and its reward model, round 2 texts alone, round 3 nothing."""
    past = {
        "past_policy_1": past_policy(tmp_path / "1.jsonl", TEXTS[:4]),
        "past_reward_model_1": inputs["held_out_reward_model"],
        "past_policy_2": past_policy(tmp_path / "2.jsonl", TEXTS[1:5]),
        "past_policy_3": past_policy(tmp_path / "3.jsonl", []),
    }
    found = measurements(
        run(tmp_path / "run", {**inputs, **past}, samples_per_prompt=2, past_prompts=6)
    )
    matrix = found.reward_matrix
    assert matrix is not None
    assert matrix.rounds == (1, 2, 3)
    assert [(c.reward_model, c.policy, c.reward.n) for c in matrix.cells] == [
        (1, 1, 4), (1, 2, 4), (1, None, 6), (None, 1, 4), (None, 2, 4), (None, None, 6),
    ]  # fmt: skip
    lines = [json.loads(s) for s in (tmp_path / "run" / "samples.jsonl").read_text().splitlines()]
    first = [line["candidate"]["scores"] for line in lines if line["sample"] == 0][:6]
    for model, scorer in (
        (None, "train"),
        (1, "held_out"),
    ):  # the held-out model is that of round 1
        reward = matrix.reward(model, None)
        assert reward is not None
        mean = sum(scores[scorer] for scores in first) / 6
        assert reward.estimate == pytest.approx(mean, abs=1e-5)


def test_without_earlier_rounds_there_is_no_matrix(tmp_path, inputs):
    assert measurements(run(tmp_path, inputs, max_prompts=4)).reward_matrix is None


@pytest.mark.parametrize(("limit", "more"), [(3, True), (2, False), (1, False)])
def test_more_samples_can_be_had_up_to_the_limit_of_the_plan(tmp_path, inputs, limit, more):
    drawn = run(tmp_path, inputs, samples_per_prompt=2, samples_limit=limit, max_prompts=4)
    assert measurements(drawn).more_samples_possible is more


def test_suites_are_answered_by_both_sides_and_read_from_their_files(tmp_path, inputs):
    pairs = Suite(
        "pairs",
        "minimal_pairs",
        tuple(SuiteItem(f"{i}", TEXTS[i], unwanted=TEXTS[i + 1]) for i in range(4)),
    )
    safety = Suite(
        "own", "safety", tuple(SuiteItem(f"{i}", "answer", prompt=TEXTS[i]) for i in range(3))
    )
    files = {}
    for n, suite in enumerate((safety, pairs), start=1):
        path = tmp_path / f"suite-{n}.json"
        path.write_text(suite_write(suite))
        files[f"suite_{n}"] = path
    found = measurements(run(tmp_path / "run", {**inputs, **files}, suite_samples=2)).suites
    assert [(rate.suite, rate.rate, rate.items) for rate in found] == [
        ("own", "benign_refusal", 3),
        ("pairs", "accuracy", 4),
    ]
    assert found[0].sha256 == path_sha256(files["suite_1"])
    events = (tmp_path / "run" / "events.jsonl").read_text()
    assert "own: 3 items answered." in events


def test_a_task_of_lm_eval_is_answered_through_the_library(tmp_path, inputs):
    with library_provided(tmp_path / "library"):
        files = task_folder(tmp_path / "task")
        suite = check(TaskSuite("house", "pick.yaml", limit=6, files=files))
        path = tmp_path / "suite-1.json"
        path.write_text(suite_write(suite))
        found = measurements(run(tmp_path / "run", {**inputs, "suite_1": path})).suites
    (rate,) = found
    assert (rate.suite, rate.rate, rate.items, rate.draws) == ("house", "accuracy", 6, 0)
    assert rate.sha256 == path_sha256(path)
    events = (tmp_path / "run" / "events.jsonl").read_text()
    assert "house: the candidate has answered 18 of 18 requests." in events
    assert "house: 6 items answered." in events


def test_manners_of_both_sides_are_measured_on_the_evaluation_prompts(tmp_path, inputs):
    found = measurements(run(tmp_path, inputs))
    assert found.suites == ()
    lines = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    for name in ("candidate", "incumbent"):
        manners = found.sides[name].manners
        assert tuple(manners) == MANNERS
        words = [manners_read(line[name]["text"])["words"] for line in lines]
        assert manners["words"].estimate == pytest.approx(sum(words) / len(words))
        assert all(0 <= manners[m].low <= manners[m].high <= 1 for m in MANNERS if m != "words")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"group": "g"}, "at least two groups"),
        ({"id": "p"}, "two rows share an id"),
    ],
)
def test_prompts_that_cannot_be_measured_end_in_a_sentence(tmp_path, inputs, change, sentence):
    rows = [json.loads(line) for line in inputs["prompts"].read_text().splitlines()]
    prompts = json_lines(tmp_path / "bad.jsonl", [{**row, **change} for row in rows])
    spec = write_spec(tmp_path / "run", "evaluate_policy", CONFIG, {**inputs, "prompts": prompts})
    assert evaluate_policy.main([str(spec)]) == 2
    assert sentence in json.loads((tmp_path / "run" / "error.json").read_text())["message"]


def test_a_missing_input_is_named(tmp_path, inputs):
    rest = {k: v for k, v in inputs.items() if k != "incumbent"}
    spec = write_spec(tmp_path, "evaluate_policy", CONFIG, rest)
    assert evaluate_policy.main([str(spec)]) == 2
    assert "'incumbent' is missing" in json.loads((tmp_path / "error.json").read_text())["message"]


@pytest.mark.parametrize("name", ["reward_model", "held_out_reward_model"])
def test_a_missing_reward_model_is_named_before_anything_is_drawn(
    tmp_path, inputs, monkeypatch, name
):
    monkeypatch.setattr(evaluate_policy, "_draw", lambda *_: pytest.fail("tokens were drawn"))
    rest = {k: v for k, v in inputs.items() if k != name}
    spec = write_spec(tmp_path, "evaluate_policy", CONFIG, rest)
    assert evaluate_policy.main([str(spec)]) == 2
    assert f"'{name}' is missing" in json.loads((tmp_path / "error.json").read_text())["message"]
