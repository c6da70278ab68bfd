"""Labelling by token: the queue and the answers of the compare page, for one rater a token.

The same services as the page: leases, shares, guidelines to be read first, masked texts.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema
from pydantic import StrictInt

from annotation.accounts.models import Rater
from annotation.accounts.services import rater_for
from annotation.campaigns.models import Campaign, CampaignState
from annotation.campaigns.selectors import guidelines_current, opt_in_missing
from annotation.campaigns.services import guidelines_acknowledge, sensitive_opt_in
from annotation.campaigns.span_labels import LONGEST_KEY
from web.access import ADJUDICATOR, ANNOTATOR, lines_of, person, require_role
from web.api.access import TokenAuth
from web.api.idempotency import idempotency_key, keeps_key, once
from web.api.listing import Cursor, Listing, listed
from web.api.problems import Problem, Refused, field_refused
from web.api.requests import Body, Number
from web.tokens import LABEL

from . import services
from .doors import campaign_for_labelling
from .gold import gold_told
from .page_texts import share_spent_text
from .records import MOST_SPANS, Answer, ComparisonView, Span, SubmitOutcome
from .selectors import comparison_for, own_pair
from .shares import gate_share_spent

router = Router(tags=["labelling"], auth=TokenAuth(LABEL))
NO_MORE = "There is no pair for you now."
REFUSALS = {404: Problem, 409: Problem}
Step = Annotated[StrictInt, Field(ge=1, le=7)]
Level = Annotated[StrictInt, Field(ge=1, le=9)]
SkipReason = Literal["cannot_judge", "not_understood", "uncomfortable", "technical", "conflict"]


class MarkLabel(Schema):
    key: str
    name: str
    help: str


class OpenCampaign(Schema):
    """`span_labels` are those with which parts of an answer may be marked; none, where nothing is marked."""

    id: UUID
    line: UUID
    name: str
    span_labels: list[MarkLabel]


class Guidelines(Schema):
    """`acknowledged`: the rater has said that they read this version, in Markdown."""

    version: int
    text: str
    change_note: str
    acknowledged: bool


class Acknowledgement(Body):
    version: Number


class WarningOut(Schema):
    """What the campaign warns of, empty for nothing; `agreed`: the rater may be shown its pairs."""

    text: str
    agreed: bool


class AgreedWarning(Body):
    text: str = Field(max_length=10_000)


class Turn(Schema):
    role: Literal["system", "user", "assistant"]
    content: str


class PairOut(Schema):
    """A pair held for the rater until `held_until`: the texts as the compare page shows them."""

    id: UUID
    messages: list[Turn]
    left: str
    right: str
    left_ended: bool
    right_ended: bool
    held_until: str


class RankingOut(Schema):
    """Answers to be put in order, held for the rater until `held_until`: in the order in which they are shown."""

    id: UUID
    messages: list[Turn]
    answers: list[str]
    ended: list[bool]
    held_until: str


class NextPair(Schema):
    """`pair` is null when there is none; `says` tells why. A campaign that ranks has a `ranking` in its place."""

    pair: PairOut | None
    ranking: RankingOut | None = None
    says: str


class SpanIn(Body):
    """A marked part: from `start` up to `end`, in characters (Unicode code points, as Python counts them; not UTF-16
    units or bytes) of the text as it was given out. `side` is left or right, of ranked answers "1", "2", ...;
    `label` the key of one of the campaign's `span_labels`."""

    side: str = Field(min_length=1, max_length=10)
    start: Annotated[StrictInt, Field(ge=0, le=2**31 - 1)]
    end: Annotated[StrictInt, Field(ge=1, le=2**31 - 1)]
    label: str = Field(min_length=1, max_length=LONGEST_KEY)


class AnswerIn(Body):
    """`values` by criterion in the order shown: 1 left much better, 4 equal, 7 right much better;
    `overall` is always asked. A flag is a key, alone or with ":left" or ":right";
    `reasons` are keys. An answer given again replaces the whole of the earlier one. Where answers are ranked
    there are no values: `ranking` has the level of each answer in the order shown, 1 the best and equal levels a
    tie, and a flag names a place, as ":3"."""

    values: dict[str, Step] = {}
    ranking: list[Level] = Field([], max_length=9)
    both_bad: bool = False
    flags: list[str] = Field([], max_length=20)
    rationale: str = Field("", max_length=10_000)
    reasons: list[str] = Field([], max_length=20)
    spans: list[SpanIn] = Field([], max_length=MOST_SPANS)
    seconds: float | None = Field(None, ge=0, le=86_400)


