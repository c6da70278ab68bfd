"""Lines and rounds for programs: read them, look before a start, start, cancel."""

from __future__ import annotations

from functools import partial
from typing import Literal
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest
from ninja import Field, Path, Query, Router, Schema, Status

from evaluation import facade as evaluation
from web.access import ENGINEER, STAFF, person, require_role
from web.api.access import TokenAuth
from web.api.idempotency import once
from web.api.listing import Cursor, Listing, listed
from web.api.problems import Problem
from web.api.requests import Body, Number
from web.tokens import READ, ROUNDS

from . import services
from .access import line_of_id, lines_allowed, round_of
from .dry_run import start_check
from .models import PolicyLine, Round
from .selectors import active_round, fresh_labels, round_steps
from .tasks import advance_enqueue

router = Router(tags=["lines and rounds"])
StateName = Literal[
    "SNAPSHOT",
    "REWARD_TRAINING",
    "REWARD_EVALUATION",
    "POLICY_TRAINING",
    "POLICY_EVALUATION",
    "AWAITING_LABELS",
    "AWAITING_APPROVAL",
    "DECIDED",
    "DEPLOYING",
    "SAMPLING_PAIRS",
    "CLOSED",
    "FAILED",
    "CANCELLED",
]


class LineOut(Schema):
    """`simulated`: its annotators are programs."""

    id: UUID
    slug: str
    name: str
    description: str
    simulated: bool
    base_version: UUID | None
    deploys_by_itself: bool
    created_at: str


class LineDetail(LineOut):
    """`fresh_labels`: training labels since the last snapshot; `active_round` by its number."""

    deployed_version: UUID | None
    fresh_labels: int
    active_round: int | None


class RoundOut(Schema):
    """`verdict` is empty until the gate has decided: PROMOTE, REJECT or INCONCLUSIVE."""

    id: UUID
    number: int
    title: str
    state: StateName
    trigger: str
    verdict: str
    summary: str
    error: str
    incumbent: UUID
    candidate: UUID | None
    reward_model: UUID | None
    snapshot: UUID | None
    fresh_labels: int
    cancel_requested: bool
    created_at: str
    closed_at: str | None


class StepOut(Schema):
    """`left_at` is empty while the step is under way."""

    name: str
    entered_at: str
    left_at: str
    note: str


class RoundDetail(RoundOut):
    steps: list[StepOut]


class StartIn(Body):
    """`forced` leaves the minimum of new labels aside."""

    forced: bool = False
    title: str = Field("", max_length=100)


class StartCheckOut(Schema):
    """`reasons` stand in the way of a start, `notes` weaken it; `facts` are what it would do."""

    ready: bool
    reasons: list[str]
    notes: list[str]
    facts: dict[str, str]


class LineQuery(Cursor):
    """`archived`: those that were put away, in place of the others."""

    archived: bool = False


@router.get(
    "/lines",
    response={200: Listing[LineOut]},
    auth=TokenAuth(READ),
    url_name="lines",
)
def lines_list(request: HttpRequest, query: Query[LineQuery]) -> Listing[LineOut]:
    """The lines on which the token's owner is engineer or lead, by name."""
    require_role(request, *STAFF)
    rows = lines_allowed(request).filter(archived_at__isnull=not query.archived)
    return listed(rows, cursor=query, fields=("name", "id"), shown=line_shown)


@router.get(
    "/lines/{line_id}",
    response={200: LineDetail, 404: Problem},
    auth=TokenAuth(READ),
    url_name="line",
)
def line_read(request: HttpRequest, line_id: UUID) -> LineDetail:
    line = line_of_id(request, line_id)
    active = active_round(line)
    return LineDetail(
        **line_shown(line).dict(),
        deployed_version=evaluation.deployed_version(line.id),
        fresh_labels=fresh_labels(line),
        active_round=active.number if active else None,
    )


@router.get(
    "/lines/{line_id}/start-check",
    response={200: StartCheckOut, 404: Problem},
    auth=TokenAuth(READ),
    url_name="start_check",
)
def start_look(request: HttpRequest, line_id: UUID) -> StartCheckOut:
    """What a start would do now, and what stands in its way; nothing is changed."""
    check = start_check(line=line_of_id(request, line_id))
    return StartCheckOut(
        ready=check.ready,
        reasons=list(check.reasons),
        notes=list(check.notes),
        facts=dict(check.facts),
    )


@router.get(
    "/lines/{line_id}/rounds",
    response={200: Listing[RoundOut], 404: Problem},
    auth=TokenAuth(READ),
    url_name="rounds",
)
def rounds_list(request: HttpRequest, line_id: UUID, query: Query[Cursor]) -> Listing[RoundOut]:
    rows = line_of_id(request, line_id).rounds.all()
    return listed(rows, cursor=query, fields=("-number", "-id"), shown=round_shown)


@router.post(
    "/lines/{line_id}/rounds",
    response={201: RoundOut, 404: Problem, 409: Problem},
    auth=TokenAuth(ROUNDS),
    url_name="rounds",
)
@once
def round_order(request: HttpRequest, line_id: UUID, wish: StartIn) -> Status[RoundOut]:
    """Start a round; 409 says what stands in the way."""
    line = line_of_id(request, line_id, ENGINEER)
    round_ = services.round_start(
        line=line, trigger="person", actor=person(request), forced=wish.forced, title=wish.title
    )
    transaction.on_commit(partial(advance_enqueue, round_.id, round_.state))
    return Status(201, round_shown(round_))


@router.get(
    "/lines/{line_id}/rounds/{number}",
    response={200: RoundDetail, 404: Problem},
    auth=TokenAuth(READ),
    url_name="round",
)
def round_read(request: HttpRequest, line_id: UUID, number: Path[Number]) -> RoundDetail:
    round_ = round_of(line_of_id(request, line_id), number)
    steps = [
        StepOut(name=s.name, entered_at=s.entered_at, left_at=s.left_at, note=s.note)
        for s in round_steps(round_)
    ]
    return RoundDetail(**round_shown(round_).dict(), steps=steps)


@router.post(
    "/lines/{line_id}/rounds/{number}/cancel",
    response={200: RoundOut, 404: Problem},
    auth=TokenAuth(ROUNDS),
    url_name="round_cancel",
)
@once
def round_stop(request: HttpRequest, line_id: UUID, number: Path[Number]) -> RoundOut:
    """Ask the round to stop; what it made so far is kept. One that has ended is left as it is."""
    line = line_of_id(request, line_id)
    round_ = round_of(line, number)
    services.round_cancel(round_=round_, actor=str(person(request).pk))
    if round_.active:
        transaction.on_commit(partial(advance_enqueue, round_.id, round_.state))
    return round_shown(round_of(line, number))


def line_shown(line: PolicyLine) -> LineOut:
    plain = ("id", "slug", "name", "description", "simulated", "base_version", "deploys_by_itself")
    return LineOut(
        **{name: getattr(line, name) for name in plain}, created_at=line.created_at.isoformat()
    )


def round_shown(round_: Round) -> RoundOut:
    computed = {"cancel_requested", "created_at", "closed_at"}
    return RoundOut(
        **{name: getattr(round_, name) for name in RoundOut.model_fields if name not in computed},
        cancel_requested=round_.cancel_requested_at is not None,
        created_at=round_.created_at.isoformat(),
        closed_at=round_.closed_at.isoformat() if round_.closed_at else None,
    )
