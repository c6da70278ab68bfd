"""The judged part of a round's record: what people did, with their ids, and what not to conclude."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from annotation import facade as annotation
from annotation.quality.services import exclusion_drawn, exclusion_lift, exclusion_make
from evaluation import facade
from evaluation.contracts import (
    GatePolicySettings,
    JudgedPromptWear,
    RewardModelMeasurements,
    RoundRecord,
    SamplePair,
    SampleSide,
)
from evaluation.gates import measuring
from evaluation.gates.services import rollback
from evaluation.gates.services.registration import gate_test_open
from tests.annotation.factories import a_campaign, an_annotator, label_next, some_pairs
from tests.evaluation.gates.world import TOO_LONG, LineWorld, labels_from, run_left, sampled
from tests.evaluation.policy.evidence import LABELS, POLICY, SPLIT, interval
from tests.support.people import person_create

BEGUN = RoundRecord(line="help-desk", number=1, state="CLOSED", created_at="2026-03-01T12:00:00Z")


def recorded(world: LineWorld, *, begun: RoundRecord = BEGUN, **told: Any) -> RoundRecord:
    return facade.record_judged(begun, world.judged(**told))


def test_a_round_that_nobody_judged_adds_nothing_but_the_limits(world: LineWorld) -> None:
    assert replace(recorded(world), limits=()) == BEGUN


def test_a_decision_is_recorded_with_the_evidence_that_it_was_made_from(world: LineWorld) -> None:
    decided = world.decide()
    found = recorded(world)
    assert found.gate == decided.gate
    assert found.gate_settings == decided.gate_settings
    assert found.gate_policy_version == decided.policy_version
    assert found.decided_at == decided.decided_at.isoformat()
    assert (found.human, found.fresh_discrimination) == (
        LABELS,
        world.measured().fresh_discrimination,
    )


def test_what_was_no_question_and_how_worn_the_prompts_were_stays_in_the_record(
    world: LineWorld,
) -> None:
    wear = JudgedPromptWear(judged=9, seen_before=4, fresh_left=2)
    world.decide(identical_pairs=3, wear=wear)
    found = recorded(world)
    assert (found.identical_pairs, found.wear) == (3, wear)


def test_who_acted_is_kept_as_an_id(world: LineWorld) -> None:
    world.deploy_first()
    world.decide()
    ada = person_create("ada", "lead")
    facade.approval_record(round_id=world.round, actor=ada, approve=True, reason="")
    (approval,) = recorded(world).approvals
    assert (approval.person, approval.approved) == (str(ada.pk), True)


def test_the_report_says_how_the_overridden_candidate_did(world: LineWorld) -> None:
    world.decide(**TOO_LONG)
    asked = facade.override_request(
        round_id=world.round,
        check_id="G10",
        reason="The longer replies are what users asked for.",
        actor="ada",
        expires_at=timezone.now() + timedelta(days=3),
    )
    assert recorded(world).overrides == ()  # one lead alone lets nothing through
    facade.override_confirm(override_id=asked.id, actor="bo")
    (before,) = recorded(world).overrides
    assert (before.requested_by, before.confirmed_by, before.outcome) == ("ada", "bo", "")
    round_id = world.round
    world.candidate, world.incumbent = world.incumbent, world.candidate
    world.decide(round_id=uuid.uuid4(), number=2, labels=LABELS)
    (after,) = recorded(world, round_id=round_id).overrides
    assert after.outcome.startswith("As incumbent of round 2")
    assert "62%" in after.outcome


def test_what_was_weaker_than_by_default_is_recorded_with_ids_of_who_let_it_be_so(
    world: LineWorld,
) -> None:
    before = timezone.now()
    saved = world.policy_weaken(GatePolicySettings(alpha=0.1))
    (found,) = recorded(world).weaker
    assert saved.request is not None
    assert (found.requested_by, found.confirmed_by) == (saved.created_by, saved.request.answered_by)
    assert (found.version, found.reason) == (1, saved.request.reason)
    assert "10% of the promotions" in found.says
    assert recorded(world, started_at=before).weaker == ()  # it was judged by the default


def test_the_moves_of_the_candidate_are_listed_oldest_first(world: LineWorld) -> None:
    world.deploy_first()
    world.decide()
    world.deploy()
    rollback(line_id=world.line, to_version=world.incumbent.id, actor="ada", reason="Slow.")
    moves = [(d.act, d.version, d.previous) for d in recorded(world).deployments]
    assert moves == [("deploy", "policy v2", "policy v1"), ("rollback", "policy v1", "policy v2")]
    another = recorded(world, round_id=uuid.uuid4(), candidate=None)
    assert another.deployments == ()


def test_samples_say_what_people_preferred_and_the_evidence_grows_block_by_block(
    world: LineWorld, artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = labels_from(
        [1.0, 0.0, 1.0] * 8, candidate=world.candidate.id, incumbent=world.incumbent.id
    )
    side = SampleSide("a reply", 2, 0.5, 0.4)
    pairs = [
        SamplePair("ordinary", str(prompt), (), side, side)
        for prompt in (labels[0].prompt_id, labels[1].prompt_id, uuid.uuid4())
    ]
    run = run_left(
        artifacts,
        measurements=POLICY.to_json(),
        highlights=[pair.to_json() for pair in pairs],
        samples=sampled([("one", "two")] * 24),
    )
    monkeypatch.setattr(annotation, "gate_labels", lambda **_: labels)
    assert recorded(world, policy_run=run).trajectory == ()  # no test was registered
    test = gate_test_open(world.judged(policy_run=run), world.settings)
    found = recorded(world, policy_run=run)
    assert found.policy == POLICY
    assert [pair.human_preference for pair in found.samples] == [1.0, 0.0, None]
    assert [point.labels for point in found.trajectory] == [8, 16, 24]
    assert sum(each.labels for each in found.verdicts) == 24
    files = run_left(artifacts, measurements=POLICY.to_json(), samples="")
    measured = measuring.round_measure(world.judged(policy_run=files), test).labels
    assert measured is not None
    assert max(p.e_value for p in found.trajectory) == pytest.approx(measured.max_e_value)


@pytest.mark.parametrize(
    ("raters", "width", "simulated", "said"),
    [
        (8, 0.1, False, []),
        (7, 0.1, False, ["Only 7 annotators compared"]),
        (8, 0.11, False, ["known to 11 points only"]),
        (8, 0.1, True, ["are simulated: programs"]),
        (0, 0.1, False, []),  # nobody was asked: there is nothing to warn of
    ],
)
def test_limits_say_what_not_to_conclude(
    world: LineWorld,
    artifacts: Path,
    monkeypatch: pytest.MonkeyPatch,
    raters: int,
    width: float,
    simulated: bool,
    said: list[str],
) -> None:
    sides: dict[str, Any] = {"candidate": world.candidate.id, "incumbent": world.incumbent.id}
    labels = labels_from([1.0] * raters, **sides, raters=max(raters, 1))
    monkeypatch.setattr(annotation, "gate_labels", lambda **_: labels)
    split = replace(SPLIT, accuracy=interval(0.5, 0.5, 0.5 + width))
    measured = RewardModelMeasurements({"test": split}).to_json()
    begun = replace(BEGUN, simulated=simulated)
    found = recorded(world, begun=begun, reward_run=run_left(artifacts, measurements=measured))
    assert len(found.limits) == 1 + len(said)
    for sentence, limit in zip(said, found.limits[1:], strict=True):
        assert sentence in limit


def test_the_record_says_which_labels_a_lead_left_out_while_the_gate_was_undecided(
    world: LineWorld,
) -> None:
    campaign = a_campaign(line_id=world.line, gate_share=1.0)
    some_pairs(campaign, 5, purpose="gate", round_id=world.round, split="evaluation")
    one, two = an_annotator(campaign), an_annotator(campaign)
    for rater in (one, two, one):
        label_next(rater, campaign)
    begun = recorded(world).limits
    lead = person_create("lea", "lead")
    drawn = exclusion_drawn(campaign=campaign, rater=one)
    exclusion = exclusion_make(exclusion=drawn, reason="Always the first.", actor=lead)
    assert [label.rater for label in annotation.gate_labels(round_id=world.round)] == [
        two.pseudonym
    ]
    exclusion_lift(exclusion=exclusion, actor=lead)
    said = [limit for limit in recorded(world).limits if limit not in begun]
    assert [limit.split("a lead ")[1].split(" of its")[0] for limit in said] == [
        "left out 2",
        "took in again 2",
    ]
    assert not any("Always the first" in limit or one.pseudonym in limit for limit in said)
    assert not any("a lead" in limit for limit in recorded(world, round_id=uuid.uuid4()).limits)
