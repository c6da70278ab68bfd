"""Reads for the other rooms: labels and prompts, streamed with a server-side cursor."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Max, QuerySet
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
from annotation.rows import PreferenceRow, PromptRow, RankingPart, Writer

from .exclusions import counting, label_in_force, left_out
from .gold import GOLD_TAG
from .levels import ranking_pairs
from .many import these
from .models import Completion, Judgment, JudgmentValue, Prompt, Purpose, Slot, Split
from .remarks import remarks_of, span_names
from .scale import preference
from .uses import may_train, prompt_retired

CHUNK = 2000
SECONDS_A_DAY = 86_400

_FIELDS = {
    "key": "judgment_id",
    "comparison": "judgment__assignment__comparison_id",
    "root": "judgment__assignment__comparison__prompt__root_hash",
    "prompt": "judgment__assignment__comparison__prompt_id",
    "split": "judgment__assignment__comparison__prompt__split",
    "campaign": "judgment__assignment__comparison__campaign_id",
    "purpose": "judgment__assignment__comparison__purpose",
    "strategy": "judgment__assignment__comparison__strategy",
    "rater": "judgment__rater__pseudonym",
    "simulated": "judgment__rater__simulated",
    "rater_source": "judgment__rater__source",
    "at": "judgment__created_at",
    "both_bad": "judgment__both_bad",
}


def counted_values(*, line_id: UUID) -> QuerySet[JudgmentValue, JudgmentValue]:
    """The overall values of a line that count: active, in time, not left out by a lead."""
    return counting(_overall_values(line_id))


def _overall_values(line_id: UUID) -> QuerySet[JudgmentValue, JudgmentValue]:
    return JudgmentValue.objects.filter(
        criterion__key=OVERALL, judgment__assignment__comparison__campaign__line=line_id
    )


def training_values(
    *, line_id: UUID, recipe: SnapshotRecipe | None = None
) -> QuerySet[JudgmentValue, JudgmentValue]:
    """Those that may train: of training comparisons and released gates, never on prompts that a gate may
    still draw; where an adjudicator has settled a pair, that answer in place of the votes."""
    recipe = recipe or SnapshotRecipe()
    rows = label_in_force(_overall_values(line_id)).filter(may_train("judgment__"))
    if recipe.campaigns:
        ids = campaign_ids(line_id, recipe.campaigns)
        rows = rows.filter(judgment__assignment__comparison__campaign__in=ids.values())
    if recipe.until is not None:
        rows = rows.filter(judgment__created_at__lt=_moment(recipe.until))
    return rows


def training_rankings(
    *, line_id: UUID, recipe: SnapshotRecipe | None = None
) -> QuerySet[Judgment, Judgment]:
    """The same of ranked answers, as judgments with their levels."""
    recipe = recipe or SnapshotRecipe()
    rows = rankings_counted().filter(may_train(), assignment__comparison__campaign__line=line_id)
    if recipe.campaigns:
        ids = campaign_ids(line_id, recipe.campaigns)
        rows = rows.filter(assignment__comparison__campaign__in=ids.values())
    if recipe.until is not None:
        rows = rows.filter(created_at__lt=_moment(recipe.until))
    return rows


def rankings_counted() -> QuerySet[Judgment, Judgment]:
    """The rankings that count: active, in time, not left out by a lead."""
    return Judgment.objects.filter(
        ~left_out(judgment=""), levels__isnull=False, active=True, surplus=False
    )


def preferences(
    *, line_id: UUID, recipe: SnapshotRecipe, passed_over: Counter[str] | None = None
) -> Iterator[PreferenceRow]:
    """Labels that may train, in a stable order (by time, then id): of training pairs, active, in
    time, not left out by a lead. Repeats, gold items and everything on evaluation prompts never
    come out here; gate labels only when they were released, as training rows whose purpose says so. Pairs
    of one and the same text are left out, because nothing can be learned from them: they are counted in
    `passed_over`, under "same_text".

    Rankings follow, in the same order, each as all of its pairs one after the other. A ranking of K answers is
    no K (K - 1) / 2 independent votes (Ouyang 2022, section 3.5, trains on all of them as one element): each
    pair has 1 / (K - 1) of its weight, so that every answer weighs what an answer of a pair does."""
    values = training_values(line_id=line_id, recipe=recipe)
    rankings = training_rankings(line_id=line_id, recipe=recipe)
    weights = _campaign_weights(line_id, recipe)
    campaigns = dict(Campaign.objects.filter(line=line_id).values_list("pk", "slug"))
    aged = recipe.recency_half_life_days > 0
    newest = _age_zero(values, rankings, recipe) if aged else None

    def weight_of(row: dict[str, Any]) -> float:
        weight = weights.get(row["campaign"], 1.0)
        if newest is not None:
            days = (newest - row["at"]).total_seconds() / SECONDS_A_DAY
            weight *= 0.5 ** (days / recipe.recency_half_life_days)
        return weight

    for row in _joined(
        values.order_by("judgment__created_at", "judgment_id"),
        writers=recipe.writers,
        criteria=recipe.criteria,
    ):
        if row["texts"][0] == row["texts"][1]:
            if passed_over is not None:
                passed_over["same_text"] += 1
            continue
        yield _preference(row, str(row["key"]), (0, 1), row["value"], weight_of(row), campaigns)
    for row in _joined(rankings.order_by("created_at", "pk"), writers=recipe.writers):
        levels = row["levels"]
        weight = weight_of(row) / (len(levels) - 1)
        for pair in ranking_pairs(levels):
            made = _preference(
                row,
                f"{row['key']}:{pair.first + 1}-{pair.second + 1}",
                (pair.first, pair.second),
                pair.value,
                weight,
                campaigns,
            )
            yield replace(made, part=RankingPart(str(row["key"]), len(levels), pair.levels))


def _preference(
    row: dict[str, Any],
    key: str,
    slots: tuple[int, int],
    value: int,
    weight: float,
    campaigns: Mapping[UUID, str],
) -> PreferenceRow:
    """Of the completions in these two slots."""
    texts, writers = row["texts"], row["writers"]
    return PreferenceRow(
        id=key,
        group=row["root"],
        messages=row["messages"],
        completions=(texts[slots[0]], texts[slots[1]]),
        preference=preference(value),
        strength=float(value),
        weight=weight,
        split="train" if row["split"] == Split.EVALUATION else row["split"],
        rater=row["rater"],
        campaign=campaigns[row["campaign"]],
        purpose=row["purpose"],
        judged_at=row["at"].isoformat(),
        source=_source(row),
        writers=(writers[slots[0]], writers[slots[1]]) if writers else (),
        strategy=row["strategy"],
        both_bad=row["both_bad"],
        criteria=row["criteria"],
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
    """The prompts of these splits in the order that the seed draws, without those written for gold items
    and those that are retired."""
    rows = Prompt.objects.filter(~prompt_retired(), line=line_id, split__in=splits)
    rows = rows.exclude(tags__contains=[GOLD_TAG])
    return rows.order_by(RawSQL("md5(%s || digest)", [str(seed)]), "pk")


def prompt_row(prompt: Prompt) -> PromptRow:
    return PromptRow(str(prompt.pk), tuple(prompt.messages), prompt.root_hash)


def gate_labels(*, round_id: UUID) -> list[GateLabel]:
    """One label for each gate comparison of a round: the first that counts, by time of submission.

    An edit changes the value and keeps the place in the order.
    """
    asked = JudgmentValue.objects.filter(
        criterion__key=OVERALL,
        judgment__assignment__comparison__purpose=Purpose.GATE,
        judgment__assignment__comparison__round_id=round_id,
    )
    rows = counting(asked).select_related(
        "judgment__rater", "judgment__assignment__comparison__prompt"
    )
    labels: dict[UUID, GateLabel] = {}
    # Read once: a label that is given meanwhile belongs to the next look.
    ordered = list(rows.order_by("judgment__assignment__submitted_at", "judgment_id"))
    slots = _slots([row.judgment.assignment.comparison_id for row in ordered])
    marked = [row.judgment.assignment.comparison for row in ordered if row.judgment.spans]
    names = span_names({comparison.campaign_id for comparison in marked}) if marked else {}
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
            remarks=remarks_of(
                row.judgment.flags, row.judgment.spans, names.get(comparison.campaign_id, {})
            ),
        )
        labels.setdefault(comparison.pk, label)
    return list(labels.values())


def overlap_votes(
    *, line_id: UUID, since: datetime | None = None, until: datetime | None = None
) -> list[OverlapVote]:
    """Votes on the training and gate comparisons that two raters or more have judged: for agreement
    and the human ceiling. Pairs that were asked again because votes differed would tell too little of
    agreement, and are not among them."""
    rows = counted_values(line_id=line_id).filter(
        judgment__assignment__comparison__purpose__in=(Purpose.TRAINING, Purpose.GATE),
        judgment__assignment__comparison__adaptive=False,
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


def _joined(
    rows: QuerySet[Any, Any], *, writers: bool = False, criteria: bool = False
) -> Iterator[dict[str, Any]]:
    """The fields of `_FIELDS`, the value (of rankings the levels), `texts` and, where they are wanted, `writers` and
    `criteria` in slot order, and `messages`; chunk by chunk."""
    ranked = rows.model is Judgment
    paths = {"levels": "levels"} if ranked else {"value": "value"}
    paths |= {
        name: path.removeprefix("judgment__") if ranked else path for name, path in _FIELDS.items()
    }
    if ranked:
        paths["key"] = "pk"
    chunk: list[dict[str, Any]] = []
    for record in rows.values_list(*paths.values()).iterator(chunk_size=CHUNK):
        row = dict(zip(paths, record, strict=True))
        chunk.append(row)
        if len(chunk) == CHUNK:
            yield from _with_texts(chunk, writers, criteria)
            chunk = []
    yield from _with_texts(chunk, writers, criteria)


def _with_texts(
    chunk: list[dict[str, Any]], writers: bool, criteria: bool
) -> Iterator[dict[str, Any]]:
    """What is long is read last, so that the database need not sort it."""
    steps = _steps([row["key"] for row in chunk]) if criteria else {}
    comparisons = [row["comparison"] for row in chunk]
    texts, wrote = _texts(comparisons), _writers(comparisons) if writers else {}
    prompts = Prompt.objects.filter(pk__in=these({row["prompt"] for row in chunk}))
    messages = {key: tuple(turns) for key, turns in prompts.values_list("pk", "messages")}
    for row in chunk:
        row["texts"] = tuple(texts[row["comparison"]])
        row["writers"] = tuple(wrote.get(row["comparison"], ()))
        row["messages"] = messages[row["prompt"]]
        row["criteria"] = steps.get(row["key"], {})
        yield row


def _steps(judgments: Collection[Any]) -> dict[Any, dict[str, float]]:
    """By judgment the steps on the criteria beside the overall one, by key."""
    found: dict[Any, dict[str, float]] = defaultdict(dict)
    rows = JudgmentValue.objects.filter(judgment__in=judgments).exclude(criterion__key=OVERALL)
    for judgment, key, value in rows.values_list("judgment_id", "criterion__key", "value"):
        found[judgment][key] = float(value)
    return found


def _texts(comparisons: Collection[UUID]) -> dict[UUID, list[str]]:
    """Texts in slot order by comparison: what most readers want of the completions, read in a third of
    the time."""
    found: dict[UUID, list[str]] = defaultdict(list)
    rows = Slot.objects.filter(comparison__in=these(comparisons)).order_by("comparison", "position")
    for comparison, text in rows.values_list("comparison_id", "completion__text"):
        found[comparison].append(text)
    return found


def _writers(comparisons: Collection[UUID]) -> dict[UUID, list[Writer]]:
    """Who wrote the completions, in slot order by comparison."""
    found: dict[UUID, list[Writer]] = defaultdict(list)
    rows = Slot.objects.filter(comparison__in=these(comparisons)).order_by("comparison", "position")
    fields = ("model_version", "sampling", "ended")
    for comparison, *drawn in rows.values_list(
        "comparison_id", *(f"completion__{field}" for field in fields)
    ):
        found[comparison].append(_writer(*drawn))
    return found


def _writer(version: UUID | None, sampling: Mapping[str, Any], ended: bool) -> Writer:
    """Nobody where the text is of a person, or where it is not written down how a model drew it."""
    if version is None or "temperature" not in sampling:
        return Writer()
    return Writer(
        model=str(version),
        temperature=float(sampling["temperature"]),
        top_k=int(sampling.get("top_k") or 0),
        top_p=float(sampling.get("top_p") or 1.0),
        ended=ended,
    )


def _slots(comparisons: Any) -> dict[UUID, list[Completion]]:
    """Completions in slot order by comparison."""
    found: dict[UUID, list[Completion]] = {}
    rows = Slot.objects.filter(comparison__in=these(comparisons)).order_by("comparison", "position")
    for slot in rows.select_related("completion"):
        found.setdefault(slot.comparison_id, []).append(slot.completion)
    return found


def campaign_ids(line_id: UUID, names: tuple[str, ...]) -> dict[str, UUID]:
    """Campaigns of the line by id, slug or name, each of which must exist."""
    known: dict[str, UUID] = {}
    slugs = set()
    for campaign in Campaign.objects.filter(line=line_id):
        slugs.add(campaign.slug)
        known |= dict.fromkeys((str(campaign.pk), campaign.slug, campaign.name), campaign.pk)
    for name in names:
        if name not in known:
            has = ", ".join(sorted(slugs)) or "none"
            raise AnnotationError(f"The line has no campaign {name!r}; it has: {has}.")
    return {name: known[name] for name in names}


def _campaign_weights(line_id: UUID, recipe: SnapshotRecipe) -> dict[UUID, float]:
    ids = campaign_ids(line_id, tuple(recipe.weights))
    for name, weight in recipe.weights.items():
        if weight < 0:
            raise AnnotationError(
                f"The weight of the campaign {name!r} is {weight}: use 0 or more."
            )
    return {ids[name]: weight for name, weight in recipe.weights.items()}


def _age_zero(
    values: QuerySet[JudgmentValue, JudgmentValue],
    rankings: QuerySet[Judgment, Judgment],
    recipe: SnapshotRecipe,
) -> datetime | None:
    if recipe.until is not None:
        return _moment(recipe.until)
    newest = (
        values.aggregate(at=Max("judgment__created_at"))["at"],
        rankings.aggregate(at=Max("created_at"))["at"],
    )
    return max(filter(None, newest), default=None)


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
