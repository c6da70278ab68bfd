from __future__ import annotations

import json

import pytest

from outerloop.rounds.forms import PlanForm
from outerloop.rounds.plan import RoundPlan, plan_differences, plan_override
from training.contracts import ContractError


def test_a_plan_survives_its_json_form():
    plan = RoundPlan(seed=3, init="incumbent")
    assert RoundPlan.from_json(plan.to_json()) == plan


def test_an_override_changes_only_what_it_names():
    plan = plan_override(RoundPlan(), {"policy": {"kl": {"beta": 0.0}}})
    assert plan.policy.kl.beta == 0.0
    assert plan.policy.updates == RoundPlan().policy.updates


def test_a_misspelt_setting_is_named():
    with pytest.raises(ContractError, match="betta"):
        plan_override(RoundPlan(), {"policy": {"kl": {"betta": 0.0}}})


@pytest.mark.parametrize(
    "changes",
    [{"random_share": 1.5}, {"selection": "luck"}, {"oversample": 0.5}, {"evaluation_prompts": 0}],
)
def test_values_out_of_range_are_refused(changes):
    (name,) = changes
    with pytest.raises(ContractError, match=name):
        plan_override(RoundPlan(), changes)


def test_differences_are_told_by_path_with_both_values():
    before = RoundPlan().to_json()
    after = plan_override(RoundPlan(), {"policy": {"updates": 5}, "seed": 9}).to_json()
    assert plan_differences(before, after) == [
        ("policy.updates", str(RoundPlan().policy.updates), "5"),
        ("seed", "7", "9"),
    ]


@pytest.mark.parametrize("reward_model", [{"members": 1}, {"members": 3, "weight_average": True}])
def test_a_cautious_reward_needs_an_ensemble(reward_model):
    changes = {"reward_model": reward_model, "policy": {"reward_combination": "worst"}}
    with pytest.raises(ContractError, match="'worst' needs an ensemble"):
        plan_override(RoundPlan(), changes)
    document = {**RoundPlan().to_json(), "policy": changes["policy"]}
    assert PlanForm({"plan": json.dumps(document)}).is_valid()
    document["reward_model"] = {**document["reward_model"], **reward_model}
    form = PlanForm({"plan": json.dumps(document)})
    assert "needs an ensemble" in form.errors["plan"][0]


def test_contradicting_loss_settings_are_named_on_the_plan_page():
    document = RoundPlan().to_json()
    document["reward_model"] |= {"ties": "davidson", "margin_scale": 0.5}
    form = PlanForm({"plan": json.dumps(document)})
    assert "both claim the scores near equality" in form.errors["plan"][0]


def test_a_plan_of_an_earlier_release_is_read_and_a_new_one_may_not_name_what_went():
    stored = {**RoundPlan(seed=3).to_json(), "gate_pairs": 600}
    assert RoundPlan.from_json(stored) == RoundPlan(seed=3)
    with pytest.raises(ContractError, match=r"gate_pairs is no setting any more: .*max_labels"):
        plan_override(RoundPlan(), {"gate_pairs": 600})
    form = PlanForm({"plan": json.dumps(stored)})
    assert "gate_pairs is no setting any more" in form.errors["plan"][0]
