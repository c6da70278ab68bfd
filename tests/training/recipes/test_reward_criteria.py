"""A reward model with a head for each criterion of a campaign, mixed by weights (Wu 2023)."""

import json
from typing import Any

import pytest
import torch

from annotation.rows import PreferenceRow
from tests.support.recipes import manifest, recipe_kill_after, recipe_run
from tests.support.tiny_models import json_lines, write_spec
from tests.training.recipes.test_reward_model import preference_rows, spec_of, train
from training.contracts import ContractError, ModelSource, RewardModelConfig
from training.core.model.loading import classifier_load_path
from training.core.reward.scoring import (
    SETTINGS,
    EnsembleSettings,
    MemberSettings,
    member_scores,
    reward_model_load,
)

WEIGHTS = {"kind": 3.0, "brief": 1.0}
ASKED = [{"role": "user", "content": "How do I end a process 1?"}]


def judged_rows(count: int = 120) -> list[dict[str, Any]]:
    """Overall and on kindness the good answer wins; on brevity the other, and every third pair is not asked."""
    rows: list[dict[str, Any]] = preference_rows(count)
    for i, row in enumerate(rows):
        kind = row["strength"]
        row["criteria"] = {"kind": kind} if i % 3 == 0 else {"kind": kind, "brief": 8 - kind}
    return rows


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("criteria")
    spec = spec_of(home, rows=judged_rows(), members=2, criteria=WEIGHTS)
    assert train(spec) == 0
    return spec.parent


def settings_of(weights: dict[str, float], replicates: int) -> EnsembleSettings:
    members = [
        MemberSettings(f"member_{i}", 0.0, 1.0, criterion=key, weight=weights[key])
        for i, key in enumerate(key for key in sorted(weights) for _ in range(replicates))
    ]
    return EnsembleSettings(members=tuple(members), max_length=8)


def test_a_mix_is_of_the_members_of_the_same_number_and_its_weights_sum_to_one() -> None:
    mixing = settings_of({"kind": 3.0, "brief": 1.0}, 2).mixing()
    assert mixing.tolist() == [[0.25, 0.0, 0.75, 0.0], [0.0, 0.25, 0.0, 0.75]]
    assert settings_of({"overall": 0.1}, 1).mixing().tolist() == [[1.0]]


def test_each_head_learns_the_votes_on_its_own_criterion(trained: Any) -> None:
    results = manifest(trained / "spec.json").results
    by_criterion = {m["criterion"]: m for m in results["test"]["members"]}
    assert set(by_criterion) == {"kind", "brief"}
    assert all(member["accuracy"] > 0.9 for member in by_criterion.values())
    assert results["criteria"]["brief"]["test"] < results["criteria"]["kind"]["test"]
    model = reward_model_load(trained / "reward_model")
    assert [m.criterion for m in model.settings.members] == ["brief", "brief", "kind", "kind"]
    good, bad = (ASKED, "Use the kill command."), (ASKED, "I can't help.")
    heads = model.score([good, bad]).heads
    assert heads is not None
    difference = heads[:, 0] - heads[:, 1]
    assert (difference[:2] < 0).all()
    assert (difference[2:] > 0).all()


def test_the_reward_is_the_weighted_sum_of_the_heads(trained: Any) -> None:
    """By the members' own scores, read one by one, and the weights of the plan."""
    model = reward_model_load(trained / "reward_model")
    texts = [(ASKED, text) for text in ("Use the kill command.", "I can't help.", "Kill it.")]
    encoded = model.encode(texts)
    scaled = []
    for member in model.settings.members:
        loaded = classifier_load_path(trained / "reward_model" / member.path)
        scores = member_scores(loaded, encoded)
        scaled.append((scores - member.mean) / member.std)
    found = model.score(texts)
    for row, (brief, kind) in enumerate(((0, 2), (1, 3))):
        paid = 0.25 * scaled[brief] + 0.75 * scaled[kind]
        torch.testing.assert_close(found.normalised[row], paid)
        torch.testing.assert_close(found.raw[row], paid)  # what is measured is what is paid
    torch.testing.assert_close(found.combined(), found.normalised.mean(0))
    told = model.by_name("reward_model", found)
    assert set(told[0]) == {"reward_model", "reward_model/log_odds_0", "reward_model/log_odds_1"}
    expected = float(found.raw[0, 0]) / model.settings.temperature
    assert told[0]["reward_model/log_odds_0"] == pytest.approx(expected, rel=1e-5)


def test_the_witness_learns_the_overall_votes(trained: Any) -> None:
    held_out = reward_model_load(trained / "held_out_reward_model")
    assert held_out.settings.criteria == ()
    document = json.loads((trained / "held_out_reward_model" / SETTINGS).read_text())
    assert "criterion" not in document["members"][0]
    results = manifest(trained / "spec.json").results["test"]
    assert results["held_out_model"]["accuracy"] > 0.9


