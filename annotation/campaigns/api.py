"""Campaigns for programs: list, read, make, and start, pause or close."""

from __future__ import annotations

from datetime import date
from typing import Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status

from web.access import STAFF, lines_of, person, require_role
from web.api.access import TokenAuth
from web.api.idempotency import once
from web.api.listing import Cursor, Listing, listed_together
from web.api.problems import Problem
from web.api.requests import Body, Number
from web.tokens import CAMPAIGNS, READ

from . import services
from .audit import campaign_audit
from .figures import queue_figures
from .models import Campaign
from .selectors import guidelines_numbers
from .views import campaign_for

router = Router(tags=["campaigns"])
State = Literal["draft", "active", "paused", "closed"]
SHOWN = (
    "name",
    "state",
    "answers",
    "turns",
    "opening",
    "overlap",
    "overlap_sample_share",
    "overlap_sample_size",
    "gate_share",
    "gold_share",
    "repeat_share",
    "lease_minutes",
    "daily_goal",
    "label_budget",
    "due_on",
    "answer_price",
    "hour_price",
)


class CriterionOut(Schema):
    key: str
    name: str


class SpanLabelOut(Schema):
    """With which parts of an answer are marked; people choose it by its place, from 1 on."""

    key: str
    name: str
    colour: str
    help: str


class CampaignOut(Schema):
    """`criteria` holds `overall`, which is always asked, and those beside it. `answers` to a prompt stand side
    by side: 2 are compared, 3 to 9 are ranked. With `turns` people write to the policy themselves."""

    id: UUID
    line: UUID
    name: str
    slug: str
    state: State
    criteria: list[CriterionOut]
    span_labels: list[SpanLabelOut]
    guidelines: int | None = Field(description="The version in force, null where there is none.")
    answers: int
    turns: int | None = Field(description="Of a conversation at most; null: pairs wait in a queue.")
    opening: str
    overlap: int
    overlap_sample_share: float
    overlap_sample_size: int
    gate_share: float
    gold_share: float
    repeat_share: float
    lease_minutes: int
    daily_goal: int
    label_budget: int | None
    due_on: date | None
    answer_price: float | None
    hour_price: float | None
    created_at: str


class QueueOut(Schema):
    """Of one purpose: pairs in all, with a free place, held by people, answers given."""

    purpose: str
    pairs: int
    open: int
    leased: int
    judged: int


class CampaignDetail(CampaignOut):
    queue: list[QueueOut]


class CriterionIn(Body):
    key: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=40)
    name: str = Field(min_length=1, max_length=80)


class SpanLabelIn(Body):
    """A label for marks. Its key is made of the name; without a colour it gets the next that is free."""

    name: str = Field(min_length=1, max_length=60)
    colour: Literal["", "red", "amber", "green", "blue", "violet", "grey"] = ""
    help: str = Field("", max_length=200)


class CampaignIn(Body):
    """A new campaign is a draft until its state is changed. `answers` is fixed from then on: 2 are compared,
    3 to 9 are ranked, without criteria, gate pairs, gold items and repeats. With `turns` people write to the
    deployed policy and compare its two answers, so many times in a conversation at most, without gate pairs;
    `opening` tells them what to write about."""

    line: UUID
    name: str = Field(min_length=1, max_length=120, pattern=r"\S")
    guidelines: str = Field("", max_length=200_000)
    criteria: list[CriterionIn] = Field([], max_length=20)
    span_labels: list[SpanLabelIn] = Field([], max_length=9)
    answers: int = Field(2, ge=2, le=9)
    turns: int | None = Field(None, ge=1, le=20)
    opening: str = Field("", max_length=2000)
    overlap: int = Field(1, ge=1, le=20)
    overlap_sample_share: float = Field(0.1, ge=0, le=1)
    overlap_sample_size: int = Field(3, ge=1, le=20)
    gate_share: float = Field(0.5, ge=0, le=1)
    gold_share: float = Field(0.05, ge=0, le=1)
    repeat_share: float = Field(0.05, ge=0, le=1)
    lease_minutes: int = Field(30, ge=1, le=10_000)
    daily_goal: Number = 100
    label_budget: Number | None = None
    due_on: date | None = None
    answer_price: float | None = Field(None, ge=0, le=1e6)
    hour_price: float | None = Field(None, ge=0, le=1e6)


class ArchiveIn(Body):
    archived: bool = True


class StateIn(Body):
    state: Literal["active", "paused", "closed"]


class CampaignQuery(Cursor):
    line: UUID | None = None
    state: State | None = None
    archived: bool = Field(False, description="Those that were put away, in place of the others.")


