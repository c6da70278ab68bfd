"""Saving thresholds: every save is a new version."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from django.db import IntegrityError, transaction

from evaluation.contracts import GatePolicySettings
from evaluation.gates.actors import Actor, actor_key
from evaluation.gates.bounds import settings_require_bounds
from evaluation.gates.models import GatePolicy
from evaluation.gates.records import GateError
from evaluation.gates.selectors import gate_policy_current
from web.services import audit_record


def gate_policy_save(
    *,
    line_id: UUID,
    settings: GatePolicySettings,
    actor: Actor,
    expected_version: int | None = None,
) -> GatePolicy:
    """Save `settings` as the line's next version.

    `expected_version` is the version that the person looked at. GateError when a threshold is out
    of its bounds, or when somebody saved another version in between.
    """
    settings_require_bounds(settings)
    version = gate_policy_current(line_id).version + 1
    if expected_version is not None and expected_version != version - 1:
        raise GateError(
            f"Somebody saved version {version - 1} meanwhile; look at it and save again."
        )
    settings = replace(settings, version=version)
    try:
        with transaction.atomic():
            saved = GatePolicy.objects.create(
                line=line_id,
                version=version,
                settings=settings.to_json(),
                created_by=actor_key(actor),
            )
            audit_record(
                actor=actor_key(actor),
                verb="gate_policy_save",
                target=f"gate policy {version}",
                line=line_id,
                detail=settings.to_json(),
            )
    except IntegrityError as error:
        raise GateError(
            f"Somebody saved version {version} meanwhile; look at it and save again."
        ) from error
    return saved