class AnswerOut(Schema):
    """`surplus`: kept, but its place was taken by then. `repeated`: this key had been answered.
    `told`: what a person hears after a wrong answer to a pair whose answer is known; else empty."""

    judgment: UUID
    revision: int
    surplus: bool
    repeated: bool
    told: str


class SkipIn(Body):
    reason: SkipReason


class Done(Schema):
    done: bool = True


@router.get(
    "/labelling/campaigns",
    response={200: Listing[OpenCampaign]},
    url_name="labelling",
)
def campaigns_open(request: HttpRequest, query: Query[Cursor]) -> Listing[OpenCampaign]:
    """The active campaigns in which the token's owner may label."""
    require_role(request, ANNOTATOR, ADJUDICATOR)
    rows = Campaign.objects.filter(state=CampaignState.ACTIVE)
    allowed = lines_of(request.user, ANNOTATOR, ADJUDICATOR)
    if allowed is not None:
        rows = rows.filter(line__in=allowed)
    return listed(rows, cursor=query, fields=("-created_at", "-id"), shown=_campaign_shown)


@router.get(
    "/labelling/{campaign_id}/guidelines",
    response={200: Guidelines, **REFUSALS},
    url_name="labelling_guidelines",
)
def guidelines_read(request: HttpRequest, campaign_id: UUID) -> Guidelines:
    campaign, rater = labeller(request, campaign_id)
    version = guidelines_current(campaign=campaign)
    if version is None:
        raise Refused(404, "This campaign has no guidelines.")
    return Guidelines(
        version=version.number,
        text=version.text,
        change_note=version.change_note,
        acknowledged=version.acknowledgements.filter(rater=rater).exists(),
    )


@router.post(
    "/labelling/{campaign_id}/guidelines",
    response={200: Done, **REFUSALS},
    url_name="labelling_guidelines",
)
@once
def guidelines_accept(request: HttpRequest, campaign_id: UUID, read: Acknowledgement) -> Done:
    """Say that this version was read: asked before the first pair and after every change."""
    campaign, rater = labeller(request, campaign_id)
    version = campaign.guidelines.filter(number=read.version).first()
    if version is None:
        raise field_refused("version", "There is no such version of the guidelines.")
    guidelines_acknowledge(rater=rater, version=version)
    return Done()


@router.get(
    "/labelling/{campaign_id}/warning",
    response={200: WarningOut, **REFUSALS},
    url_name="labelling_warning",
)
def warning_read(request: HttpRequest, campaign_id: UUID) -> WarningOut:
    campaign, rater = labeller(request, campaign_id)
    agreed = not opt_in_missing(rater=rater, campaign=campaign)
    return WarningOut(text=campaign.sensitive_warning, agreed=agreed)


@router.post(
    "/labelling/{campaign_id}/warning",
    response={200: Done, **REFUSALS},
    url_name="labelling_warning",
)
@once
def warning_agree(request: HttpRequest, campaign_id: UUID, read: AgreedWarning) -> Done:
    """Agree to the warning, whose text is sent back as it was read; a changed one is asked about anew."""
    campaign, rater = labeller(request, campaign_id)
    sensitive_opt_in(rater=rater, campaign=campaign, warning=read.text)
    return Done()


@router.delete(
    "/labelling/{campaign_id}/warning",
    response={200: Done, **REFUSALS},
    url_name="labelling_warning",
)
def warning_decline(request: HttpRequest, campaign_id: UUID) -> Done:
    """No longer work on it: pairs that are held go to others, answers stay."""
    campaign, rater = labeller(request, campaign_id)
    services.sensitive_opt_out(rater=rater, campaign=campaign)
    return Done()


@router.post(
    "/labelling/{campaign_id}/next", response={200: NextPair, **REFUSALS}, url_name="labelling_next"
)
def pair_next(request: HttpRequest, campaign_id: UUID) -> NextPair:
    """The pair that the rater holds, or a newly drawn one; asking twice gives the same pair."""
    campaign, rater = labeller(request, campaign_id)
    lease = services.queue_lease_next(rater=rater, campaign=campaign)
    if lease is None:
        spent = gate_share_spent(rater=rater, campaign=campaign)
        return NextPair(pair=None, says=share_spent_text(spent) or NO_MORE)
    view = comparison_for(rater=rater, assignment_id=lease.assignment_id)
    until = lease.expires_at.isoformat()
    if campaign.ranks:
        return NextPair(pair=None, ranking=_ranking_shown(view, until), says="")
    return NextPair(pair=pair_shown(view, until), says="")


