"""Decisions, approvals and overrides: who may do what, and what is kept."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from evaluation import facade
from evaluation.contracts import GatePolicySettings
from evaluation.facade import GateError
from evaluation.gates.models import Decision
from evaluation.gates.policies import gate_policy_current
from evaluation.gates.records import OverrideState
from evaluation.gates.selectors import decision_require
from evaluation.gates.services import decisions
from evaluation.policy import DEFAULT_CHECKS, gate_decide
from tests.evaluation.gates.world import BROKEN, TOO_LONG, LineWorld, run_left
from tests.evaluation.policy.evidence import LABELS, POLICY
from tests.support.people import person_create
from web.models import AuditEvent

REASON = "The longer replies are what users asked for."


def in_days(days: float) -> object:
    return timezone.now() + timedelta(days=days)


def ask(
    world: LineWorld, actor: object = "ada", check_id: str = "G10", **changes: object
) -> OverrideState:
    arguments: dict[str, Any] = {
        "round_id": world.round,
        "check_id": check_id,
        "reason": REASON,
        "actor": actor,
        "expires_at": in_days(3),
    }
    return facade.override_request(**{**arguments, **changes})


def effective_verdict(world: LineWorld) -> str:
    found = facade.effective_gate(world.round)
    assert found is not None
    return found.verdict


def test_a_decision_keeps_what_it_was_made_from(world: LineWorld) -> None:
    decided = world.decide()
    found = decision_require(world.round)
    assert found == decided
    assert found.verdict == "PROMOTE"
    assert found.evidence == facade.decided_on(world.round) == world.measured()
    assert found.gate == decided.gate == gate_decide(found.evidence, found.gate_settings)
    assert (found.policy_version, found.revision) == (0, 1)


def test_the_same_evidence_is_recorded_once_and_more_evidence_makes_a_revision(
    world: LineWorld,
) -> None:
    assert world.decide().id == world.decide().id
    again = world.decide(labels=None)
    assert (again.revision, again.verdict) == (2, "INCONCLUSIVE")
    assert decision_require(world.round) == again


# ---------------------------------------------------------------------- approvals


def test_a_lead_approves_a_promotion_once(world: LineWorld) -> None:
    world.decide()
    ada = person_create("ada", "lead")
    facade.approval_record(round_id=world.round, actor=ada, approve=True, reason="")
    given = facade.approval_get(world.round)
    assert given is not None
    assert (given.person, given.approved) == (str(ada.pk), True)
    facade.approval_record(round_id=world.round, actor=ada, approve=True, reason="")
    with pytest.raises(GateError, match="ada has already approved"):
        facade.approval_record(round_id=world.round, actor="bo", approve=False, reason=REASON)


def test_what_the_gate_rejects_cannot_be_approved(world: LineWorld) -> None:
    world.decide(**TOO_LONG)
    with pytest.raises(GateError, match="only a promotion waits"):
        facade.approval_record(round_id=world.round, actor="ada", approve=True, reason="")


def test_declining_needs_a_reason_and_holds_the_deployment_back(world: LineWorld) -> None:
    world.deploy_first()
    world.decide()
    with pytest.raises(GateError, match="needs a reason"):
        facade.approval_record(round_id=world.round, actor="ada", approve=False, reason=" ")
    facade.approval_record(round_id=world.round, actor="ada", approve=False, reason=REASON)
    with pytest.raises(GateError, match="ada declined"):
        world.deploy()


# ---------------------------------------------------------------------- overrides


def test_two_leads_let_a_failed_check_through(world: LineWorld) -> None:
    assert world.decide(**TOO_LONG).verdict == "REJECT"
    asked = ask(world)
    assert not asked.active
    assert effective_verdict(world) == "REJECT"
    assert facade.override_confirm(override_id=asked.id, actor="bo") == "PROMOTE"
    assert facade.effective_gate(world.round).check("G10").overridden  # type: ignore[union-attr]
    assert decision_require(world.round).verdict == "REJECT"
    assert [state.active for state in facade.overrides(world.round)] == [True]
    assert list(AuditEvent.objects.filter(verb__startswith="override").values_list("actor", "verb").order_by("id")) == [
        ("ada", "override_request"),
        ("bo", "override_confirm"),
    ]  # fmt: skip


def test_a_past_decision_is_overridden_by_the_checks_that_it_was_made_with(
    world: LineWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An earlier release did not ask G2, so its evidence holds nothing that G2 could read."""
    with monkeypatch.context() as earlier:
        earlier.delitem(DEFAULT_CHECKS, "G2")
        decided = world.decide(**TOO_LONG, length_control=None)
    assert facade.override_confirm(override_id=ask(world).id, actor="bo") == "PROMOTE"
    gate = facade.effective_gate(world.round)
    assert gate is not None
    assert [check.id for check in gate.checks] == [check.id for check in decided.gate.checks]
    assert gate.evidence_sha256 == decided.evidence_sha256


def test_nobody_confirms_their_own_override(world: LineWorld) -> None:
    world.decide(**TOO_LONG)
    ada = person_create("ada", "lead")
    asked = ask(world, actor=ada)
    with pytest.raises(GateError, match="two different leads"):
        facade.override_confirm(override_id=asked.id, actor=ada.pk)
    assert effective_verdict(world) == "REJECT"


