"""Lines for programs: make one, give it its base policy, let that write the first pairs.

Its operations stand on the router of `api`: one address has one router.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal
from uuid import UUID

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.utils.text import slugify
from ninja import Field, Schema, Status

from training.contracts import ContractError
from web.access import ENGINEER, STAFF, person, require_role, roles_of
from web.api.access import TokenAuth
from web.api.idempotency import once
from web.api.problems import Problem, field_refused, fields_refused
from web.api.requests import Body
from web.tokens import LINES, READ

from .access import line_of_id
from .api import LineOut, RoundOut, line_shown, round_shown, router
from .bases import base_order
from .making import folder_clean, line_make, line_maker_check, policies_offered
from .models import PolicyLine
from .services import first_pairs_order, slug_problem
from .tasks import advance_enqueue, base_enqueue

__all__ = ["router"]


class BaseIn(Body):
    """The model that training starts from, by one of the two: a `folder` on the server, inside one that an
    operator has allowed, or the `version` of a registered policy. It is copied."""

    folder: str = Field("", max_length=500)
    version: UUID | None = None


class LineIn(BaseIn):
    """Without a `slug`, the name in addresses is made from `name`. `plan` holds the settings that differ from the
    defaults, nested as in the plan's document; only an engineer sets them."""

    name: str = Field(min_length=1, max_length=100, pattern=r"\S")
    slug: str = Field("", max_length=50)
    description: str = Field("", max_length=2000)
    plan: dict[str, Any] = {}


class BaseOut(Schema):
    """The base policy of a line. `state` is `none` before one is ordered; a worker checks and copies it; of a line
    that was made at the terminal it is `done`. `checks` is what the check said, `error` why it was not taken:
    then another can be ordered."""

    state: Literal["none", "queued", "checking", "copying", "failed", "done"]
    version: UUID | None
    checks: list[str]
    error: str


@router.post(
    "/lines",
    response={201: LineOut, 409: Problem},
    auth=TokenAuth(LINES),
    url_name="lines",
)
@once
def line_make_new(request: HttpRequest, wish: LineIn) -> Status[LineOut]:
    """Make a line; a worker checks its model, copies and deploys it: `GET /lines/LINE/base` follows that."""
    require_role(request, *STAFF)
    line_maker_check(request.user)
    if wish.plan and ENGINEER not in roles_of(request.user):
        raise PermissionDenied("Only an engineer sets a plan: leave plan out.")
    slug = wish.slug or slugify(wish.name)[:50]
    if problem := slug_problem(slug):
        raise field_refused("slug", problem)
    try:
        line, order = line_make(
            name=wish.name.strip(),
            slug=slug,
            description=wish.description.strip(),
            source=_source(request, wish),
            plan=wish.plan,
            actor=person(request),
        )
    except ContractError as error:
        raise field_refused("plan", str(error)) from error
    transaction.on_commit(partial(base_enqueue, order.pk))
    return Status(201, line_shown(line))


@router.get(
    "/lines/{line_id}/base",
    response={200: BaseOut, 404: Problem},
    auth=TokenAuth(READ),
    url_name="line_base",
)
def base_read(request: HttpRequest, line_id: UUID) -> BaseOut:
    """How far the line's base policy is."""
    return _base_shown(line_of_id(request, line_id))


@router.post(
    "/lines/{line_id}/base",
    response={201: BaseOut, 404: Problem, 409: Problem},
    auth=TokenAuth(LINES),
    url_name="line_base",
)
@once
def base_choose(request: HttpRequest, line_id: UUID, wish: BaseIn) -> Status[BaseOut]:
    """Order a base policy for a line that has none: another model, after one was not taken."""
    line = line_of_id(request, line_id)
    order = base_order(line=line, **_source(request, wish), actor=str(person(request).pk))
    transaction.on_commit(partial(base_enqueue, order.pk))
    return Status(201, _base_shown(line))


@router.post(
    "/lines/{line_id}/first-pairs",
    response={201: RoundOut, 404: Problem, 409: Problem},
    auth=TokenAuth(LINES),
    url_name="line_first_pairs",
)
@once
def first_pairs_write(request: HttpRequest, line_id: UUID) -> Status[RoundOut]:
    """Let the base policy of a new line answer its prompts, as round 0; 409 says what stands in the way."""
    line = line_of_id(request, line_id)
    round_ = first_pairs_order(line=line, trigger="person", actor=person(request))
    transaction.on_commit(partial(advance_enqueue, round_.id, round_.state))
    return Status(201, round_shown(round_))


def _source(request: HttpRequest, wish: BaseIn) -> dict[str, Any]:
    """As `bases.base_order` takes it."""
    folder = wish.folder.strip()
    if bool(folder) == (wish.version is not None):
        raise field_refused("folder", "Name a folder, or the version of a policy: one of the two.")
    if wish.version is None:
        try:
            return {"folder": folder_clean(folder)}
        except ValidationError as error:
            raise fields_refused({"folder": error.messages}) from error
    if wish.version not in dict(policies_offered(request.user)):
        raise field_refused(
            "version", "No kept policy of a line that you work on has this id: choose another."
        )
    return {"version_id": wish.version}


def _base_shown(line: PolicyLine) -> BaseOut:
    order = line.base_orders.first()
    if line.base_version is not None or order is None:
        state: Any = "none" if line.base_version is None else "done"
    else:
        state = order.state
    return BaseOut(
        state=state,
        version=line.base_version,
        checks=order.said.splitlines() if order else [],
        error=order.error if order and state != "done" else "",
    )