@router.post(
    "/labelling/{campaign_id}/pairs/{assignment_id}/answer",
    response={200: AnswerOut, **REFUSALS},
    url_name="labelling_answer",
)
@keeps_key
def pair_answer(
    request: HttpRequest, campaign_id: UUID, assignment_id: UUID, answer: AnswerIn
) -> AnswerOut:
    """Record the first answer to a pair; sent again with its Idempotency-Key it is recorded once."""
    return _recorded(services.judgment_submit, request, campaign_id, assignment_id, answer)


@router.post(
    "/labelling/{campaign_id}/pairs/{assignment_id}/revise",
    response={200: AnswerOut, **REFUSALS},
    url_name="labelling_revise",
)
@keeps_key
def pair_revise(
    request: HttpRequest, campaign_id: UUID, assignment_id: UUID, answer: AnswerIn
) -> AnswerOut:
    """Another answer in place of the rater's own; the earlier stays in the history."""
    return _recorded(services.judgment_revise, request, campaign_id, assignment_id, answer)


@router.post(
    "/labelling/{campaign_id}/pairs/{assignment_id}/skip",
    response={200: Done, **REFUSALS},
    url_name="labelling_skip",
)
@once
def pair_skip(request: HttpRequest, campaign_id: UUID, assignment_id: UUID, wish: SkipIn) -> Done:
    """Give the pair up: it goes to somebody else and never comes back to this rater."""
    campaign, rater = labeller(request, campaign_id)
    own_pair(rater=rater, campaign=campaign, assignment_id=assignment_id)
    services.assignment_skip(rater=rater, assignment_id=assignment_id, reason=wish.reason)
    return Done()


def labeller(request: HttpRequest, campaign_id: UUID) -> tuple[Campaign, Rater]:
    campaign = campaign_for_labelling(request, campaign_id)
    return campaign, rater_for(user=person(request))


def _answer(sent: AnswerIn) -> Answer:
    lists = ("flags", "reasons", "ranking")
    spans = tuple(Span(**span.dict()) for span in sent.spans)
    said = {name: tuple(getattr(sent, name)) for name in lists}
    return Answer(**{**sent.dict(), **said, "spans": spans})


def _recorded(
    record: Callable[..., SubmitOutcome],
    request: HttpRequest,
    campaign_id: UUID,
    assignment_id: UUID,
    answer: AnswerIn,
) -> AnswerOut:
    """An answer recorded by `record`, to one of the rater's own pairs of this campaign."""
    campaign, rater = labeller(request, campaign_id)
    outcome = record(
        rater=rater,
        assignment_id=own_pair(rater=rater, campaign=campaign, assignment_id=assignment_id),
        answer=_answer(answer),
        idempotency_key=idempotency_key(request) or str(uuid.uuid4()),
    )
    return AnswerOut(
        judgment=outcome.judgment_id,
        revision=outcome.revision,
        surplus=outcome.surplus,
        repeated=outcome.repeated,
        told=gold_told(assignment_id=assignment_id),
    )


def _campaign_shown(campaign: Campaign) -> OpenCampaign:
    labels = [MarkLabel(**each) for each in campaign.span_labels]
    return OpenCampaign(id=campaign.pk, line=campaign.line, name=campaign.name, span_labels=labels)


def pair_shown(view: ComparisonView, held_until: str) -> PairOut:
    return PairOut(
        id=view.assignment_id,
        messages=[Turn(**asdict(turn)) for turn in view.messages],
        left=view.left,
        right=view.right,
        left_ended=view.left_ended,
        right_ended=view.right_ended,
        held_until=held_until,
    )


def _ranking_shown(view: ComparisonView, held_until: str) -> RankingOut:
    return RankingOut(
        id=view.assignment_id,
        messages=[Turn(**asdict(turn)) for turn in view.messages],
        answers=list(view.answers),
        ended=list(view.ended),
        held_until=held_until,
    )
