"""Gate policies of tests, saved the way a line gets them."""

from __future__ import annotations

import uuid
from uuid import UUID

from evaluation.contracts import GatePolicySettings
from evaluation.gates.models import GatePolicy, PolicyAnswer
from evaluation.gates.policies import gate_policy_current
from evaluation.gates.services import gate_policy_answer, gate_policy_request, gate_policy_save
from evaluation.gates.weakening import weakenings
from tests.support.people import person_create


def policy_put(line_id: UUID, settings: GatePolicySettings) -> GatePolicy:
    """Let `settings` count on a line: two leads do where they are weaker."""
    if not weakenings(gate_policy_current(line_id).gate_settings, settings):
        return gate_policy_save(line_id=line_id, settings=settings, actor="a lead")
    asked = gate_policy_request(
        line_id=line_id,
        settings=settings,
        reason="It held back what was plainly better.",
        actor=person_create(f"first-{uuid.uuid4()}", "lead"),
        expected_version=gate_policy_current(line_id).version,
    )
    saved = gate_policy_answer(
        line_id=line_id,
        request_id=asked.pk,
        answer=PolicyAnswer.CONFIRMED,
        actor=person_create(f"second-{uuid.uuid4()}", "lead"),
    )
    assert saved is not None
    return saved
