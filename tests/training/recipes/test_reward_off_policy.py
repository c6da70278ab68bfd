"""Reward models that learn from old pairs by importance weights: from the policies to the rows."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from annotation.rows import PreferenceRow, Writer
from tests.support.recipes import events, manifest, recipe_run_on_two
from tests.support.tiny_models import TINY_SIZES, json_lines, tiny_policy_artifacts, write_spec
from training.contracts import EXIT_ERROR, EXIT_USER, RewardModelConfig
from training.core.data import pairs
from training.core.data.json_lines import preferences_read
from training.core.model.loading import policy_load_path
from training.core.reward import planning
from training.core.reward.off_policy import DrawnText, written_log_probs
from training.core.run.run_directory import recipe_main
from training.recipes import reward_member, reward_model, reward_off_policy

OLD, NEW = "0b0b0b0b-0000-4000-8000-000000000001", "0b0b0b0b-0000-4000-8000-000000000002"
GONE = "0b0b0b0b-0000-4000-8000-000000000003"
KINDS = ((OLD, OLD), (OLD, NEW), (NEW, NEW), (OLD, ""), ("", ""), (GONE, GONE))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def rows(count: int = 48) -> list[dict[str, Any]]:
    """Pairs of every kind of writers in turn; one in four ended at the token limit."""
    texts = [f"{n} plus {n} is {2 * n}" for n in range(9)]
    return [
        PreferenceRow(
            id=str(i),
            group=f"group {i}",
            messages=({"role": "user", "content": f"What is {i % 7} plus 5?"},),
            completions=(texts[i % 9], texts[(i + 4) % 9]),
            preference=float(i % 2),
            weight=1.0 + i % 3,
            split=("train", "train", "train", "train", "validation", "test")[i // 6 % 6],
            writers=tuple(
                Writer(model, 0.8, ended=i % 4 > 0) if model else Writer() for model in KINDS[i % 6]
            ),
        ).to_json()
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The current policy is the newer writer itself."""
    root = tmp_path_factory.mktemp("policies")
    tiny_policy_artifacts(root / "old", root / "new")
    new = root / "new"
    return {f"writer_{OLD}": root / "old", f"writer_{NEW}": new, "current_policy": new}


def spec_of(
    directory: Path,
    inputs: dict[str, Path],
    given: list[dict[str, Any]] | None = None,
    **asked: Any,
) -> Path:
    data = json_lines(directory.parent / f"{directory.name}.jsonl", given or rows())
    config = {
        "backbone": {"kind": "fresh", **TINY_SIZES},
        "members": 1,
        "epochs": 2,
        "batch_size": 8,
        "max_length": 64,
        "checkpoint_every": 2,
        "log_every": 1,
        "off_policy": {"correction": "importance", "power": 0.5, "least_effective_share": 0.01}
        | asked,
    }
    return write_spec(directory, "reward_model", config, {"preferences": data, **inputs})


def train(spec: Path) -> int:
    return recipe_main(reward_model.main, "reward_model", RewardModelConfig, [str(spec)])


def weighing(directory: Path) -> dict[str, Any]:
    (event,) = [e for e in events(directory / "spec.json") if e["phase"] == "off policy"]
    return event


def by_hand(policies: dict[str, Path], *, power: float, cap: float) -> list[float]:
    """The weight of every row, one text at a time."""
    loaded = {name: policy_load_path(path) for name, path in policies.items()}

    def log_prob(name: str, messages: Any, text: str, writer: dict[str, Any]) -> float:
        one = DrawnText(messages, text, Writer(**writer))
        cpu = torch.device("cpu")
        return float(written_log_probs(loaded[name], [one], batch_size=1, device=cpu))

    weighed: dict[int, float] = {}
    for i, row in enumerate(rows()):
        if row["split"] != "train" or not any(w["model"] in (OLD, NEW) for w in row["writers"]):
            continue
        ratio = sum(
            log_prob("current_policy", row["messages"], text, writer)
            - log_prob(f"writer_{OLD}", row["messages"], text, writer)
            for text, writer in zip(row["completions"], row["writers"], strict=True)
            if writer["model"] == OLD
        )
        weighed[i] = min(math.exp(power * ratio), cap)
    given = [row["weight"] for row in rows()]
    mean = sum(given[i] * w for i, w in weighed.items()) / sum(given[i] for i in weighed)
    return [weight * weighed.get(i, mean) / mean for i, weight in enumerate(given)]


def learned_from(monkeypatch: pytest.MonkeyPatch) -> list[list[float]]:
    """The weights of the rows that a run goes on with."""
    seen: list[list[float]] = []
    encode = pairs.pairs_encode

    def noted(tokenizer: Any, given: Any, **named: Any) -> Any:
        seen.append([row.weight for row in given])
        return encode(tokenizer, given, **named)

    monkeypatch.setattr(reward_model, "pairs_encode", noted)
    return seen