@router.get(
    "/campaigns",
    response={200: Listing[CampaignOut]},
    auth=TokenAuth(READ),
    url_name="campaigns",
)
def campaigns_list(request: HttpRequest, query: Query[CampaignQuery]) -> Listing[CampaignOut]:
    """Campaigns of the lines on which the token's owner is engineer or lead, newest first."""
    require_role(request, *STAFF, line_id=query.line)
    rows = Campaign.objects.filter(archived_at__isnull=not query.archived)
    rows = rows.prefetch_related("criteria")
    allowed = lines_of(request.user, *STAFF)
    if allowed is not None:
        rows = rows.filter(line__in=allowed)
    if query.line is not None:
        rows = rows.filter(line=query.line)
    if query.state is not None:
        rows = rows.filter(state=query.state)
    return listed_together(rows, cursor=query, fields=("-created_at", "-id"), shown=_shown_all)


@router.post(
    "/campaigns",
    response={201: CampaignOut, 409: Problem},
    auth=TokenAuth(CAMPAIGNS),
    url_name="campaigns",
)
@once
def campaign_make(request: HttpRequest, campaign: CampaignIn) -> Status[CampaignOut]:
    require_role(request, *STAFF, line_id=campaign.line)
    # What was not sent is left to the service: its defaults are not those of every kind of campaign.
    settings = campaign.dict(exclude={"line", "name", "guidelines", "criteria"}, exclude_unset=True)
    made = services.campaign_create(
        line_id=campaign.line,
        name=campaign.name,
        guidelines=campaign.guidelines,
        criteria=[(one.key, one.name) for one in campaign.criteria],
        author=person(request),
        **settings,
    )
    campaign_audit(request, made, "created campaign")
    return Status(201, _shown(made))


@router.get(
    "/campaigns/{campaign_id}",
    response={200: CampaignDetail, 404: Problem},
    auth=TokenAuth(READ),
    url_name="campaign",
)
def campaign_read(request: HttpRequest, campaign_id: UUID) -> CampaignDetail:
    campaign = campaign_for(request, campaign_id)
    queue = [
        QueueOut(purpose=f.purpose, pairs=f.pairs, open=f.open, leased=f.leased, judged=f.judged)
        for f in queue_figures(campaign=campaign)
    ]
    return CampaignDetail(**_shown(campaign).dict(), queue=queue)


@router.post(
    "/campaigns/{campaign_id}/state",
    response={200: CampaignOut, 404: Problem, 409: Problem},
    auth=TokenAuth(CAMPAIGNS),
    url_name="campaign_state",
)
@once
def campaign_move(request: HttpRequest, campaign_id: UUID, wish: StateIn) -> CampaignOut:
    campaign = campaign_for(request, campaign_id)
    before = campaign.state
    services.campaign_set_state(campaign=campaign, state=wish.state)
    if campaign.state != before:
        campaign_audit(request, campaign, "changed state", before=before, after=campaign.state)
    return _shown(campaign)


@router.post(
    "/campaigns/{campaign_id}/archive",
    response={200: CampaignOut, 404: Problem},
    auth=TokenAuth(CAMPAIGNS),
    url_name="campaign_archive",
)
@once
def campaign_store(request: HttpRequest, campaign_id: UUID, wish: ArchiveIn) -> CampaignOut:
    """Take a closed campaign out of lists and choices, or back in."""
    campaign = campaign_for(request, campaign_id)
    before = campaign.archived_at
    services.campaign_archive(campaign=campaign, archived=wish.archived)
    if campaign.archived_at != before:
        campaign_audit(
            request, campaign, "archived campaign" if wish.archived else "took back campaign"
        )
    return _shown(campaign)


def _shown(campaign: Campaign) -> CampaignOut:
    return _shown_all([campaign])[0]


def _shown_all(campaigns: list[Campaign]) -> list[CampaignOut]:
    versions = guidelines_numbers(campaigns)
    return [_with(campaign, versions.get(campaign.pk)) for campaign in campaigns]


def _with(campaign: Campaign, guidelines: int | None) -> CampaignOut:
    return CampaignOut(
        id=campaign.pk,
        line=campaign.line,
        slug=campaign.slug,
        criteria=[CriterionOut(key=c.key, name=c.name) for c in campaign.criteria.all()],
        span_labels=[SpanLabelOut(**label) for label in campaign.span_labels],
        guidelines=guidelines,
        created_at=campaign.created_at.isoformat(),
        **{name: getattr(campaign, name) for name in SHOWN},
    )