@pytest.mark.slow
def test_a_killed_training_of_heads_resumes_to_the_same_digest(tmp_path: Any) -> None:
    rows, asked = judged_rows(60), {"epochs": 4, "members": 1, "criteria": WEIGHTS}
    whole, killed = (spec_of(tmp_path, name, rows=rows, **asked) for name in ("whole", "killed"))
    assert recipe_run("training.recipes.reward_model", whole) == 0
    recipe_kill_after("training.recipes.reward_model", killed, "train member_1", 4)
    assert recipe_run("training.recipes.reward_model", killed) == 0
    for name in ("reward_model", "held_out_reward_model"):
        assert manifest(killed).artifact(name).sha256 == manifest(whole).artifact(name).sha256


def test_a_criterion_without_votes_is_refused_before_anything_is_trained(
    tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = spec_of(tmp_path, rows=judged_rows(), criteria={"kind": 1.0, "funny": 1.0})
    assert train(spec) != 0
    error = json.loads((spec.parent / "error.json").read_text())
    assert "criteria names 'funny', and no training pair has a vote on it" in json.dumps(error)
    assert not (spec.parent / "members").exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"criteria": {"kind": 0.0}}, "finite weights above 0"),
        ({"criteria": {"kind": float("inf")}}, "finite weights above 0"),
        ({"criteria": {"kind": 1.0}, "weight_average": True}, "weight_average makes one model"),
        ({"criteria": {"kind": 1.0}, "loss": "plackett_luce"}, "criteria are asked of pairs"),
    ],
)
def test_settings_that_contradict_criteria_are_refused(
    changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ContractError, match=sentence):
        RewardModelConfig(backbone=ModelSource(), **changes)


def test_a_row_says_what_was_judged_on_one_criterion() -> None:
    row = PreferenceRow(
        "1", "g", (), ("a", "b"), 1.0, strength=2.0, criteria={"kind": 6.0, "brief": 4.0}
    )
    kind, brief = row.of_criterion("kind"), row.of_criterion("brief")
    assert kind is not None
    assert brief is not None
    assert (kind.preference, kind.strength) == (0.0, 6.0)
    assert (brief.preference, brief.tie) == (0.5, True)
    assert row.of_criterion("overall") is row
    assert row.of_criterion("funny") is None
    with pytest.raises(ValueError, match=r"steps in 1\.\.7"):
        PreferenceRow("1", "g", (), ("a", "b"), 1.0, criteria={"kind": 8.0})


def mix_agrees(trained: Any, rows: list[dict[str, Any]], criterion: str) -> float:
    """How often the reward is higher where the test votes on this criterion are; ties left out."""
    model = reward_model_load(trained / "reward_model")
    agreed: list[bool] = []
    for row in rows:
        step = row["criteria"].get(criterion, 4.0)
        if row["split"] == "test" and step != 4.0:
            first, second = model.score(
                [(row["messages"], text) for text in row["completions"]]
            ).combined()
            agreed.append(bool(first > second) == (step < 4))
    return sum(agreed) / len(agreed)


def test_the_evaluation_measures_each_head_on_its_own_votes(tmp_path: Any, trained: Any) -> None:
    from evaluation.recipes import evaluate_reward_model

    rows = judged_rows()
    inputs = {
        "reward_model": trained / "reward_model",
        "held_out_reward_model": trained / "held_out_reward_model",
        "preferences": json_lines(tmp_path / "rows.jsonl", rows),
    }
    asked = {"null_resamples": 50, "minimum_slice": 10, "consistency_pairs": 0}
    spec = write_spec(tmp_path / "run", "evaluate_reward_model", asked, inputs)
    assert evaluate_reward_model.main([str(spec)]) == 0
    found = json.loads((tmp_path / "run" / "measurements.json").read_text())
    brief, kind = found["splits"]["test"]["criteria"]
    assert (brief["criterion"], brief["weight"]) == ("brief", 0.25)
    assert (kind["criterion"], kind["weight"]) == ("kind", 0.75)
    asked_of = [row for row in rows if row["split"] == "test" and "brief" in row["criteria"]]
    assert brief["pairs"] == len(asked_of)
    assert brief["ties"] == sum(row["criteria"]["brief"] == 4.0 for row in asked_of)
    assert brief["accuracy"]["estimate"] > 0.9
    assert kind["accuracy"]["estimate"] > 0.9
    assert brief["mix_accuracy"]["estimate"] == pytest.approx(mix_agrees(trained, rows, "brief"))
    assert kind["mix_accuracy"]["estimate"] == pytest.approx(mix_agrees(trained, rows, "kind"))
    # kindness has three quarters of the mix, and brevity asks for the other answer
    assert brief["mix_accuracy"]["estimate"] < 0.1
    assert kind["mix_accuracy"]["estimate"] > 0.9
