"""The database itself refuses to change history, whoever asks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, models, transaction
from django.utils import timezone

from evaluation import facade
from evaluation.contracts import GatePolicySettings
from evaluation.gates.models import (
    Approval,
    Decision,
    Deployment,
    GatePolicy,
    GatePolicyRequest,
    Override,
)
from evaluation.gates.services import deployment_mark_failed, deployment_mark_served
from tests.evaluation.gates.world import TOO_LONG, LineWorld, deployment_get


@pytest.fixture
def history(world: LineWorld) -> LineWorld:
    """One row in every table."""
    world.policy_weaken(GatePolicySettings(alpha=0.1))
    world.deploy_first()
    world.decide(**TOO_LONG)
    asked = facade.override_request(
        round_id=world.round,
        check_id="G10",
        reason="Longer replies were asked for.",
        actor="ada",
        expires_at=timezone.now() + timedelta(days=1),
    )
    facade.override_confirm(override_id=asked.id, actor="bo")
    facade.approval_record(round_id=world.round, actor="ada", approve=True, reason="")
    return world


CHANGES: list[tuple[type[models.Model], dict[str, Any]]] = [
    (GatePolicy, {"settings": {}}),
    (GatePolicyRequest, {"reason": "another"}),
    (GatePolicyRequest, {"answered_by": "cy"}),
    (GatePolicyRequest, {"answer": "", "answered_by": "", "answered_at": None}),
    (Decision, {"verdict": "PROMOTE"}),
    (Approval, {"approved": False}),
    (Override, {"reason": "another"}),
    (Override, {"confirmed_by": "cy"}),
    (Override, {"confirmed_by": "", "confirmed_at": None}),
    (Deployment, {"artifact_sha256": "0" * 64}),
    (Deployment, {"kind": "rollback"}),
]


@pytest.mark.parametrize(("model", "change"), CHANGES)
def test_a_row_cannot_be_changed(
    history: LineWorld, model: type[models.Model], change: dict[str, Any]
) -> None:
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        model._default_manager.update(**change)


@pytest.mark.parametrize(
    "model", [Approval, Override, GatePolicy, GatePolicyRequest, Decision, Deployment]
)
def test_a_row_cannot_be_deleted(history: LineWorld, model: type[models.Model]) -> None:
    rows = model._default_manager.all()
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        rows._raw_delete(rows.db)


def test_one_person_on_both_sides_is_refused_by_the_database_too(world: LineWorld) -> None:
    world.decide(**TOO_LONG)
    asked = facade.override_request(
        round_id=world.round,
        check_id="G10",
        reason="Longer replies were asked for.",
        actor="ada",
        expires_at=timezone.now() + timedelta(days=1),
    )
    rows = Override.objects.filter(pk=asked.id)
    with pytest.raises(IntegrityError, match="override_by_two_people"), transaction.atomic():
        rows.update(confirmed_by="ada", confirmed_at=timezone.now())


def test_served_is_filled_in_once(history: LineWorld) -> None:
    deployment = facade.deployment_current(history.line)
    assert deployment is not None
    deployment_mark_failed(deployment.id, "no memory")
    deployment_mark_served(deployment.id)
    first = deployment_get(deployment.id)
    assert (first.served_at is not None, first.served_error) == (True, "")
    deployment_mark_served(deployment.id)
    assert deployment_get(deployment.id).served_at == first.served_at
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        Deployment.objects.update(served_at=None)