def test_pairs_are_weighed_by_who_wrote_them(
    tmp_path: Path, policies: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = learned_from(monkeypatch)
    assert train(spec_of(tmp_path / "run", policies, cap=1.5)) == 0
    expected = by_hand(policies, power=0.5, cap=1.5)
    assert seen[0] == pytest.approx(expected, rel=1e-4)
    assert len({round(weight, 3) for weight in expected}) > 8
    results = manifest(tmp_path / "run" / "spec.json").results
    assert (results["known_pairs"], results["unknown_pairs"]) == (24, 12)
    event = weighing(tmp_path / "run")
    assert event["metrics"]["effective_pairs"] == results["effective_pairs"]
    assert event["message"].startswith(
        "24 of 36 training pairs are weighed towards the current policy"
    )
    assert not (tmp_path / "run" / reward_off_policy.FACTORS).exists()


def test_without_the_setting_writers_change_nothing(
    tmp_path: Path, policies: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = learned_from(monkeypatch)
    assert train(spec_of(tmp_path / "run", policies, correction="none")) == 0
    assert seen[0] == [row["weight"] for row in rows()]
    assert "known_pairs" not in manifest(tmp_path / "run" / "spec.json").results


def test_a_resumed_run_learns_from_the_weights_that_it_began_with(
    tmp_path: Path, policies: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(spec_of(tmp_path / "whole", policies)) == 0
    step = reward_member._train_step
    calls = iter(range(100))

    def failing(*arguments: Any) -> Any:
        if next(calls) == 3:
            raise RuntimeError("power cut")
        return step(*arguments)

    with monkeypatch.context() as power:
        power.setattr(reward_member, "_train_step", failing)
        assert train(spec_of(tmp_path / "cut", policies)) == EXIT_ERROR
    with monkeypatch.context() as away:  # no policy is read again
        away.setattr(reward_off_policy, "policy_load_path", None)
        assert train(tmp_path / "cut" / "spec.json") == 0
    whole, cut = (manifest(tmp_path / name / "spec.json") for name in ("whole", "cut"))
    assert cut.artifact("reward_model").sha256 == whole.artifact("reward_model").sha256


def test_weights_that_leave_too_few_pairs_are_refused_and_few_are_said(
    tmp_path: Path, policies: dict[str, Path]
) -> None:
    asked: dict[str, Any] = {"power": 1.0, "cap": 1e9}
    assert (
        train(spec_of(tmp_path / "low", policies, **asked, least_effective_share=0.9)) == EXIT_USER
    )
    error = json.loads((tmp_path / "low" / "error.json").read_text())["message"]
    assert "effective pairs of 24" in error
    assert "lower off_policy.power or off_policy.cap" in error
    few = spec_of(tmp_path / "few", policies, **asked, least_effective_share=0.0)
    assert train(few) == 0
    event = weighing(tmp_path / "few")
    said = "Few pairs decide" in event["message"]
    assert said == (event["metrics"]["effective_share"] < 0.5)


def test_where_no_writer_is_at_hand_it_is_said_and_labels_weigh_what_they_did(
    tmp_path: Path, policies: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = learned_from(monkeypatch)
    alone = {"current_policy": policies["current_policy"]}
    assert train(spec_of(tmp_path / "run", alone)) == 0
    assert seen[0] == [row["weight"] for row in rows()]
    event = weighing(tmp_path / "run")
    assert event["message"].startswith("No training pair says which policy")


def test_without_the_current_policy_it_is_refused(
    tmp_path: Path, policies: dict[str, Path]
) -> None:
    alone = {n: p for n, p in policies.items() if n != "current_policy"}
    assert train(spec_of(tmp_path / "run", alone)) == EXIT_USER
    assert "current_policy" in json.loads((tmp_path / "run" / "error.json").read_text())["message"]


@pytest.mark.parametrize(("labels", "votes"), [("vote_shares", 2), ("posterior", 1)])
def test_votes_that_are_joined_keep_the_factor_of_their_pair(
    tmp_path: Path,
    policies: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    labels: str,
    votes: int,
) -> None:
    """Two raters on each pair: one label, whose weight is the pair's own times their number, or their mean."""
    doubled = [
        row | {"id": f"{row['id']} {rater}", "rater": rater} for row in rows() for rater in "ab"
    ]
    spec = spec_of(tmp_path / "run", policies, doubled, cap=1.5)
    document = json.loads(spec.read_text())
    document["config"]["labels"] = labels
    spec.write_text(json.dumps(document))
    weights: dict[str, float] = {}
    plan = planning.members_planned

    def noted(config: Any, division: Any, **named: Any) -> Any:
        for pair in [*division.train, *division.held_out]:
            weights[pair.row.id.split()[0]] = pair.row.weight
        return plan(config, division, **named)

    monkeypatch.setattr(reward_model, "members_planned", noted)
    assert train(spec) == 0
    alone = by_hand(policies, power=0.5, cap=1.5)
    expected = {
        row["id"]: votes * alone[i] for i, row in enumerate(rows()) if row["split"] == "train"
    }
    assert weights == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_two_processes_weigh_as_one_does(tmp_path: Path, policies: dict[str, Path]) -> None:
    assert train(spec_of(tmp_path / "one", policies)) == 0
    spec = spec_of(tmp_path / "two", policies)
    assert recipe_run_on_two("training.recipes.reward_model", spec) == 0
    one, two = (manifest(tmp_path / name / "spec.json").results for name in ("one", "two"))
    assert two["effective_pairs"] == pytest.approx(one["effective_pairs"], rel=1e-5)
    assert preferences_read(tmp_path / "one.jsonl") == preferences_read(tmp_path / "two.jsonl")
