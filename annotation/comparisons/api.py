"""Prompts and judgments for programs: what there is to compare, and what people said."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status

from annotation.contracts import NewPrompt
from web.access import STAFF, require_role
from web.api.access import TokenAuth
from web.api.idempotency import once
from web.api.listing import Cursor, Listing, listed
from web.api.problems import field_refused
from web.api.requests import Body
from web.services import audit_record
from web.tokens import IMPORT, READ

from .models import Judgment, Prompt
from .openness import gate_undecided
from .services import prompts_ensure

router = Router(tags=["prompts and judgments"])
SplitName = Literal["train", "validation", "test", "evaluation"]
PurposeName = Literal["training", "gate", "gold", "repeat_of"]


class MessageOut(Schema):
    role: str
    content: str


class Message(Body):
    role: Literal["system", "user", "assistant"]
    content: str = Field(min_length=1, max_length=1_000_000, pattern=r"\S")


class PromptIn(Body):
    """The user speaks last. `group` keeps prompts on one side of the split; the first question does without."""

    messages: list[Message] = Field(min_length=1, max_length=200)
    source: str = Field("", max_length=100)
    external_id: str = Field("", max_length=200)
    tags: list[str] = Field([], max_length=20)
    group: str = Field("", max_length=200)


class PromptsIn(Body):
    prompts: list[PromptIn] = Field(min_length=1, max_length=1_000)


class PromptOut(Schema):
    id: UUID
    messages: list[MessageOut]
    split: SplitName
    group: str
    source: str
    external_id: str
    tags: list[str]
    created_at: str


class PromptIds(Schema):
    """In the order sent; a prompt that the line had already keeps its id."""

    ids: list[UUID]


class SpanOut(Schema):
    """A marked part of the completion in `slot`: from `start` up to `end`, in characters (Unicode code points) of the
    stored text."""

    label: str
    slot: int
    start: int
    end: int


class JudgmentOut(Schema):
    """`values` by criterion, 1..7 in the order of the pair's slots: 1 the first is much better, 4 a tie.

    `ranking` has the level of each slot where answers were ranked, 1 the best, equal ones a tie; else null.
    `shown_order` lists the slots from left to right as the rater saw them. A judgment that is not
    `active` was superseded or `withdrawn`; a `surplus` one came after its place was taken.
    """

    id: UUID
    campaign: UUID
    comparison: UUID
    prompt: UUID
    purpose: PurposeName
    rater: str
    revision: int
    active: bool
    surplus: bool
    withdrawn: bool
    values: dict[str, int]
    ranking: list[int] | None
    shown_order: list[int]
    both_bad: bool
    flags: list[str]
    spans: list[SpanOut]
    rationale: str
    reasons: list[str]
    seconds: float | None
    guidelines: int | None
    created_at: str


class PromptQuery(Cursor):
    split: SplitName | None = None


class JudgmentQuery(Cursor):
    """`since` is inclusive, `until` exclusive."""

    campaign: UUID | None = None
    purpose: PurposeName | None = None
    rater: str = Field("", max_length=40, description="A rater's pseudonym")
    active: bool | None = None
    since: datetime | None = None
    until: datetime | None = None


@router.get(
    "/lines/{line_id}/prompts",
    response={200: Listing[PromptOut]},
    auth=TokenAuth(READ),
    url_name="prompts",
)
def prompts_list(
    request: HttpRequest, line_id: UUID, query: Query[PromptQuery]
) -> Listing[PromptOut]:
    require_role(request, *STAFF, line_id=line_id)
    rows = Prompt.objects.filter(line=line_id)
    if query.split is not None:
        rows = rows.filter(split=query.split)
    return listed(rows, cursor=query, fields=("-created_at", "-id"), shown=_prompt_shown)


@router.post(
    "/lines/{line_id}/prompts",
    response={201: PromptIds},
    auth=TokenAuth(IMPORT),
    url_name="prompts",
)
@once
def prompts_add(request: HttpRequest, line_id: UUID, sent: PromptsIn) -> Status[PromptIds]:
    """Store up to 1,000 prompts, each once per line; a policy writes completions for them in time."""
    require_role(request, *STAFF, line_id=line_id)
    stored = prompts_ensure(
        line_id=line_id, prompts=[_new(prompt, n) for n, prompt in enumerate(sent.prompts)]
    )
    audit_record(
        actor=request.user,
        verb="added prompts",
        target=f"{len(stored)} prompts",
        line=line_id,
    )
    return Status(201, PromptIds(ids=[prompt.pk for prompt in stored]))


@router.get(
    "/lines/{line_id}/judgments",
    response={200: Listing[JudgmentOut]},
    auth=TokenAuth(READ),
    url_name="judgments",
)
def judgments_list(
    request: HttpRequest, line_id: UUID, query: Query[JudgmentQuery]
) -> Listing[JudgmentOut]:
    """What people said on a line, newest first, superseded and withdrawn answers among it.

    What is said in a gate comes when it has decided.
    """
    require_role(request, *STAFF, line_id=line_id)
    wanted = {
        "assignment__comparison__campaign__line": line_id,
        "assignment__comparison__campaign": query.campaign,
        "assignment__comparison__purpose": query.purpose,
        "rater__pseudonym": query.rater or None,
        "active": query.active,
        "created_at__gte": query.since,
        "created_at__lt": query.until,
    }
    asked = {k: v for k, v in wanted.items() if v is not None}
    rows = Judgment.objects.filter(~gate_undecided("assignment__comparison__"), **asked)
    rows = rows.select_related("rater", "guideline_version", "assignment__comparison")
    rows = rows.prefetch_related("values__criterion")
    return listed(rows, cursor=query, fields=("-created_at", "-id"), shown=_judgment_shown)


def _new(prompt: PromptIn, place: int) -> NewPrompt:
    if prompt.messages[-1].role != "user":
        raise field_refused(f"prompts.{place}.messages", "The user should speak last.")
    if any(not tag.strip() or len(tag) > 60 for tag in prompt.tags):
        raise field_refused(f"prompts.{place}.tags", "Tags have 1 to 60 characters.")
    given = prompt.dict()
    return NewPrompt(**{**given, "messages": tuple(given["messages"]), "tags": tuple(prompt.tags)})


def _prompt_shown(prompt: Prompt) -> PromptOut:
    plain = ("id", "messages", "split", "source", "external_id", "tags")
    return PromptOut(
        **{name: getattr(prompt, name) for name in plain},
        group=prompt.root_hash,
        created_at=prompt.created_at.isoformat(),
    )


def _judgment_shown(judgment: Judgment) -> JudgmentOut:
    comparison, version = judgment.assignment.comparison, judgment.guideline_version
    plain = ("revision", "active", "surplus", "withdrawn", "both_bad", "rationale", "reasons")
    return JudgmentOut(
        id=judgment.pk,
        campaign=comparison.campaign_id,
        comparison=comparison.pk,
        prompt=comparison.prompt_id,
        rater=judgment.rater.pseudonym,
        values={value.criterion.key: value.value for value in judgment.values.all()},
        ranking=judgment.levels,
        shown_order=judgment.assignment.shown_order,
        flags=[_flag(flag) for flag in judgment.flags],
        spans=[SpanOut(**span) for span in judgment.spans],
        seconds=judgment.seconds,
        guidelines=version.number if version else None,
        created_at=judgment.created_at.isoformat(),
        **{"purpose": comparison.purpose, **{name: getattr(judgment, name) for name in plain}},
    )


def _flag(flag: dict[str, object]) -> str:
    """A flag about one side names its slot: "unsafe:2"."""
    return str(flag["key"]) if flag["slot"] is None else f"{flag['key']}:{flag['slot']}"
