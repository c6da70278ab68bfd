"""A canary: who may start it, how votes decide on it, and that the pointer stays where it is until it is widened."""

from __future__ import annotations

import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.db import IntegrityError, connection, transaction
from django.urls import reverse
from django.utils import timezone

from annotation import facade as annotation
from annotation.signals.models import Signal, SignalVote
from evaluation import facade
from evaluation.facade import GateError
from evaluation.gates import services
from evaluation.gates.canary_models import Canary
from evaluation.gates.canary_selectors import canary_running
from evaluation.gates.canary_watch import canary_watch
from evaluation.gates.models import Approval
from evaluation.gates.records import CanaryRecord
from tests.evaluation.gates.canary_votes import thumbs
from tests.evaluation.gates.world import TOO_LONG, LineWorld, policy_create
from tests.support.people import person_create
from web.models import AuditEvent, Notice

NOW = timezone.now()


@pytest.fixture
def world(db: None, artifacts: Path) -> LineWorld:
    made = LineWorld(artifacts)
    made.deploy_first()
    made.decide()
    return made


def started(world: LineWorld, *, ago: float = 3, share: int = 25) -> CanaryRecord:
    with mock.patch("django.utils.timezone.now", return_value=NOW - timedelta(days=ago)):
        return facade.canary_start(
            line_id=world.line, version_id=world.candidate.id, round_id=world.round,
            share=share, actor="round",
        )  # fmt: skip


def listened(world: LineWorld) -> None:
    annotation.signals_switch(line_id=world.line, on=True, actor="a", name="x")


def test_a_canary_moves_no_pointer(world: LineWorld) -> None:
    canary = started(world)
    assert facade.deployed_version(world.line) == world.incumbent.id
    assert (canary.version_id, canary.beside_version) == (world.candidate.id, world.incumbent.id)
    assert started(world, share=50) == canary  # a step that is delivered twice
    (event,) = AuditEvent.objects.filter(verb="canary_start")
    assert event.detail == {"share": 25, "compared": False}


@pytest.mark.parametrize("share", [0, 4, 51])
def test_a_share_outside_the_bounds_is_refused(world: LineWorld, share: int) -> None:
    with pytest.raises(GateError, match=f"5 to 50 percent of the users; {share} is outside"):
        started(world, share=share)


def test_what_the_gate_does_not_let_through_is_no_canary(artifacts: Path, db: None) -> None:
    world = LineWorld(artifacts)
    world.deploy_first()
    world.decide(**TOO_LONG)
    with pytest.raises(GateError, match="lets nothing through"):
        started(world)


def test_a_second_canary_and_another_deployment_wait_for_the_first(world: LineWorld) -> None:
    started(world)
    second = uuid.uuid4()
    world.candidate = policy_create(world.line, world.folder, "another")
    world.decide(round_id=second, number=2)
    act: dict[str, Any] = {
        "line_id": world.line, "version_id": world.candidate.id, "round_id": second, "actor": "x",
    }  # fmt: skip
    with pytest.raises(GateError, match="A canary is under way"):
        facade.canary_start(**act, share=10)
    with pytest.raises(GateError, match="A canary is under way"):
        facade.deployment_start(**act, kind="deploy")


def test_votes_that_are_worse_take_it_back(world: LineWorld) -> None:
    people = [person_create(role, role, line=world.line) for role in ("lead", "engineer")]
    person_create("annotator", "annotator", line=world.line)
    listened(world)
    canary = started(world)
    thumbs(canary, taken=True, users=80, down=56)
    thumbs(canary, taken=False, users=200, down=40)
    pointed = facade.deployment_current(world.line)
    for _ in range(3):
        facade.canaries_judge()
    row = Canary.objects.get()
    assert (row.outcome, row.ended_by) == ("worse", "signals")
    assert facade.deployment_current(world.line) == pointed
    assert AuditEvent.objects.filter(verb="canary_worse", actor="signals").count() == 1
    assert {n.user for n in Notice.objects.all()} == set(people)
    text = Notice.objects.all()[0].text
    assert "70% of the users who gave thumbs on it gave mostly thumbs down, against 20%" in text


def test_equal_votes_leave_it_and_enough_of_them_let_a_lead_widen_it(world: LineWorld) -> None:
    lead = person_create("lead", "lead", line=world.line)
    listened(world)
    canary = started(world)
    thumbs(canary, taken=True, users=40, down=8)
    thumbs(canary, taken=False, users=120, down=24)
    facade.canaries_judge()
    assert canary_running(world.line) is not None
    with pytest.raises(GateError, match="not shown yet"):
        services.canary_widen(line_id=world.line, canary_id=canary.id, actor=lead)
    SignalVote.objects.all().delete()
    Signal.objects.all().delete()
    thumbs(canary, taken=True, users=600, down=60)
    thumbs(canary, taken=False, users=1800, down=180)
    facade.canaries_judge()
    assert "shown not worse" in Notice.objects.get(user=lead).text
    done = services.canary_widen(line_id=world.line, canary_id=canary.id, actor=lead)
    assert (done.kind, done.version_id, done.round_id) == (
        "deploy",
        world.candidate.id,
        world.round,
    )
    assert facade.deployed_version(world.line) == world.candidate.id
    assert Canary.objects.get().outcome == "widened"
    with pytest.raises(GateError, match="is over"):
        services.canary_take_back(line_id=world.line, canary_id=canary.id, actor=lead)


