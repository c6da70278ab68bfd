"""Reads of the gate policies: the one in force, requests for weaker ones, what is weaker than the default."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone

from evaluation.contracts import GatePolicySettings, WeakerSetting
from evaluation.gates.models import GatePolicy, GatePolicyRequest
from evaluation.gates.records import PolicyRequestStanding, PolicyRequestState
from evaluation.gates.weakening import policy_changes, weakenings
from web.audit import people_named

DEFAULT = GatePolicySettings(version=0)


def gate_policy_current(line_id: UUID, *, as_of: datetime | None = None) -> GatePolicy:
    """The newest version; the built-in default as version 0, in no table, where none was saved.

    With `as_of`, the version in force then: a round is judged by the policy that it started under,
    so that nobody moves a threshold while looking at the round's evidence.
    """
    rows = GatePolicy.objects.filter(line=line_id)
    if as_of is not None:
        rows = rows.filter(created_at__lte=as_of)
    return rows.order_by("-version").first() or GatePolicy(
        line=line_id, version=0, settings=DEFAULT.to_json()
    )


def gate_policies(line_id: UUID) -> list[GatePolicy]:
    """Every saved version, newest first."""
    return list(gate_policies_saved(line_id).order_by("-version"))


def gate_policies_saved(line_id: UUID) -> QuerySet[GatePolicy, GatePolicy]:
    return GatePolicy.objects.filter(line=line_id).select_related("request")


def policy_requests(line_id: UUID) -> list[PolicyRequestState]:
    """Every request for a weaker policy of a line, newest first."""
    rows = list(GatePolicyRequest.objects.filter(line=line_id).order_by("-requested_at"))
    current, now = gate_policy_current(line_id).version, timezone.now()
    names = people_named(key for row in rows for key in (row.requested_by, row.answered_by) if key)
    return [_request_state(row, current, now, names) for row in rows]


def policy_requests_waiting(line_id: UUID) -> list[PolicyRequestState]:
    """Those that a second lead may still confirm."""
    return [found for found in policy_requests(line_id) if found.standing == "waiting"]


def request_standing(row: GatePolicyRequest, current: int, now: datetime) -> PolicyRequestStanding:
    """`current` is the version in force: a request on another one is over."""
    if row.answer:
        answer: PolicyRequestStanding = row.answer  # type: ignore[assignment]
        return answer
    if row.based_on != current:
        return "superseded"
    return "waiting" if now < row.expires_at else "expired"


def policy_weaker(policy: GatePolicy) -> tuple[WeakerSetting, ...]:
    """What is weaker in a policy than by default, and the version and people that made it so last."""
    history = [row for row in gate_policies(policy.line) if row.version <= policy.version]
    return tuple(
        _weaker_setting(change.says, _made_by(change.path, history))
        for change in weakenings(DEFAULT, policy.gate_settings)
    )


def _made_by(path: str, newest_first: list[GatePolicy]) -> GatePolicy:
    """The newest version that made `path` weaker than it was in the version before."""
    for row, settings, before in _with_the_one_before(newest_first):
        if any(change.path == path for change in weakenings(before, settings)):
            return row
    return newest_first[0]  # weaker by what a later release knows


def _with_the_one_before(
    newest_first: list[GatePolicy],
) -> Iterator[tuple[GatePolicy, GatePolicySettings, GatePolicySettings]]:
    settings = [*(row.gate_settings for row in newest_first), DEFAULT]
    yield from zip(newest_first, settings[:-1], settings[1:], strict=True)


def _weaker_setting(says: str, made: GatePolicy) -> WeakerSetting:
    request = made.request
    return WeakerSetting(
        says=says,
        version=made.version,
        at=made.created_at.isoformat(),
        requested_by=made.created_by,
        confirmed_by=request.answered_by if request else "",
        reason=request.reason if request else "",
    )


def _request_state(
    row: GatePolicyRequest, current: int, now: datetime, names: dict[str, str]
) -> PolicyRequestState:
    based_on = GatePolicy.objects.filter(line=row.line, version=row.based_on).first()
    before = based_on.gate_settings if based_on else DEFAULT
    changes = policy_changes(before, row.gate_settings)
    return PolicyRequestState(
        id=row.pk,
        line_id=row.line,
        standing=request_standing(row, current, now),
        weaker=tuple(change.says for change in changes if change.weaker),
        otherwise=tuple(change.says for change in changes if not change.weaker),
        reason=row.reason,
        asked_by=row.requested_by,
        requested_by=names[row.requested_by],
        requested_at=row.requested_at,
        expires_at=row.expires_at,
        answered_by=names.get(row.answered_by, ""),
        answered_at=row.answered_at,
    )
