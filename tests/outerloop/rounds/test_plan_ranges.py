"""A number that cannot work is refused when the plan is written, before a round spends anything on it."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest

from outerloop.rounds import plan_ranges
from outerloop.rounds.forms import PlanForm
from outerloop.rounds.plan import RoundPlan, _flat, plan_override
from tests.support.documented import assert_said
from training.contracts import ContractError
from training.core.ppo import settings_check
from training.core.tuning import settings as tuning


def changed(path: str, value: Any) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    return value  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("minimum_reward_accuracy", float("nan"), "is nan; write a finite number"),
        ("minimum_reward_accuracy", 55.0, "between 0 and 1"),
        ("snapshot.recency_half_life_days", -1.0, "0 or more"),
        ("snapshot.weights", {"a": -2.0}, r"\.a is -2.0; set it to 0 or more"),
        ("reward_model.learning_rate", -1.0, "above 0"),
        ("reward_model.max_length", 0, "above 0"),
        ("policy.epochs", 0, "above 0"),
        ("policy.kl.reference_decay", 0.0, "above 0, up to 1"),
        ("evaluate_policy.level", 95.0, "above 0 and below 1"),
        ("sampling.sampling.top_p", 0.0, "above 0, up to 1"),
        ("time_limits.evaluation", -5.0, "0 or more"),
        ("seed", 10**30, "2,147,483,647 at most"),
        ("seed", -1, "0 or more"),
    ],
)
def test_a_number_that_cannot_work_is_named_with_the_fix(path, value, says):
    name = path.rpartition(".")[2]
    with pytest.raises(ContractError, match=rf"^RoundPlan\.{path}.*{says}") as refusal:
        plan_override(RoundPlan(), changed(path, value))
    if "2,147" not in says:
        finite = "finite" not in says
        case = "number of a plan" if finite else "number of a plan, not finite"
        assert_said(case, str(refusal.value))
    document = json.loads(json.dumps(RoundPlan().to_json()))
    here = document
    for part in path.split(".")[:-1]:
        here = here[part]
    here[name] = value
    form = PlanForm({"plan": json.dumps(document)})
    assert path in form.errors["plan"][0]


def test_sizes_are_asked_of_a_fresh_reward_model_alone():
    sizes = {"hidden_size": 96, "heads": 7}
    fresh = {"reward_model": {"backbone": {"kind": "fresh", **sizes}}}
    with pytest.raises(ContractError, match="hidden_size is 96, which 7 heads do not divide"):
        plan_override(RoundPlan(), fresh)
    with pytest.raises(ContractError, match="layers is 0; set it above 0"):
        plan_override(RoundPlan(), {"reward_model": {"backbone": {"kind": "fresh", "layers": 0}}})
    plan_override(RoundPlan(), {"reward_model": {"backbone": sizes}})


def test_settings_of_an_optimiser_that_is_not_used_are_left_alone():
    plan_override(RoundPlan(), {"dpo": {"epochs": 0}})
    with pytest.raises(ContractError, match=r"dpo\.epochs is 0"):
        plan_override(RoundPlan(), {"dpo": {"epochs": 0}, "optimizer": "dpo"})


@pytest.mark.parametrize(
    ("where", "above_zero", "not_negative"),
    [
        ("policy", settings_check._POSITIVE, settings_check._NOT_NEGATIVE),
        ("dpo", tuning._DPO_POSITIVE, ("simpo_margin", "exploration")),
        ("best_of_n", tuning._BEST_OF_N_POSITIVE, ("missing_eos_penalty", "variance_weight")),
    ],
)
def test_what_the_programs_refuse_is_refused_in_the_plan_already(where, above_zero, not_negative):
    optimizer = {"policy": "ppo"}.get(where, where)
    for value, names in ((0, above_zero), (-1, not_negative)):
        for name in names:
            changes = {"optimizer": optimizer, where: {name: value}}
            with pytest.raises(ContractError, match=rf"{where}\.{name} is"):
                plan_override(RoundPlan(), changes)


def test_every_range_is_of_a_setting_that_there_is():
    known = {path for path, _ in _flat(RoundPlan().to_json())}
    known |= {field.name for field in fields(RoundPlan)}
    asked = {**plan_ranges.ALWAYS, **plan_ranges.FRESH}
    for ranges in plan_ranges.OPTIMIZERS.values():
        asked |= ranges
    assert asked.keys() <= known