def test_one_override_does_not_let_another_failed_check_through(world: LineWorld) -> None:
    world.decide(**TOO_LONG, labels=None)
    asked = ask(world)
    assert facade.override_confirm(override_id=asked.id, actor="bo") == "INCONCLUSIVE"


def test_integrity_is_never_overridden(world: LineWorld) -> None:
    world.decide(**BROKEN)
    with pytest.raises(GateError, match="cannot be overridden by anybody"):
        ask(world, check_id="G0")


@pytest.mark.parametrize("check_id", ["G4", "G6", "G99"])
def test_only_a_check_that_holds_the_candidate_back_is_overridden(
    world: LineWorld, check_id: str
) -> None:
    world.decide(**TOO_LONG)
    with pytest.raises(GateError):
        ask(world, check_id=check_id)


def test_an_override_needs_a_reason_and_a_near_expiry(world: LineWorld) -> None:
    world.decide(**TOO_LONG)
    with pytest.raises(GateError, match="needs a reason"):
        ask(world, reason="because")
    for days in (-1, 31):
        with pytest.raises(GateError, match="expires"):
            ask(world, expires_at=in_days(days))
    ask(world)
    with pytest.raises(GateError, match="asked for already"):
        ask(world, actor="bo")


def test_an_expired_override_lets_nothing_through(
    world: LineWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.decide(**TOO_LONG)
    asked = ask(world)
    facade.override_confirm(override_id=asked.id, actor="bo")
    later = timezone.now() + timedelta(days=4)
    monkeypatch.setattr("django.utils.timezone.now", lambda: later)
    assert effective_verdict(world) == "REJECT"
    late = ask(world, expires_at=later + timedelta(days=1))
    monkeypatch.setattr("django.utils.timezone.now", lambda: later + timedelta(days=2))
    with pytest.raises(GateError, match="has expired"):
        facade.override_confirm(override_id=late.id, actor="bo")


def test_newer_evidence_ends_an_override(world: LineWorld) -> None:
    world.decide(**TOO_LONG)
    asked = ask(world)
    world.decide(**TOO_LONG, human_ceiling=None)
    with pytest.raises(GateError, match="newer evidence"):
        facade.override_confirm(override_id=asked.id, actor="bo")


# ------------------------------------------------------------------ gate policies


def test_a_saved_policy_is_the_next_version_and_counts_from_then_on(world: LineWorld) -> None:
    assert gate_policy_current(world.line).version == 0
    world.decide()
    saved = facade.gate_policy_save(
        line_id=world.line, settings=GatePolicySettings(alpha=0.01), actor="ada"
    )
    assert (saved.version, saved.gate_settings.version, saved.gate_settings.alpha) == (1, 1, 0.01)
    assert gate_policy_current(world.line) == saved
    assert Decision.objects.get().settings["alpha"] == 0.05
    assert world.decide(round_id=uuid.uuid4(), number=2).policy_version == 1


def test_a_round_is_judged_by_the_policy_that_it_started_under(
    world: LineWorld, artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = timezone.now()
    loose = GatePolicySettings(alpha=0.2)
    world.policy_weaken(loose)
    measurements = world.measured(labels=replace(LABELS, e_value=10.0, max_e_value=10.0))
    monkeypatch.setattr(decisions, "round_measure", lambda judged, test: measurements)
    run = run_left(artifacts, measurements=POLICY.to_json(), samples="")
    held = facade.round_decide(world.judged(started_at=started, policy_run=run))
    assert held.labels_wanted
    assert not Decision.objects.exists()  # labels can still decide it
    judged = world.judged(policy_run=run, round_id=uuid.uuid4())
    assert facade.round_decide(judged).verdict == "PROMOTE"
    assert Decision.objects.get().policy_version == 1
    assert gate_policy_current(world.line, as_of=started).version == 0


def test_a_policy_saved_over_another_ones_is_refused(world: LineWorld) -> None:
    arguments: dict[str, Any] = {
        "line_id": world.line,
        "settings": GatePolicySettings(),
        "actor": "ada",
    }
    facade.gate_policy_save(**arguments, expected_version=0)
    with pytest.raises(GateError, match="Somebody saved version 1"):
        facade.gate_policy_save(**arguments, expected_version=0)


@pytest.mark.parametrize("how", ["demoted", "closed"])
def test_who_asked_must_still_be_a_lead_when_it_is_confirmed(world: LineWorld, how: str) -> None:
    """Otherwise one lead alone would let a check through."""
    world.decide(**TOO_LONG)
    one, two = (person_create(name, "lead", line=world.line) for name in ("one", "two"))
    asked = ask(world, one)
    if how == "demoted":
        one.memberships.all().delete()
    else:
        one.is_active = False
        one.save()
    with pytest.raises(
        GateError, match="one, who asked for this, is no lead of this line any more"
    ):
        facade.override_confirm(override_id=asked.id, actor=two)
    assert effective_verdict(world) != "PROMOTE"
    one.is_active = True
    one.save()
    one.memberships.get_or_create(role="lead", line=world.line)
    assert facade.override_confirm(override_id=asked.id, actor=two) == "PROMOTE"
