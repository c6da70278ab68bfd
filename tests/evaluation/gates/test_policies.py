"""Gate policies: a stricter one counts at once, a weaker one once two leads agree."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from evaluation import facade
from evaluation.contracts import CheckSettings, GatePolicySettings
from evaluation.facade import GateError
from evaluation.gates.models import GatePolicy, GatePolicyRequest, PolicyAnswer
from evaluation.gates.policies import (
    gate_policy_current,
    policy_requests,
    policy_requests_waiting,
    policy_weaker,
)
from evaluation.gates.services import gate_policy_answer, gate_policy_request, gate_policy_save
from tests.evaluation.gates.world import LineWorld
from tests.support.people import person_create
from web.models import AuditEvent

REASON = "The help desk wants longer replies."
LONGER = GatePolicySettings(checks={"G10": CheckSettings(thresholds={"ratio": 2.0})})
STRICT = GatePolicySettings(alpha=0.01)


@pytest.fixture
def leads(world: LineWorld) -> tuple[Any, Any]:
    return person_create("ada", "lead"), person_create("bo", "lead")


def ask(world: LineWorld, by: Any, settings: GatePolicySettings = LONGER, **changes: Any) -> Any:
    told = {
        "line_id": world.line,
        "settings": settings,
        "reason": REASON,
        "actor": by,
        "expected_version": gate_policy_current(world.line).version,
    }
    return gate_policy_request(**{**told, **changes})


def answer(asked: GatePolicyRequest, by: Any, said: str = "confirmed") -> GatePolicy | None:
    return gate_policy_answer(
        line_id=asked.line, request_id=asked.pk, answer=PolicyAnswer(said), actor=by
    )


def test_nobody_saves_a_weaker_policy_alone_and_no_process_does(world: LineWorld) -> None:
    off = GatePolicySettings(
        checks={c: CheckSettings(enabled=False) for c in ("G1", "G3", "G4", "G5", "G10", "G11")}
    )
    for actor in ("demo", "set-up", person_create("ada", "lead")):
        for settings in (off, LONGER, GatePolicySettings(alpha=0.2)):
            with pytest.raises(GateError, match="takes two leads"):
                gate_policy_save(line_id=world.line, settings=settings, actor=actor)
    assert gate_policy_current(world.line).version == 0


def test_what_is_stricter_or_neither_counts_at_once(world: LineWorld) -> None:
    saved = gate_policy_save(line_id=world.line, settings=STRICT, actor="ada")
    more = GatePolicySettings(alpha=0.01, max_labels=5000, max_age_hours=10.0)
    assert gate_policy_save(line_id=world.line, settings=more, actor="demo").version == 2
    assert saved.request is None


def test_a_weaker_policy_counts_once_a_second_lead_confirms(
    world: LineWorld, leads: tuple[Any, Any]
) -> None:
    ada, bo = leads
    mixed = GatePolicySettings(alpha=0.01, checks=LONGER.checks)
    asked = ask(world, ada, mixed)
    assert gate_policy_current(world.line).version == 0
    (waiting,) = policy_requests_waiting(world.line)
    assert (waiting.requested_by, waiting.asked_by) == ("ada", str(ada.pk))
    assert waiting.weaker == (
        "G10 Length: Replies are at most 2 times as long as the incumbent's (ratio of medians)"
        " (instead of 1.25).",
    )
    assert [says.split(" (")[1] for says in waiting.otherwise] == ["instead of 5%)."]
    saved = answer(asked, bo)
    assert gate_policy_current(world.line) == saved
    assert saved is not None
    assert (saved.version, saved.gate_settings.alpha) == (1, 0.01)
    assert (saved.created_by, saved.request) == (str(ada.pk), asked)
    assert policy_requests_waiting(world.line) == []
    verbs = AuditEvent.objects.filter(verb__startswith="gate_policy").order_by("id")
    assert list(verbs.values_list("actor", "verb")) == [
        (str(ada.pk), "gate_policy_request"),
        (str(bo.pk), "gate_policy_confirmed"),
        (str(bo.pk), "gate_policy_save"),
    ]


def test_who_asked_for_a_weaker_policy_is_still_a_lead_at_the_yes(
    world: LineWorld, leads: tuple[Any, Any]
) -> None:
    """A no needs nobody else; a yes by one lead alone would be one lead's."""
    ada, bo = leads
    asked = ask(world, ada)
    ada.memberships.all().delete()
    with pytest.raises(
        GateError, match="ada, who asked for this, is no lead of this line any more"
    ):
        answer(asked, bo)
    assert gate_policy_current(world.line).version == 0
    assert answer(asked, bo, "declined") is None


def test_who_asks_cannot_answer_and_only_they_withdraw(
    world: LineWorld, leads: tuple[Any, Any]
) -> None:
    ada, bo = leads
    asked = ask(world, ada)
    for said in ("confirmed", "declined"):
        with pytest.raises(GateError, match="two different leads"):
            answer(asked, ada, said)
    with pytest.raises(GateError, match="Only who asked"):
        answer(asked, bo, "withdrawn")
    assert answer(asked, ada, "withdrawn") is None
    assert gate_policy_current(world.line).version == 0


