"""Reads for the other rooms: labels and prompts, streamed with a server-side cursor."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.db.models.expressions import RawSQL
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive, make_aware

from annotation.campaigns.models import OVERALL, Campaign
from annotation.contracts import (
    AnnotationError,
    GateLabel,
    OverlapVote,
    SnapshotRecipe,
)
from annotation.rows import PreferenceRow, PromptRow

from .models import Comparison, Completion, JudgmentValue, Prompt, Purpose, Slot, Split
from .scale import preference

CHUNK = 2000
SECONDS_A_DAY = 86_400

_FIELDS = {
    "key": "judgment_id",
    "comparison": "judgment__assignment__comparison_id",
    "root": "judgment__assignment__comparison__prompt__root_hash",
    "messages": "judgment__assignment__comparison__prompt__messages",
    "split": "judgment__assignment__comparison__prompt__split",
    "campaign": "judgment__assignment__comparison__campaign_id",
    "purpose": "judgment__assignment__comparison__purpose",
    "rater": "judgment__rater__pseudonym",
    "simulated": "judgment__rater__simulated",
    "rater_source": "judgment__rater__source",
    "at": "judgment__created_at",
    "both_bad": "judgment__both_bad",
}


def counted_values(*, line_id: UUID) -> QuerySet[JudgmentValue, JudgmentValue]:
    """The overall values of a line that count: active, in time, by raters who are not excluded."""
    return JudgmentValue.objects.filter(
        criterion__key=OVERALL,
        judgment__active=True,
        judgment__surplus=False,
        judgment__rater__excluded_at__isnull=True,
        judgment__assignment__comparison__campaign__line=line_id,
    )


def training_values(
    *, line_id: UUID, recipe: SnapshotRecipe | None = None
) -> QuerySet[JudgmentValue, JudgmentValue]:
    """Those that may train: of training comparisons, never on evaluation prompts."""
    recipe = recipe or SnapshotRecipe()
    rows = counted_values(line_id=line_id).filter(
        judgment__assignment__comparison__purpose=Purpose.TRAINING
    )
    rows = rows.exclude(judgment__assignment__comparison__prompt__split=Split.EVALUATION)
    if recipe.campaigns:
        ids = _campaign_ids(line_id, recipe.campaigns)
        rows = rows.filter(judgment__assignment__comparison__campaign__in=ids.values())
    if recipe.until is not None:
        rows = rows.filter(judgment__created_at__lt=_moment(recipe.until))
    return rows


def preferences(*, line_id: UUID, recipe: SnapshotRecipe) -> Iterator[PreferenceRow]:
    """Labels that may train, in a stable order (by time, then id): of training pairs, active, in
    time, by raters who are not excluded. Gate labels, repeats, gold items and everything on
    evaluation prompts never come out here; pairs of one and the same text are left out, because
    nothing can be learned from them."""
    rows = training_values(line_id=line_id, recipe=recipe)
    weights = _campaign_weights(line_id, recipe)
    campaigns = dict(Campaign.objects.filter(line=line_id).values_list("pk", "slug"))
    newest = _age_zero(rows, recipe)
    for row in _joined(rows.order_by("judgment__created_at", "judgment_id")):
        if row["texts"][0] == row["texts"][1]:
            continue
        weight = weights.get(row["campaign"], 1.0)
        if recipe.recency_half_life_days > 0 and newest is not None:
            days = (newest - row["at"]).total_seconds() / SECONDS_A_DAY
            weight *= 0.5 ** (days / recipe.recency_half_life_days)
        yield PreferenceRow(
            id=str(row["key"]),
            group=row["root"],
            messages=tuple(row["messages"]),
            completions=row["texts"],
            preference=preference(row["value"]),
            strength=float(row["value"]),
            weight=weight,
            split=row["split"],
            rater=row["rater"],
            campaign=campaigns[row["campaign"]],
            purpose=row["purpose"],
            judged_at=row["at"].isoformat(),
            source=_source(row),
        )


def prompts(
    *, line_id: UUID, splits: tuple[str, ...], limit: int | None = None, seed: int = 0
) -> Iterator[PromptRow]:
    """Prompts in an order that the seed alone decides, so that `limit` draws a fair sample."""
    unknown = set(splits) - set(Split.values)
    if unknown:
        raise AnnotationError(
            f"There is no split {unknown.pop()!r}; there are {', '.join(Split.values)}."
        )
    rows = prompts_drawn(line_id=line_id, splits=splits, seed=seed)
    for row in (rows if limit is None else rows[:limit]).iterator(chunk_size=CHUNK):
        yield prompt_row(row)


def prompts_drawn(*, line_id: UUID, splits: tuple[str, ...], seed: int) -> QuerySet[Prompt, Prompt]:
    """The prompts of these splits in the order that the seed draws."""
    return Prompt.objects.filter(line=line_id, split__in=splits).order_by(
        RawSQL("md5(%s || digest)", [str(seed)]), "pk"
    )


def prompt_row(prompt: Prompt) -> PromptRow:
    return PromptRow(str(prompt.pk), tuple(prompt.messages), prompt.root_hash)


def gate_labels(*, round_id: UUID) -> list[GateLabel]:
    """One label for each gate comparison of a round: the first that counts, by time of submission.

    An edit changes the value and keeps the place in the order.
    """
    rows = JudgmentValue.objects.filter(
        criterion__key=OVERALL,
        judgment__active=True,
        judgment__surplus=False,
        judgment__rater__excluded_at__isnull=True,
        judgment__assignment__comparison__purpose=Purpose.GATE,
        judgment__assignment__comparison__round_id=round_id,
    ).select_related("judgment__rater", "judgment__assignment__comparison__prompt")
    labels: dict[UUID, GateLabel] = {}
    # Read once: a label that is given meanwhile belongs to the next look.
    ordered = list(rows.order_by("judgment__assignment__submitted_at", "judgment_id"))
    slots = _slots([row.judgment.assignment.comparison_id for row in ordered])
    for row in ordered:
        assignment = row.judgment.assignment
        comparison = assignment.comparison
        assert assignment.submitted_at is not None
        first, second = slots[comparison.pk]
        label = GateLabel(
            comparison_id=comparison.pk,
            prompt_id=comparison.prompt_id,
            group=comparison.prompt.root_hash,
            rater=row.judgment.rater.pseudonym,
            slot_versions=(first.model_version, second.model_version),
            value=row.value,
            both_bad=row.judgment.both_bad,
            at=assignment.submitted_at,
            texts=(first.text, second.text),
        )
        labels.setdefault(comparison.pk, label)
    return list(labels.values())


def overlap_votes(
    *, line_id: UUID, since: datetime | None = None, until: datetime | None = None
) -> list[OverlapVote]:
    """Votes on the training and gate comparisons that two raters or more have judged: for agreement
    and the human ceiling."""
    rows = counted_values(line_id=line_id).filter(
        judgment__assignment__comparison__purpose__in=(Purpose.TRAINING, Purpose.GATE)
    )
    if since is not None:
        rows = rows.filter(judgment__created_at__gte=since)
    if until is not None:
        rows = rows.filter(judgment__created_at__lt=until)
    # The stored count finds the few candidates; a join of the votes with themselves would not.
    found = rows.filter(judgment__assignment__comparison__judged__gte=2).values_list(
        _FIELDS["comparison"], _FIELDS["root"], _FIELDS["rater"], "value"
    )
    ordered = found.order_by(_FIELDS["comparison"], "judgment__created_at", "judgment_id")
    votes = [OverlapVote(*row) for row in ordered]
    raters: dict[UUID, set[str]] = {}
    for vote in votes:
        raters.setdefault(vote.comparison_id, set()).add(vote.rater)
    return [vote for vote in votes if len(raters[vote.comparison_id]) >= 2]


def _joined(rows: QuerySet[JudgmentValue, JudgmentValue]) -> Iterator[dict[str, Any]]:
    """The fields of `_FIELDS`, the value, and `texts` in slot order; chunk by chunk."""
    named = {name: F(path) for name, path in _FIELDS.items()}
    chunk: list[dict[str, Any]] = []
    found: Iterator[Any] = rows.values("value", **named).iterator(chunk_size=CHUNK)
    for row in found:
        chunk.append(row)
        if len(chunk) == CHUNK:
            yield from _with_texts(chunk)
            chunk = []
    yield from _with_texts(chunk)


def _with_texts(chunk: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    slots = _slots([row["comparison"] for row in chunk])
    for row in chunk:
        first, second = slots[row["comparison"]]
        yield {**row, "texts": (first.text, second.text)}


def _slots(comparisons: Any) -> dict[UUID, list[Completion]]:
    """Completions in slot order by comparison."""
    found: dict[UUID, list[Completion]] = {}
    rows = Slot.objects.filter(comparison__in=comparisons).order_by("comparison", "position")
    for slot in rows.select_related("completion"):
        found.setdefault(slot.comparison_id, []).append(slot.completion)
    return found


def _campaign_ids(line_id: UUID, names: tuple[str, ...]) -> dict[str, UUID]:
    """Campaigns of the line by id, slug or name, each of which must exist."""
    known: dict[str, UUID] = {}
    for campaign in Campaign.objects.filter(line=line_id):
        known |= dict.fromkeys((str(campaign.pk), campaign.slug, campaign.name), campaign.pk)
    for name in names:
        if name not in known:
            raise AnnotationError(
                f"The recipe names the campaign {name!r}, which the line does not have."
            )
    return {name: known[name] for name in names}


def _campaign_weights(line_id: UUID, recipe: SnapshotRecipe) -> dict[UUID, float]:
    ids = _campaign_ids(line_id, tuple(recipe.weights))
    for name, weight in recipe.weights.items():
        if weight < 0:
            raise AnnotationError(
                f"The weight of the campaign {name!r} is {weight}: use 0 or more."
            )
    return {ids[name]: weight for name, weight in recipe.weights.items()}


def _age_zero(
    rows: QuerySet[JudgmentValue, JudgmentValue], recipe: SnapshotRecipe
) -> datetime | None:
    if recipe.until is not None:
        return _moment(recipe.until)
    last = rows.order_by("-judgment__created_at").select_related("judgment").first()
    return last.judgment.created_at if last else None


def _moment(text: str) -> datetime:
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is None:
        raise AnnotationError(f"{text!r} is not a time; write it as 2030-01-31T12:00:00+00:00.")
    return make_aware(found) if is_naive(found) else found


def _source(row: dict[str, Any]) -> str:
    if row["simulated"]:
        return "simulated"
    return f"import:{row['rater_source']}" if row["rater_source"] else "people"


def open_count(*, line_id: UUID, purpose: str) -> int:
    """Comparisons of active campaigns that still have a free place."""
    return Comparison.objects.filter(
        Q(campaign__line=line_id, campaign__state="active"), purpose=purpose, open=True
    ).count()
