"""What the pages say of a line and its rounds is so, and what they offer can be taken."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from evaluation import facade as evaluation
from evaluation.contracts import GatePolicySettings
from evaluation.gates.services import gate_policy_request
from outerloop.rounds.dry_run import start_check
from outerloop.rounds.models import PolicyLine, Round, RoundStep, State
from outerloop.rounds.pages import line_context, round_context
from outerloop.rounds.pages.home import PATIENCE
from outerloop.rounds.record import record_refresh
from outerloop.rounds.selectors import round_steps
from outerloop.rounds.services import round_start
from tests.annotation.factories import some_pairs
from tests.outerloop.rounds.pages import text, url
from tests.outerloop.rounds.test_overriding import REASON, TOO_LONG
from tests.outerloop.rounds.world import LoopWorld, advance_through, bare_line
from tests.support.people import person_create
from training import facade as training
from training.runs.models import Run, RunEventRow


@pytest.fixture
def eve(actors):
    return actors["engineer"]


def offer(line, user):
    return line_context(PolicyLine.objects.get(pk=line.pk), user)["offer"]


# ------------------------------------------------------------ what a line can do next


def test_start_is_offered_exactly_where_it_would_not_be_refused(loop, eve):
    for minimum in (1, 3, 4, 200):
        PolicyLine.objects.filter(pk=loop.line.pk).update(minimum_fresh_labels=minimum)
        line = PolicyLine.objects.get(pk=loop.line.pk)
        assert (offer(line, eve).act == "start") == start_check(line=line).ready, minimum
        assert offer(line, eve).anyway == (minimum > 3)
    loop.round(State.POLICY_TRAINING)
    assert offer(loop.line, eve).act == ""
    assert offer(loop.line, eve).says.startswith("Round 1 is under way")


def test_a_start_with_fewer_labels_is_offered_apart_and_asks_first(as_, loop):
    PolicyLine.objects.filter(pk=loop.line.pk).update(minimum_fresh_labels=10)
    page = text(as_("engineer").get(url("line", loop)))
    assert "Start now" not in page
    assert "Start a round with 3 new labels, of 10 asked for?" in page
    assert "Start with fewer labels" not in text(as_("lead").get(url("line", loop)))
    as_("engineer").post(url("start", loop), {"forced": "1"})
    assert loop.line.rounds.count() == 1


def test_a_line_without_a_base_offers_nothing_and_says_the_way(as_, eve):
    line = bare_line()
    eve.memberships.create(role="engineer", line=line.id)
    page = text(as_("engineer").get(reverse("rounds:line", args=[line.slug])))
    assert "This line has no base policy yet" in page
    assert f'href="{reverse("rounds:set_up", args=[line.slug])}">Set up the line' in page
    assert "Write first pairs" not in page
    assert "Start" not in page.split('class="actions"')[1].split("</div>")[0]


def test_first_pairs_are_offered_only_where_there_are_prompts_and_nothing_to_compare(
    as_, loop, tmp_path
):
    assert "Write first pairs" not in text(as_("engineer").get(url("line", loop)))
    fresh = LoopWorld(tmp_path, labels=0)
    PolicyLine.objects.filter(pk=fresh.line.pk).update(minimum_fresh_labels=3)
    client = as_("engineer")
    eve_too = person_create("eva", "engineer")
    client.force_login(eve_too)
    page = text(client.get(url("line", fresh)))
    assert "has no prompts yet" in page
    assert "Set up the line" in page
    fresh.prompts("train", 2)
    page = text(client.get(url("line", fresh)))
    assert "Write first pairs" in page
    some_pairs(fresh.campaign, 1, split="train")
    assert "Write first pairs" not in text(client.get(url("line", fresh)))


def test_a_plan_that_no_longer_reads_is_named_with_the_way_out(as_, loop, eve):
    PolicyLine.objects.filter(pk=loop.line.pk).update(plan={"gate_pears": 4})
    assert offer(loop.line, eve).act == "plan"
    assert "gate_pears" in offer(loop.line, eve).says


def test_training_the_first_policy_is_shown_with_its_curve(as_, eve):
    line = bare_line()
    eve.memberships.create(role="engineer", line=line.id)
    made = training.run_create(line_id=line.id, kind="sft", seed=1, config={}, inputs={})
    Run.objects.filter(pk=made.id).update(state="running", fence=1)
    for seq, loss in enumerate((2.0, 1.5, 1.1), 1):
        RunEventRow.objects.create(
            run_id=made.id, seq=seq, at=timezone.now(), phase="train 1/2", step=seq * 50,
            total_steps=1100, metrics={"loss": loss}, message="",
        )  # fmt: skip
    page = text(as_("engineer").get(reverse("rounds:line", args=[line.slug])))
    assert "The first policy is being trained; it then writes the first pairs." in page
    assert "Training, part 1 of 2, 150 of 1100" in page.split('class="stations"')[1]
    assert '<svg class="plot"' in page
    assert 'hx-trigger="every 3s"' in page


def test_deployed_and_candidate_are_told_apart(as_, loop, behave, evidence):
    round_ = advance_through(round_start(line=loop.line, trigger="person"))
    page = text(as_("lead").get(url("line", loop)))
    assert "<strong>base policy</strong> since" in page
    assert "<strong>policy v2</strong> of round 1, not deployed yet" in page
    Round.objects.filter(pk=round_.pk).update(state=State.CLOSED)
    page = text(as_("lead").get(url("line", loop)))
    assert "policy v2 of round 1 was not deployed" in page
    assert "not deployed yet" not in page


# --------------------------------------------------------------------- a round's page


def shown(round_, user):
    return [step.name for step, _ in round_context(round_, user)["steps"]]


def test_only_the_steps_that_apply_lie_ahead(loop, eve):
    round_ = loop.round(State.POLICY_TRAINING)
    assert shown(round_, eve) == [
        "POLICY_EVALUATION", "AWAITING_LABELS", "AWAITING_APPROVAL", "DECIDED", "DEPLOYING",
        "SAMPLING_PAIRS",
    ]  # fmt: skip
    round_.deploys_by_itself = True
    assert "AWAITING_APPROVAL" not in shown(round_, eve)
    round_.state, round_.verdict = State.DECIDED, "REJECT"
    assert shown(round_, eve) == ["SAMPLING_PAIRS"]
    round_.plan = {**round_.plan, "next_pairs": 0}
    assert shown(round_, eve) == []
    round_.state, round_.verdict = State.REWARD_TRAINING, ""
    round_.plan = {**round_.plan, "candidate": "incumbent"}
    assert "POLICY_TRAINING" not in shown(round_, eve)


def test_a_wait_in_which_nobody_was_asked_for_labels_is_not_shown(loop, eve, behave, evidence):
    evidence.changes = TOO_LONG  # a guardrail fails: no label could change that
    round_ = advance_through(round_start(line=loop.line, trigger="person"))
    assert round_.verdict == "REJECT"
    assert "AWAITING_LABELS" in [step.name for step in round_steps(round_)]
    assert "AWAITING_LABELS" not in shown(round_, eve)


def measured(round_, **seconds):
    """Steps of an earlier round by how long each took."""
    start = timezone.now() - timedelta(days=1)
    for name, took in seconds.items():
        RoundStep.objects.create(
            round=round_, name=name, position=list(State).index(State(name)), started_at=start,
            finished_at=start + timedelta(seconds=took),
        )  # fmt: skip


def test_time_left_is_the_median_of_earlier_rounds_less_what_is_gone(loop, eve):
    for number, factor in ((1, 1), (2, 3), (3, 2)):
        measured(
            loop.round(State.CLOSED, number=number), POLICY_TRAINING=100 * factor,
            POLICY_EVALUATION=10 * factor, SAMPLING_PAIRS=20 * factor, AWAITING_LABELS=9000,
        )  # fmt: skip
    round_ = loop.round(State.POLICY_TRAINING, number=4)
    RoundStep.objects.create(
        round=round_,
        name=round_.state,
        position=3,
        started_at=timezone.now() - timedelta(seconds=50),
    )
    context = round_context(round_, eve)
    assert context["seconds_left"] == pytest.approx(200 - 50 + 20 + 40, abs=2)
    assert context["people_ahead"]
    # waiting for people is nobody's estimate
    Round.objects.filter(pk=round_.pk).update(state=State.AWAITING_LABELS)
    round_.refresh_from_db()
    assert round_context(round_, eve)["seconds_left"] is None


def test_time_left_is_left_unsaid_where_a_step_was_never_measured(as_, loop):
    measured(loop.round(State.CLOSED, number=1), POLICY_TRAINING=100, SAMPLING_PAIRS=20)
    loop.round(State.POLICY_TRAINING, number=2)
    assert "of work left" not in text(as_("engineer").get(url("round", loop, 2)))


def test_time_left_counts_only_rounds_trained_the_same_way(loop, eve):
    every = {"POLICY_TRAINING": 100, "POLICY_EVALUATION": 10, "SAMPLING_PAIRS": 20}
    measured(
        loop.round(State.CLOSED, number=1, plan={**loop.line.plan, "optimizer": "dpo"}), **every
    )
    round_ = loop.round(State.POLICY_TRAINING, number=2)
    assert round_context(round_, eve)["seconds_left"] is None
    Round.objects.filter(pk=round_.pk).update(state=State.CANCELLED)
    measured(loop.round(State.CLOSED, number=3), **every)
    later = loop.round(State.POLICY_TRAINING, number=4)
    RoundStep.objects.create(round=later, name=later.state, position=3)
    assert round_context(later, eve)["seconds_left"] == pytest.approx(130, abs=2)


def test_the_report_keeps_the_steps_that_the_page_shows(loop, eve, behave, evidence):
    round_ = advance_through(round_start(line=loop.line, trigger="person"))
    record = record_refresh(round_)
    assert record.states == round_steps(round_)
    assert [step.title for step in record.states[:2]] == [
        "Taking the snapshot", "Training the reward model",
    ]  # fmt: skip
    assert record.states[0].seconds is not None


def test_a_round_that_is_being_cancelled_offers_no_second_cancel(as_, loop):
    round_ = loop.round(State.POLICY_TRAINING)
    as_("engineer").post(url("cancel", loop, round_.number))
    page = text(as_("engineer").get(url("round", loop, 1)))
    assert "The round is being cancelled" in page
    assert url("cancel", loop, 1) not in page


# ------------------------------------------------------------------------------- home


@pytest.fixture
def awaiting(loop, behave, evidence):
    round_ = advance_through(round_start(line=loop.line, trigger="person"))
    record_refresh(round_)
    return round_


def test_a_lead_s_home_says_first_what_waits(as_, loop, awaiting):
    page = text(as_("lead").get("/"))
    report = reverse("reports:report", args=[loop.line.slug, 1])
    assert "round 1: the gate says PROMOTE" in page
    assert f'href="{report}">Read and decide</a>' in page
    assert page.index("Waiting for you") < page.index("<h2>Lines</h2>")
    for other in ("engineer", "other lead"):
        assert "the gate says PROMOTE" not in text(as_(other).get("/"))


def test_a_second_lead_is_asked_at_home_and_the_first_is_not(as_, actors, loop, behave, evidence):
    evidence.changes = TOO_LONG
    round_ = advance_through(round_start(line=loop.line, trigger="person"))
    record_refresh(round_)
    check = round_context(round_, actors["lead"])["overridable"][0][0]
    evaluation.override_request(
        round_id=round_.id, check_id=check, reason=REASON, actor=actors["lead"],
        expires_at=timezone.now() + timedelta(days=1),
    )  # fmt: skip
    words = f"lea asks a second lead to let the check {check} through"
    assert words in text(as_("lead of all").get("/"))
    for other in ("lead", "engineer"):
        assert words not in text(as_(other).get("/"))


def test_a_weaker_gate_policy_waits_at_home_for_another_lead(as_, actors, loop):
    gate_policy_request(
        line_id=loop.line.id, settings=GatePolicySettings(alpha=0.1), reason=REASON,
        actor=actors["lead"], expected_version=0,
    )  # fmt: skip
    words = "lea asks a second lead for a weaker gate policy. At most 10% of the promotions"
    page = text(as_("lead of all").get("/"))
    assert words in page
    assert f'href="{reverse("gates:policy", args=[loop.line.pk])}">Read and decide</a>' in page
    for other in ("lead", "engineer", "other lead"):
        assert words not in text(as_(other).get("/"))


def test_a_loop_that_is_stuck_is_named_to_engineers_and_leads(as_, loop):
    round_ = loop.round(State.REWARD_TRAINING)
    assert "waits for a worker" not in text(as_("engineer").get("/"))
    Round.objects.filter(pk=round_.pk).update(created_at=timezone.now() - 2 * PATIENCE)
    for who in ("engineer", "lead"):
        assert "round 1 waits for a worker (training the reward model)" in text(as_(who).get("/"))
    Round.objects.filter(pk=round_.pk).update(state=State.FAILED, error="No disk.")
    assert "round 1 failed: No disk." in text(as_("engineer").get("/"))
    loop.round(State.CLOSED, number=2)
    assert "No disk." not in text(as_("engineer").get("/"))


def test_an_empty_queue_is_stuck_only_while_labels_are_missing(as_, loop):
    assert "nothing to compare" not in text(as_("lead").get("/"))  # a round can start
    PolicyLine.objects.filter(pk=loop.line.pk).update(minimum_fresh_labels=9)
    assert "annotators have nothing to compare" in text(as_("lead").get("/"))


def test_an_engineer_starts_from_home_and_a_lead_is_offered_no_start(as_, loop):
    assert url("start", loop) in text(as_("engineer").get("/"))
    assert url("start", loop) not in text(as_("lead").get("/"))
    PolicyLine.objects.filter(pk=loop.line.pk).update(minimum_fresh_labels=9)
    page = text(as_("engineer").get("/"))
    assert url("start", loop) not in page
    assert "3 of 9" in page
    assert "6 to go" in page


def test_a_line_s_row_has_verdict_interval_and_ratings(as_, loop, awaiting, monkeypatch):
    page = text(as_("lead").get("/"))
    assert "PROMOTE" in page.split("<h2>Lines</h2>")[1]
    assert 'class="interval' in page
    assert 'class="sparkline"' in page
