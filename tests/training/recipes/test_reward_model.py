import json
import random
import re
import shutil
from typing import Any

import pytest
import torch

from tests.support.recipes import (
    events,
    manifest,
    recipe_kill_after,
    recipe_run,
    recipe_run_on_two,
)
from tests.support.tiny_models import TINY_SIZES, json_lines, tiny_policy_artifact, write_spec
from training.contracts import RewardModelConfig
from training.core.data.pairs import group_held_out
from training.core.model import loading
from training.core.reward.members import ensemble_measure
from training.core.reward.planning import members_planned
from training.core.reward.scoring import reward_model_load
from training.core.run.run_directory import recipe_main
from training.digests import artifact_verify
from training.recipes import reward_member, reward_model, runtime

GOOD, BAD = "Use the kill command.", "I can't help."


def preference_rows(count=120, seed=0):
    """The good answer wins, whatever its place and length; every ninth pair is a tie."""
    generator, rows = random.Random(seed), []
    for i in range(count):
        padding = [" then check." * generator.randrange(3) for _ in range(2)]
        texts, preference = [GOOD + padding[0], BAD + padding[1]], 1.0
        if generator.random() < 0.5:
            texts, preference = texts[::-1], 0.0
        if i % 9 == 0:
            preference = 0.5
        rows.append(
            {
                "id": str(i),
                "group": f"group {i // 2}",
                "messages": [{"role": "user", "content": f"How do I end a process {i % 5}?"}],
                "completions": texts,
                "preference": preference,
                "strength": 4.0 if preference == 0.5 else 7 - 5 * preference,
                "split": ("train", "train", "train", "validation", "test")[i // 2 % 5],
            }
        )
    return rows


def config(**changes):
    return {
        "backbone": {"kind": "fresh", **TINY_SIZES},
        "epochs": 4,
        "batch_size": 8,
        "learning_rate": 0.01,
        "max_length": 64,
        "checkpoint_every": 4,
        "log_every": 2,
        **changes,
    }


def spec_of(tmp_path, name="run", inputs=None, rows=None, **changes):
    data = json_lines(tmp_path / f"{name}.jsonl", rows or preference_rows())
    return write_spec(
        tmp_path / name, "reward_model", config(**changes), {"preferences": data, **(inputs or {})}
    )


def train(spec):
    return recipe_main(reward_model.main, "reward_model", RewardModelConfig, [str(spec)])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("reward")
    policy = tiny_policy_artifact(path / "policy")
    spec = spec_of(path, inputs={"policy": policy}, backbone={"kind": "input"})
    assert train(spec) == 0
    return spec


def test_models_learn_what_is_preferred(trained):
    test = manifest(trained).results["test"]
    assert test["ensemble"]["accuracy"] == 1.0
    assert test["held_out_model"]["accuracy"] > 0.9
    assert len(test["members"]) == 2
    assert test["ensemble"]["nll_calibrated"] < test["ensemble"]["nll"] + 0.05
    low, high = test["ensemble"]["interval"]
    assert 0.7 < low < high == 1.0


def test_length_baseline_stands_on_the_same_pairs(trained):
    test = manifest(trained).results["test"]
    rows = [r for r in preference_rows() if r["split"] == "test"]
    assert test["ties"] == sum(r["preference"] == 0.5 for r in rows)
    assert test["length_baseline"]["pairs"] == test["ensemble"]["pairs"] == len(rows) - test["ties"]
    assert test["groups"] == len({r["group"] for r in rows})
    longer = longer_share("train")
    expected = longer_share("test") if longer >= 0.5 else 1 - longer_share("test")
    assert test["length_baseline"]["direction"] == ("longer" if longer >= 0.5 else "shorter")
    assert test["length_baseline"]["accuracy"] == pytest.approx(expected)


def longer_share(split):
    """The share of untied pairs of the members' data that the longer text wins; equal: half."""
    points = []
    for row in preference_rows():
        seen = split == "test" or not group_held_out(row["group"], 0.25)
        if row["split"] == split and row["preference"] != 0.5 and seen:
            first, second = (len(re.findall(r"\w+|[^\w\s]", t)) for t in row["completions"])
            won = (first > second) == (row["preference"] == 1.0)
            points.append(0.5 if first == second else float(won))
    return sum(points) / len(points)


def test_artifacts_are_whole_and_normalised(trained):
    done = manifest(trained)
    for name, members in (("reward_model", 2), ("held_out_reward_model", 1)):
        artifact = done.artifact(name)
        assert artifact.kind == name
        artifact_verify(trained.parent / artifact.path, artifact.sha256)
        assert len(reward_model_load(trained.parent / artifact.path).members) == members
    model = reward_model_load(trained.parent / "reward_model")
    rows = [r for r in preference_rows() if r["split"] == "train"]
    good = model.score([(r["messages"], GOOD) for r in rows]).combined()
    bad = model.score([(r["messages"], BAD) for r in rows]).combined()
    assert (good > bad).all()
    assert torch.cat([good, bad]).mean().abs() < 1
    assert not (trained.parent / "members").exists()


def test_members_differ_but_share_their_pairs(trained):
    model = reward_model_load(trained.parent / "reward_model")
    heads = [m.model.score.weight for m in model.members]
    assert not torch.allclose(heads[0], heads[1])
    phases = {e["phase"]: e["total_steps"] for e in events(trained)}
    assert phases["train member_0"] == phases["train member_1"] > phases["train held_out"]


def test_reference_samples_set_the_scale(tmp_path):
    prompts: list[dict[str, Any]] = [
        {"id": "a", "messages": [{"role": "user", "content": "How?"}], "group": "g"}
    ]
    texts = [GOOD, BAD, "12.", "7 plus 5 is 12."]
    samples = [{"prompt_id": "a", "completions": [{"text": t} for t in texts]}]
    inputs = {
        "prompts": json_lines(tmp_path / "prompts.jsonl", prompts),
        "reference_samples": json_lines(tmp_path / "samples.jsonl", samples),
    }
    spec = spec_of(tmp_path, inputs=inputs, epochs=1, members=1)
    assert train(spec) == 0
    results = manifest(spec).results
    assert (results["reference"], results["reference_texts"]) == ("reference samples", 4)
    for name in ("reward_model", "held_out_reward_model"):
        model = reward_model_load(spec.parent / name)
        scores = model.score([(prompts[0]["messages"], t) for t in texts]).normalised
        assert scores.mean() == pytest.approx(0, abs=1e-4)
        assert scores.std(unbiased=False) == pytest.approx(1, abs=1e-4)


def test_encoder_backbone_with_margins_smoothing_and_centering(tmp_path):
    spec = spec_of(
        tmp_path,
        backbone={"kind": "fresh", **TINY_SIZES, "architecture": "bert"},
        epochs=8,
        members=1,
        margin_scale=0.2,
        label_smoothing=0.02,
        centering=0.01,
    )
    assert train(spec) == 0
    assert manifest(spec).results["test"]["ensemble"]["accuracy"] > 0.9


def test_pairs_across_prompts_join_the_training_of_every_model_and_no_measurement(tmp_path):
    plain, more = (
        spec_of(tmp_path, name, members=1, epochs=1, cross_prompt_share=share)
        for name, share in (("plain", 0.0), ("more", 0.5))
    )
    assert train(plain) == train(more) == 0
    before, after = (manifest(spec).results for spec in (plain, more))
    assert before["pairs"] == after["pairs"]
    made = {side: round(0.5 * before["pairs"][side]) for side in ("train", "held_out")}
    assert min(made.values()) > 0
    assert after["cross_prompt_pairs"] == made
    assert before["cross_prompt_pairs"] == {"train": 0, "held_out": 0}


def test_pairs_across_prompts_are_learned_from_and_set_no_scale(tmp_path, monkeypatch):
    learned, scaled = [], []
    plan, measure = members_planned, ensemble_measure

    def planned(config, division, **settings):
        learned.append(len(division.train))
        return plan(config, division, **settings)

    def measured(directories, division, *rest, **settings):
        scaled.append(len(division.train))
        return measure(directories, division, *rest, **settings)

    monkeypatch.setattr(reward_model, "members_planned", planned)
    monkeypatch.setattr(reward_model, "ensemble_measure", measured)
    spec = spec_of(tmp_path, "more", members=1, epochs=1, cross_prompt_share=0.5)
    assert train(spec) == 0
    judged = manifest(spec).results["pairs"]["train"]
    assert learned == [judged + round(0.5 * judged)]
    assert scaled == [judged, judged]


@pytest.mark.parametrize(("truncation", "cut"), [("middle", 1), ("drop", 0)])
def test_long_texts_are_cut_or_dropped_counted_and_told(tmp_path, truncation, cut):
    rows = preference_rows(60)
    rows[0]["messages"][0]["content"] = "word " * 200
    rows[1]["completions"][1] = "word " * 200  # no prompt would be left
    spec = spec_of(tmp_path, rows=rows, epochs=1, members=1, truncation=truncation)
    assert train(spec) == 0
    results = manifest(spec).results
    assert (results["cut_texts"], results["cut_rows"]) == (2 * cut, cut)
    assert results["dropped_rows"] == 2 - cut
    assert sum(results["pairs"].values()) == 58 + cut
    events = (spec.parent / "events.jsonl").read_text().splitlines()
    told = [e["message"] for e in map(json.loads, events) if e["phase"] == "texts"]
    assert told == [results["length_warning"]]
    assert f"{cut} were cut" in told[0]
    settings = reward_model_load(spec.parent / "reward_model").settings
    assert settings.truncation == truncation


class Killed(BaseException):
    """Stands for a kill: nothing after it runs."""


def cut_and_resumed(spec, monkeypatch, *, at):
    """The program dies before its optimiser step number `at`, and goes on to its end."""
    steps, real = [], runtime.optimizer_step

    def dies(*arguments, **settings):
        steps.append(1)
        if len(steps) == at:
            raise Killed
        return real(*arguments, **settings)

    with monkeypatch.context() as death:
        death.setattr(reward_member, "optimizer_step", dies)
        with pytest.raises(Killed):
            train(spec)
    assert train(spec) == 0


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    spec = spec_of(tmp_path_factory.mktemp("whole"), epochs=2)
    assert train(spec) == 0
    return spec


@pytest.mark.parametrize("at", [6, 20, 31])
def test_interrupted_run_ends_with_the_same_weights(tmp_path, monkeypatch, whole, at):
    broken = spec_of(tmp_path, "broken", epochs=2)
    cut_and_resumed(broken, monkeypatch, at=at)
    for name in ("reward_model", "held_out_reward_model"):
        assert manifest(broken).artifact(name).sha256 == manifest(whole).artifact(name).sha256
    assert manifest(broken).results == manifest(whole).results


def test_labels_move_after_each_epoch_and_resume_where_they_were(tmp_path, monkeypatch):
    """Cut in the third epoch, after a checkpoint of it: the labels of two updates are carried over."""
    settings = {"epochs": 3, "members": 1, "checkpoint_every": 1, "label_updating": 0.5}
    seen, real_update = [], reward_member._labels_update

    def noted(training):
        before = training.preferences
        real_update(training)
        seen.append((before, training.preferences))

    monkeypatch.setattr(reward_member, "_labels_update", noted)
    whole = spec_of(tmp_path, "whole", **settings)
    assert train(whole) == 0
    assert len(seen) == 4  # two of the member, two of the held-out model
    for before, after in seen:
        assert all(abs(new - old) <= 0.5 for old, new in zip(before, after, strict=True))
        assert before != after
    assert seen[1][0] == seen[0][1]
    steps = phase_rows(whole, "train")[0]["total_steps"]

    broken = spec_of(tmp_path, "broken", **settings)
    cut_and_resumed(broken, monkeypatch, at=steps - 1)
    for name in ("reward_model", "held_out_reward_model"):
        assert manifest(broken).artifact(name).sha256 == manifest(whole).artifact(name).sha256


def test_early_stopping_resumes_to_the_same_end(tmp_path, monkeypatch):
    """The cut falls after the best step and before the stop, where the kept weights must survive."""
    settings = {"epochs": 6, "members": 1, "validate_every": 1, "patience": 2, "log_every": 50}
    noisy = preference_rows(60, seed=3)
    for row in noisy[::3]:
        row["preference"] = 1 - row["preference"]
    whole = spec_of(tmp_path, "whole", rows=noisy, learning_rate=0.05, **settings)
    assert train(whole) == 0
    member = manifest(whole).results["test"]["members"][0]
    assert 0 < member["kept_step"] < member["steps"] < phase_rows(whole, "train")[0]["total_steps"]
    measured = {e["step"]: e["metrics"]["validation_nll"] for e in phase_rows(whole, "validate")}
    assert measured[member["kept_step"]] == min(measured.values())
    assert "weights are kept" in phase_rows(whole, "validate")[-1]["message"]

    broken = spec_of(
        tmp_path, "broken", rows=noisy, learning_rate=0.05, checkpoint_every=1, **settings
    )
    cut_and_resumed(broken, monkeypatch, at=member["kept_step"] + 2)
    for name in ("reward_model", "held_out_reward_model"):
        assert manifest(broken).artifact(name).sha256 == manifest(whole).artifact(name).sha256
    assert manifest(broken).results == manifest(whole).results


def phase_rows(spec, what, member="member_0"):
    return [e for e in events(spec) if e["phase"] == f"{what} {member}"]


def test_early_stopping_needs_validation_pairs(tmp_path):
    rows = [row for row in preference_rows(60) if row["split"] != "validation"]
    spec = spec_of(tmp_path, rows=rows, validate_every=5)
    assert train(spec) == 2
    message = json.loads((spec.parent / "error.json").read_text())["message"]
    assert "no validation pairs for member_0" in message


@pytest.mark.parametrize(("ties", "parameter"), [("rao_kupper", 0.0), ("davidson", 0.25)])
def test_tie_models_are_saved_with_their_parameter(tmp_path, ties, parameter):
    changes = {"ties": ties, "tie_parameter": parameter, "epochs": 1, "rows": preference_rows(60)}
    spec = spec_of(tmp_path, batch_by="prompts", labels="vote_shares", batch_size=1, **changes)
    assert train(spec) == 0
    model = reward_model_load(spec.parent / "reward_model")
    assert model.settings.ties == ties
    found = [member.tie_parameter for member in model.settings.members]
    if parameter:
        assert found == pytest.approx([0.25, 0.25])
    else:
        assert found[0] != found[1]
        assert min(found) > 0
    results = manifest(spec).results["test"]["ensemble"]
    assert results["tie_parameter"] == model.settings.tie_parameter
    odds = model.win_log_odds(torch.tensor([-1.0, 0.0, 2.0]))
    assert (odds * model.settings.temperature >= torch.tensor([-8.0, 0.0, 2.0]) - 1e-5).all()


def test_members_become_the_mean_of_their_weights(tmp_path):
    few = preference_rows(40)
    averaged = spec_of(tmp_path, "averaged", rows=few, epochs=1, weight_average=True)
    starts = []

    def watched(source, inputs, **options):
        starts.append(options["seed"])
        return loading.classifier_load(source, inputs, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reward_member, "classifier_load", watched)
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        assert train(averaged) == 0
    assert starts[1:] == [5000, 5000, 5999]
    (mean,) = reward_model_load(averaged.parent / "reward_model").members
    members = [
        loading.classifier_load_path(averaged.parent / "members" / f"member_{i}").model.state_dict()
        for i in range(2)
    ]
    for name, value in mean.model.state_dict().items():
        torch.testing.assert_close(value, (members[0][name] + members[1][name]) / 2)
    assert not torch.equal(members[0]["score.weight"], members[1]["score.weight"])


def test_plain_artifact_holds_nothing_of_ties(whole):
    assert "tie" not in (whole.parent / "reward_model" / "ensemble.json").read_text()
    assert not list((whole.parent / "reward_model").rglob("training.json"))


def test_bad_orders_are_refused(tmp_path):
    spec = spec_of(tmp_path, held_out_share=0.0)
    assert train(spec) == 2
    assert "held-out model is always trained" in (spec.parent / "error.json").read_text()
    rows = preference_rows()
    rows[1]["split"] = "test"
    spec = spec_of(tmp_path, "mixed", rows=rows)
    assert train(spec) == 2
    message = json.loads((spec.parent / "error.json").read_text())["message"]
    assert "'group 0' is in both" in message


@pytest.mark.slow
def test_killed_program_resumes_to_the_same_digest(tmp_path):
    whole, killed = spec_of(tmp_path, "whole", epochs=4), spec_of(tmp_path, "killed", epochs=4)
    assert recipe_run("training.recipes.reward_model", whole) == 0
    recipe_kill_after("training.recipes.reward_model", killed, "train member_1", 6)
    assert recipe_run("training.recipes.reward_model", killed) == 0
    for name in ("reward_model", "held_out_reward_model"):
        assert manifest(killed).artifact(name).sha256 == manifest(whole).artifact(name).sha256


@pytest.mark.slow
def test_two_processes_learn_one_tie_parameter_and_stop_together(tmp_path):
    """The parameter stands outside the forward pass, and every process measures its own share."""
    settings = {"ties": "davidson", "members": 1, "epochs": 2, "validate_every": 3, "patience": 9}
    few = preference_rows(60)
    one, two = (spec_of(tmp_path, name, rows=few, **settings) for name in ("one", "two"))
    assert train(one) == 0
    assert recipe_run_on_two("training.recipes.reward_model", two) == 0, (
        two.parent / "child.log"
    ).read_text()
    models = [reward_model_load(spec.parent / "reward_model") for spec in (one, two)]
    parameters = [model.settings.tie_parameter for model in models]
    assert parameters[0] == pytest.approx(parameters[1], rel=1e-4)
    weights = [model.members[0].model.state_dict() for model in models]
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], atol=1e-4, rtol=0)
    curves = [
        [e["metrics"]["validation_nll"] for e in phase_rows(spec, "validate")]
        for spec in (one, two)
    ]
    assert curves[0] == pytest.approx(curves[1], abs=1e-4)
