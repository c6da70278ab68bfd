"""A round by each optimiser: which program is ordered, on what, and what the report is given of it."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from django.utils import timezone

from annotation.comparisons.models import Completion
from outerloop.rounds.models import State
from outerloop.rounds.plan import RoundPlan, optimizer_words, plan_with_optimizer
from outerloop.rounds.record import record_build, round_summary
from outerloop.rounds.services import round_start
from tests.annotation.factories import label_next, some_pairs
from tests.outerloop.rounds.pages import said, text, url
from tests.outerloop.rounds.world import advance_through, known, policy_import, run_of, step_of
from training import facade as training
from training.contracts import ContractError
from training.runs.models import ModelVersion, Run, RunEventRow

COMMON = {"policy", "reference", "reward_model", "held_out_reward_model", "prompts"}


@pytest.mark.parametrize(
    ("optimizer", "inputs"),
    [("ppo", COMMON), ("dpo", COMMON | {"preferences"}), ("best_of_n", COMMON)],
)
def test_a_round_makes_its_candidate_by_the_optimiser_of_its_plan(
    loop, behave, evidence, optimizer, inputs
):
    round_ = round_start(line=loop.line, trigger="person", changes={"optimizer": optimizer})
    round_ = advance_through(round_)
    assert (round_.state, round_.verdict) == (State.AWAITING_APPROVAL, "PROMOTE")
    run = run_of(round_, State.POLICY_TRAINING)
    assert run.kind == optimizer
    assert set(run.spec["inputs"]) == inputs
    candidate = training.model_version_get(known(round_.candidate))
    assert (candidate.kind, candidate.run_id) == ("policy", run.id)
    assert candidate.meta["optimizer"] == optimizer
    step = step_of(round_, State.POLICY_TRAINING)
    assert f"reward model {run.spec['inputs']['reward_model']['sha256']}" in step.read
    unit = "updates" if optimizer == "ppo" else "steps"
    assert step.note == f"policy v2: 3 {unit}, all that were planned"
    assert round_summary(round_).optimizer == optimizer


def test_dpo_learns_from_the_round_s_own_snapshot(loop, behave, evidence):
    changes = {"optimizer": "dpo", "reward_model": {"held_out_share": 0.4}}
    round_ = advance_through(round_start(line=loop.line, trigger="person", changes=changes))
    run = run_of(round_, State.POLICY_TRAINING)
    snapshot = training.snapshot_get(known(round_.snapshot))
    assert run.spec["inputs"]["preferences"]["sha256"] == snapshot.sha256
    # What the held-out model learns from stays out, whatever the settings of DPO say.
    assert run.spec["config"]["held_out_share"] == 0.4
    assert f"preferences {snapshot.sha256}" in step_of(round_, State.POLICY_TRAINING).read


@pytest.mark.parametrize("correction", ["none", "importance"])
def test_pairs_are_weighed_by_the_policies_that_wrote_them_where_the_plan_asks(
    loop, behave, evidence, tmp_path, correction
):
    """The deployed policy, and of the writers those that are here: one is, one was taken by retention, and of one
    there never was a version."""
    kept, taken = (policy_import(loop.line.id, tmp_path / n, n) for n in ("kept", "taken"))
    ModelVersion.objects.filter(pk=taken.id).update(removed_at=timezone.now())
    for version in (kept.id, taken.id, uuid.uuid4()):
        some_pairs(loop.campaign, 1, split="train", versions=(version, loop.base.id))
        label_next(loop.rater, loop.campaign, 2)
    Completion.objects.update(sampling={"temperature": 1.0})
    changes = {"reward_model": {"off_policy": {"correction": correction}}}
    round_ = advance_through(round_start(line=loop.line, trigger="person", changes=changes))
    inputs = run_of(round_, State.REWARD_TRAINING).spec["inputs"]
    common = {"preferences", "policy"}
    if correction == "none":
        assert set(inputs) == common
        return
    writers = {f"writer_{version}" for version in (kept.id, loop.base.id)}
    assert set(inputs) == common | {"current_policy"} | writers
    assert inputs["current_policy"]["sha256"] == loop.base.sha256
    assert inputs[f"writer_{kept.id}"]["sha256"] == kept.sha256


def test_votes_on_criteria_go_to_the_reward_model_where_the_plan_mixes_them(loop, behave, evidence):
    changes = {"reward_model": {"criteria": {"overall": 1.0, "kind": 0.5}}}
    round_ = advance_through(round_start(line=loop.line, trigger="person", changes=changes))
    assert training.snapshot_get(known(round_.snapshot)).recipe["criteria"] is True
    config = run_of(round_, State.REWARD_TRAINING).spec["config"]
    assert config["criteria"] == {"overall": 1.0, "kind": 0.5}


def test_the_report_is_given_the_curves_of_the_optimiser(loop, behave, evidence):
    changes = {"optimizer": "dpo", "dpo": {"adapter": {"kind": "lora"}}}
    round_ = advance_through(round_start(line=loop.line, trigger="person", changes=changes))
    run = Run.objects.get(pk=run_of(round_, State.POLICY_TRAINING).id)
    RunEventRow.objects.filter(run=run).update(phase="dpo")
    record = record_build(round_)
    assert [row["step"] for row in record.training_curves["dpo"]][-1] == 3.0
    assert "ppo" not in record.training_curves
    assert any(item.name == "dpo spec" for item in record.lineage)
    summary = record.history[-1]
    assert (summary.optimizer, summary.adapter) == ("dpo", "lora")
    assert summary.policy_seconds is not None


def test_demonstrations_for_ptx_need_a_base_policy_that_was_fine_tuned_here(loop, behave, evidence):
    changes = {"policy": {"ptx_coefficient": 0.1}}
    round_ = advance_through(round_start(line=loop.line, trigger="person", changes=changes))
    assert round_.state == State.FAILED
    assert "set policy.ptx_coefficient to 0" in round_.error


def test_demonstrations_for_ptx_are_those_that_the_base_policy_saw_last(
    loop, behave, evidence, tmp_path
):
    shown = {}
    for name in ("early", "late"):
        path: Path = tmp_path / f"{name}.jsonl"
        path.write_text(json.dumps({"messages": [{"role": "user", "content": name}]}) + "\n")
        shown[name] = training.input_from_path(path)
    phases = [{"data": name, "steps": 1, "learning_rate": 0.1} for name in shown]
    order = training.run_create(
        line_id=loop.line.id,
        kind="sft",
        seed=1,
        config={"model": {"kind": "fresh"}, "phases": phases},
        inputs=shown,
    )
    training.run_execute(run_id=order.id, owner="test")
    base = training.model_version_register(run_id=order.id, artifact="policy")
    loop.line.base_version = base.id
    loop.line.save()
    changes = {"policy": {"ptx_coefficient": 0.1}}
    round_ = advance_through(round_start(line=loop.line, trigger="person", changes=changes))
    spec = run_of(round_, State.POLICY_TRAINING).spec
    assert spec["inputs"]["demonstrations"]["sha256"] == shown["late"].sha256


# ---------------------------------------------------------------------------- plan


def test_another_optimiser_leaves_the_settings_of_each_alone():
    plan = RoundPlan(policy=replace(RoundPlan().policy, updates=3))
    changed = plan_with_optimizer(plan, optimizer="dpo", adapter="lora")
    assert changed.dpo.adapter.kind == "lora"
    assert changed.policy == plan.policy
    back = plan_with_optimizer(changed, optimizer="ppo", adapter="none")
    assert back.policy_training == plan.policy
    assert optimizer_words(changed) == "DPO, 2 passes over the pairs, LoRA of rank 8"
    assert optimizer_words(back) == "PPO, 3 updates"


def test_an_unknown_optimiser_is_named():
    with pytest.raises(ContractError, match="'grpo' is not one of 'ppo', 'dpo', 'best_of_n'"):
        plan_with_optimizer(RoundPlan(), optimizer="grpo", adapter="none")


def test_a_plan_from_before_there_was_a_choice_is_one_of_ppo():
    old = RoundPlan().to_json()
    for name in ("optimizer", "dpo", "best_of_n"):
        del old[name]
    assert RoundPlan.from_json(old) == RoundPlan()


# ---------------------------------------------------------------------------- page


def test_an_engineer_chooses_on_the_plan_s_page(as_, loop):
    answer = {"optimizer": "best_of_n", "adapter": "lora"}
    response = as_("engineer").post(url("optimizer", loop), answer, follow=True)
    assert said(response) == [
        "The next round trains its policy by best of 8, 2 iterations, LoRA of rank 8."
    ]
    loop.line.refresh_from_db()
    assert loop.line.plan["optimizer"] == "best_of_n"
    page = text(as_("engineer").get(url("plan", loop)))
    assert '<option value="best_of_n" selected>' in page
    assert '<option value="lora" selected>' in page
    assert "best of 8" in text(as_("lead").get(url("dry_run", loop)))


def test_nobody_else_may_choose(as_, loop):
    before = loop.line.plan
    for name in ("annotator", "lead"):
        answer = {"optimizer": "dpo", "adapter": "none"}
        assert as_(name).post(url("optimizer", loop), answer).status_code in (403, 404)
    loop.line.refresh_from_db()
    assert loop.line.plan == before


def test_a_choice_that_does_not_exist_is_answered(as_, loop):
    answer = {"optimizer": "grpo", "adapter": "none"}
    response = as_("engineer").post(url("optimizer", loop), answer, follow=True)
    (sentence,) = said(response)
    assert "The policy is trained by" in sentence
    assert "grpo" in sentence