@pytest.mark.parametrize("said", ["confirmed", "declined"])
def test_a_request_is_answered_once(world: LineWorld, leads: tuple[Any, Any], said: str) -> None:
    ada, bo = leads
    asked = ask(world, ada)
    answer(asked, bo, said)
    assert [found.standing for found in policy_requests(world.line)] == [said]
    with pytest.raises(GateError, match=f"It was {said} already"):
        answer(asked, bo)


def test_a_policy_saved_meanwhile_ends_the_request(
    world: LineWorld, leads: tuple[Any, Any]
) -> None:
    asked = ask(world, leads[0])
    gate_policy_save(line_id=world.line, settings=STRICT, actor=leads[1])
    assert [found.standing for found in policy_requests(world.line)] == ["superseded"]
    with pytest.raises(GateError, match="Another gate policy counts since"):
        answer(asked, leads[1])
    assert ask(world, leads[0]).based_on == 1  # and it may be asked for anew


def test_a_request_expires(
    world: LineWorld, leads: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ask(world, leads[0])
    later = timezone.now() + timedelta(days=15)
    monkeypatch.setattr("django.utils.timezone.now", lambda: later)
    assert [found.standing for found in policy_requests(world.line)] == ["expired"]
    with pytest.raises(GateError, match="has expired"):
        answer(asked, leads[1])


def test_a_request_gives_its_reason_is_weaker_and_waits_alone(
    world: LineWorld, leads: tuple[Any, Any]
) -> None:
    with pytest.raises(GateError, match="needs a reason"):
        ask(world, leads[0], reason="so what")
    with pytest.raises(GateError, match="Nothing is weaker"):
        ask(world, leads[0], STRICT)
    with pytest.raises(GateError, match="Somebody saved version 0"):
        ask(world, leads[0], expected_version=4)
    ask(world, leads[0])
    with pytest.raises(GateError, match="Another weaker policy waits"):
        ask(world, leads[1])


def test_a_request_is_found_on_its_own_line_only(world: LineWorld, leads: tuple[Any, Any]) -> None:
    asked = ask(world, leads[0])
    with pytest.raises(GateError, match="no such request"):
        gate_policy_answer(
            line_id=asked.pk, request_id=asked.pk, answer=PolicyAnswer.CONFIRMED, actor=leads[1]
        )


def test_the_database_itself_asks_for_two_people(world: LineWorld, leads: tuple[Any, Any]) -> None:
    ada, bo = (str(person.pk) for person in leads)
    ask(world, leads[0])
    rows, now = GatePolicyRequest.objects.all(), timezone.now()
    for said, by in (("confirmed", ada), ("declined", ada), ("withdrawn", bo)):
        with pytest.raises(IntegrityError, match="two_people"), transaction.atomic():
            rows.update(answer=said, answered_by=by, answered_at=now)
    for half in ({"answer": "confirmed"}, {"answered_by": bo}, {"answered_at": now}):
        with pytest.raises(IntegrityError, match="answered_whole"), transaction.atomic():
            rows.update(**half)


def test_what_is_weaker_than_by_default_names_who_made_it_so_last(
    world: LineWorld, leads: tuple[Any, Any]
) -> None:
    ada, bo = leads
    answer(ask(world, ada), bo)
    both = GatePolicySettings(alpha=0.1, checks=LONGER.checks)
    answer(ask(world, bo, both, reason="We can live with more mistakes."), ada)
    stricter = GatePolicySettings(
        alpha=0.08, checks={"G10": CheckSettings(thresholds={"ratio": 1.5})}
    )
    gate_policy_save(line_id=world.line, settings=stricter, actor=ada)
    found = policy_weaker(gate_policy_current(world.line))
    assert [(item.version, item.requested_by, item.confirmed_by) for item in found] == [
        (2, str(bo.pk), str(ada.pk)),
        (1, str(ada.pk), str(bo.pk)),
    ]
    assert found[0].says.endswith("may be mistaken (instead of 5%).")
    assert "1.5 times" in found[1].says
    assert policy_weaker(GatePolicy.objects.get(version=1))[0].version == 1


def test_a_weaker_policy_of_an_earlier_release_names_the_one_who_saved_it(
    world: LineWorld,
) -> None:
    old = GatePolicy.objects.create(
        line=world.line, version=1, settings=LONGER.to_json(), created_by="ada"
    )
    (found,) = policy_weaker(old)
    assert (found.requested_by, found.confirmed_by, found.reason) == ("ada", "", "")


def test_the_default_is_not_weaker_than_itself(world: LineWorld) -> None:
    assert policy_weaker(gate_policy_current(world.line)) == ()
    facade.gate_policy_save(line_id=world.line, settings=STRICT, actor="demo")
    assert policy_weaker(gate_policy_current(world.line)) == ()