def test_a_vote_counts_only_on_the_side_of_its_user(world: LineWorld) -> None:
    listened(world)
    canary = started(world)
    thumbs(canary, taken=False, users=50, down=50, wrong=True)  # they chose to ask the canary
    thumbs(canary, taken=True, users=5, down=1)
    thumbs(canary, taken=False, users=20, down=4)
    facade.canaries_judge()
    watch = canary_watch(canary)
    assert watch is not None
    assert watch.votes == (5, 20)


def test_after_its_days_it_may_be_widened_without_evidence(world: LineWorld) -> None:
    lead = person_create("lead", "lead", line=world.line)
    canary = started(world, ago=6.9)
    facade.canaries_judge()
    with pytest.raises(GateError, match="can be widened all the same from"):
        services.canary_widen(line_id=world.line, canary_id=canary.id, actor=lead)
    assert not Notice.objects.exists()
    later = mock.patch("django.utils.timezone.now", return_value=NOW + timedelta(hours=3))
    with later:
        for _ in range(2):
            facade.canaries_judge()
        services.canary_widen(line_id=world.line, canary_id=canary.id, actor=lead)
    assert "has answered for its days" in Notice.objects.get(user=lead).text


def test_without_signals_nothing_is_counted(world: LineWorld) -> None:
    canary = started(world)
    thumbs(canary, taken=True, users=80, down=80)
    thumbs(canary, taken=False, users=80, down=0)
    facade.canaries_judge()
    assert canary_watch(canary) is None
    assert not SignalVote.objects.exists()


def test_a_rollback_ends_a_canary(artifacts: Path, db: None) -> None:
    world = LineWorld(artifacts)
    first = world.incumbent
    world.deploy_first()
    world.decide()
    world.deploy()
    world.incumbent, world.candidate = world.candidate, policy_create(world.line, artifacts, "v3")
    world.round = uuid.uuid4()
    world.decide(number=2)
    started(world)
    services.rollback(line_id=world.line, to_version=first.id, actor="ada", reason="Wrong words.")
    assert (Canary.objects.get().outcome, Canary.objects.get().ended_by) == ("overtaken", "ada")
    assert facade.deployed_version(world.line) == first.id


def test_taking_back_leaves_what_is_deployed(world: LineWorld) -> None:
    canary = started(world)
    services.canary_take_back(line_id=world.line, canary_id=canary.id, actor="ada")
    assert facade.deployed_version(world.line) == world.incumbent.id
    assert canary_running(world.line) is None
    assert started(world).outcome == "taken_back"  # its round starts no other


def test_the_history_of_canaries_is_kept_by_the_database(world: LineWorld) -> None:
    canary = started(world)
    services.canary_mark_failed(canary.id, "no memory")
    services.canary_mark_served(canary.id)
    services.canary_mark_crashed(canary.id, "Its server ended by itself (SIGKILL).")
    services.canary_take_back(line_id=world.line, canary_id=canary.id, actor="ada")
    for change in (
        "crashes = 0",
        "share = 50",
        "outcome = 'widened'",
        "ended_by = 'bo'",
        "served_at = now()",
    ):
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"UPDATE gates_canary SET {change}")
    with pytest.raises(IntegrityError), transaction.atomic():
        Canary.objects.all().delete()


def test_a_lead_chooses_the_share_with_the_approval(world: LineWorld) -> None:
    approve: dict[str, Any] = {
        "round_id": world.round,
        "actor": "ada",
        "approve": True,
        "reason": "",
    }
    with pytest.raises(GateError, match="60 is outside"):
        facade.approval_record(**approve, canary_share=60)
    assert facade.approved_share(world.round) is None
    facade.approval_record(**approve, canary_share=10)
    assert Approval.objects.get().canary_share == facade.approved_share(world.round) == 10


def test_the_page_shows_the_canary_and_its_buttons_to_whom_they_are_for(
    sign_in: Any, world: LineWorld
) -> None:
    canary = started(world, ago=8)
    page = reverse("gates:deployments", args=[world.line])
    widen, back = (
        reverse(f"gates:{name}", args=[world.line, canary.id])
        for name in ("canary_widen", "canary_take_back")
    )
    read = sign_in("engineer").get(page).content.decode()
    assert "policy v2 for 25% of the users" in read
    assert "Signals are off on this line: nothing is compared" in read
    assert "holds both models in memory" in read
    assert (widen in read, back in read) == (False, True)
    lead = sign_in("lead")
    assert widen in lead.get(page).content.decode()
    read = lead.post(widen, follow=True).content.decode()
    assert "policy v2 is deployed to everybody" in read
    assert "Widened to everybody" in read
    assert "This canary is over" in lead.post(back, follow=True).content.decode()


def test_the_page_draws_the_votes(sign_in: Any, world: LineWorld) -> None:
    listened(world)
    canary = started(world)
    page = reverse("gates:deployments", args=[world.line])
    assert "0 users have a vote on policy v2" in sign_in("lead").get(page).content.decode()
    thumbs(canary, taken=True, users=40, down=8)
    thumbs(canary, taken=False, users=100, down=20)
    facade.canaries_judge()
    read = sign_in("lead").get(page).content.decode()
    assert "It is not worse:" in read
    assert "in 40 pairs" in read
