"""Gold items for programs: pairs whose answer is known, written anew or made of a pair that is there."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status

from annotation.campaigns.audit import campaign_audit
from annotation.campaigns.models import Campaign
from annotation.campaigns.views import campaign_for
from annotation.comparisons.gold import GoldFigures, gold_figures, gold_items
from annotation.comparisons.models import Comparison
from annotation.comparisons.services import gold_item_of_pair, gold_item_retire, gold_item_write
from web.api.access import TokenAuth
from web.api.idempotency import once
from web.api.listing import Cursor, Listing, listed_together
from web.api.problems import Problem, field_refused
from web.api.requests import Body
from web.tokens import CAMPAIGNS, READ

from .gold_views import pair_for

router = Router(tags=["quality"])


class GoldOut(Schema):
    """`right_answers` of `answers` came within the tolerance. `retired`: it is shown to nobody else."""

    id: UUID
    value: int
    tolerance: int | None
    explanation: str
    right_answers: int
    answers: int
    retired: bool
    created_at: str


class GoldIn(Body):
    """Either `pair`, the id of a training pair of the campaign, or `prompt`, `first` and `second`.

    `value` is the right answer in the order given, 1 the first much better .. 7; right is what lies
    within `tolerance` steps of it, or, with null, on its side.
    """

    pair: UUID | None = None
    prompt: str = Field("", max_length=100_000)
    first: str = Field("", max_length=100_000)
    second: str = Field("", max_length=100_000)
    value: int = Field(ge=1, le=7)
    tolerance: int | None = Field(None, ge=0, le=2)
    explanation: str = Field("", max_length=2_000)


class GoldQuery(Cursor):
    retired: bool = False


@router.get(
    "/campaigns/{campaign_id}/gold",
    response={200: Listing[GoldOut], 404: Problem},
    auth=TokenAuth(READ),
    url_name="gold",
)
def gold_read(request: HttpRequest, campaign_id: UUID, query: Query[GoldQuery]) -> Listing[GoldOut]:
    """The gold items of a campaign that are shown, or those that no longer are."""
    rows = gold_items(campaign=campaign_for(request, campaign_id), retired=query.retired)
    rows = rows.select_related("prompt")
    return listed_together(rows, cursor=query, fields=("-created_at", "-id"), shown=_shown_all)


@router.post(
    "/campaigns/{campaign_id}/gold",
    response={201: GoldOut, 404: Problem},
    auth=TokenAuth(CAMPAIGNS),
    url_name="gold",
)
@once
def gold_make(request: HttpRequest, campaign_id: UUID, gold: GoldIn) -> Status[GoldOut]:
    campaign = campaign_for(request, campaign_id)
    made = _of_pair(request, campaign_id, gold) if gold.pair else _written(campaign, gold)
    campaign_audit(request, campaign, "made gold item", pair=str(made.pk))
    return Status(201, _shown(made))


@router.post(
    "/campaigns/{campaign_id}/gold/{pair_id}/retire",
    response={200: GoldOut, 404: Problem},
    auth=TokenAuth(CAMPAIGNS),
    url_name="gold_retire",
)
@once
def gold_end(request: HttpRequest, campaign_id: UUID, pair_id: UUID) -> GoldOut:
    """Show the gold item to nobody else; the answers to it still count as they did."""
    campaign, comparison = pair_for(request, campaign_id, pair_id)
    gold_item_retire(comparison=comparison)
    campaign_audit(request, campaign, "retired gold item", pair=str(comparison.pk))
    comparison.refresh_from_db()
    return _shown(comparison)


def _of_pair(request: HttpRequest, campaign_id: UUID, gold: GoldIn) -> Comparison:
    if gold.prompt or gold.first or gold.second:
        raise field_refused("pair", "Send a pair, or prompt, first and second, not both.")
    assert gold.pair is not None
    _, comparison = pair_for(request, campaign_id, gold.pair)
    return gold_item_of_pair(
        comparison=comparison,
        gold_value=gold.value,
        tolerance=gold.tolerance,
        explanation=gold.explanation,
    )


def _written(campaign: Campaign, gold: GoldIn) -> Comparison:
    if not gold.prompt.strip():
        raise field_refused("prompt", "Send a pair, or what was asked and two answers.")
    return gold_item_write(
        campaign=campaign,
        messages=[{"role": "user", "content": gold.prompt}],
        texts=(gold.first, gold.second),
        gold_value=gold.value,
        tolerance=gold.tolerance,
        explanation=gold.explanation,
    )


def _shown(item: Comparison) -> GoldOut:
    return _shown_all([item])[0]


def _shown_all(items: list[Comparison]) -> list[GoldOut]:
    return [_with(item, f) for item, f in zip(items, gold_figures(items), strict=True)]


def _with(item: Comparison, figures: GoldFigures) -> GoldOut:
    return GoldOut(
        id=item.pk,
        value=item.gold_value or 0,
        tolerance=item.gold_tolerance,
        explanation=item.gold_explanation,
        right_answers=figures.right,
        answers=figures.answered,
        retired=item.closed_at is not None,
        created_at=item.created_at.isoformat(),
    )
