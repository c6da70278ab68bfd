"""What a round hands its policy's evaluation of earlier rounds, and what of it retention took."""

import json
import shutil

import pytest

from outerloop.rounds.models import State
from outerloop.rounds.services import round_cancel, round_start
from tests.outerloop.rounds.world import advance_through, known, run_of
from training import facade as training
from training.runs.inventory import input_path
from training.runs.models import ModelVersion


def past_of(round_):
    """The past inputs of a round's policy evaluation, by name."""
    named = run_of(round_, State.POLICY_EVALUATION).spec["inputs"]
    return {name: each for name, each in named.items() if name.startswith("past_")}


def rounds(loop, count, changes=None):
    """So many A/A rounds, which need no approval; the last of them."""
    for _ in range(count):
        loop.label(3)
        started = round_start(
            line=loop.line,
            trigger="person",
            changes={"candidate": "incumbent", "minimum_fresh_labels": 0, **(changes or {})},
        )
        round_ = advance_through(started)
        assert round_.verdict == "REJECT"
    return round_


def test_the_first_round_has_no_past_and_the_second_the_first(loop, behave, evidence):
    first = rounds(loop, 1)
    assert past_of(first) == {}
    second = rounds(loop, 1)
    past = past_of(second)
    assert sorted(past) == ["past_policy_1", "past_reward_model_1"]
    model = training.model_version_get(known(first.reward_model))
    assert past["past_reward_model_1"]["sha256"] == model.sha256
    lines = input_path(past["past_policy_1"]["path"]).read_text().splitlines()
    assert len(lines) == 4
    row = json.loads(lines[0])
    assert row.keys() == {"messages", "text", "group"}
    assert row["text"].startswith("candidate answers")


def test_what_is_no_longer_kept_is_left_out_and_the_round_goes_on(loop, behave, evidence):
    first = rounds(loop, 1)
    shutil.rmtree(run_of(first, State.POLICY_EVALUATION).directory)
    ModelVersion.objects.filter(pk=first.reward_model).update(removed_at=first.created_at)
    past = past_of(rounds(loop, 1))
    assert list(past) == ["past_policy_1"]
    assert input_path(past["past_policy_1"]["path"]).read_text() == ""


@pytest.mark.parametrize(("most", "numbers"), [(0, []), (1, [2])])
def test_a_plan_says_how_many_rounds_and_prompts(loop, behave, evidence, most, numbers):
    rounds(loop, 2)
    plan = {"evaluate_policy": {"past_rounds": most, "past_prompts": 3}}
    past = past_of(rounds(loop, 1, plan))
    assert [name for name in past if "policy" in name] == [f"past_policy_{n}" for n in numbers]
    for reference in past.values():
        if reference["path"].endswith(".jsonl"):
            assert len(input_path(reference["path"]).read_text().splitlines()) == 3


def test_a_round_that_was_cancelled_before_its_verdict_is_no_past(loop, behave, evidence):
    loop.label(3)
    changes = {"candidate": "incumbent", "minimum_fresh_labels": 0}
    started = round_start(line=loop.line, trigger="person", changes=changes)
    cancelled = advance_through(started, upto=State.AWAITING_LABELS)
    assert cancelled.number == 1
    assert run_of(cancelled, State.POLICY_EVALUATION).state == "succeeded"
    round_cancel(round_=cancelled, actor="lead")
    assert advance_through(cancelled).state == State.CANCELLED
    assert past_of(rounds(loop, 1)) == {}
