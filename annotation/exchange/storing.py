"""Put a batch of rows into the tables, each thing once, in a few statements.

Idempotent: prompts, texts and pairs are found again by digest, votes by a key made of the row, the
rater and the value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection, transaction
from django.utils import timezone

from annotation.accounts.models import Rater
from annotation.campaigns.models import Campaign
from annotation.comparisons import digests
from annotation.comparisons.models import (
    Assignment,
    Comparison,
    Completion,
    Judgment,
    JudgmentValue,
    Prompt,
    Purpose,
    Slot,
)
from annotation.comparisons.services import completions_ensure, prompts_ensure
from annotation.comparisons.services.material import places_wanted, queue_key, slots_for
from annotation.contracts import NewPrompt

from .records import ImportCounts, ImportRow
from .votes import VoteBook

IN_ORDER, TURNED = [1, 2], [2, 1]


@dataclass(frozen=True)
class Pair:
    """A comparison with its completions in slot order; `fresh` when it is not stored yet."""

    comparison: Comparison
    completions: list[Completion]
    fresh: bool


@dataclass(frozen=True)
class PairedRow:
    """A row with its prompt, its pair, and the order in which it shows the slots of the pair."""

    row: ImportRow
    prompt: Prompt
    pair: Pair
    order: list[int]


@transaction.atomic
def rows_store(
    *,
    campaign: Campaign,
    source: str,
    rows: Sequence[ImportRow],
    shares: digests.Shares,
) -> ImportCounts:
    """Store the rows in the campaign and its line, in one transaction; says what was new."""
    counts = ImportCounts(rows=len(rows))
    prompts = _prompts(campaign, source, rows, shares, counts)
    paired = _paired(campaign, source, rows, prompts, counts)
    book = VoteBook.of(campaign, source, [(p.pair.comparison, p.row) for p in paired], counts)
    for item in paired:
        book.votes_of(item.row, item.prompt.digest, item.pair.comparison, item.order)
    fresh = {p.pair.comparison.pk: p.pair for p in paired if p.pair.fresh}
    Comparison.objects.bulk_create([pair.comparison for pair in fresh.values()])
    Slot.objects.bulk_create(
        slot for pair in fresh.values() for slot in slots_for(pair.comparison, pair.completions)
    )
    book.write(stored=[p.pair.comparison for p in paired if not p.pair.fresh])
    return counts


def tables_analyze() -> None:
    """Renew the planner's statistics: until autovacuum comes by it would take the tables for empty,
    and read labels in minutes rather than seconds."""
    names = [
        connection.ops.quote_name(model._meta.db_table)
        for model in (
            Rater,
            Prompt,
            Completion,
            Comparison,
            Slot,
            Assignment,
            Judgment,
            JudgmentValue,
        )
    ]
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {', '.join(names)}")


def job_source(name: str) -> str:
    """The name of a file without its folder and endings: the source of what it brings."""
    stem = name.replace("\\", "/").rsplit("/", 1)[-1]
    for ending in (".gz", ".jsonl", ".ndjson", ".json"):
        stem = stem.removesuffix(ending)
    return stem[:100] or "import"


def _prompts(
    campaign: Campaign,
    source: str,
    rows: Sequence[ImportRow],
    shares: digests.Shares,
    counts: ImportCounts,
) -> list[Prompt]:
    """The prompt of each row. Its identifier is the row's only where the row is nothing else."""
    started = timezone.now()
    new = [
        NewPrompt(
            messages=row.messages,
            source=source,
            external_id="" if row.texts else row.external_id,
            tags=row.tags,
            group=row.group,
            split=row.split,
        )
        for row in rows
    ]
    stored = prompts_ensure(line_id=campaign.line, prompts=new, shares=shares)
    counts.prompts_new = len({p.pk for p in stored if p.created_at >= started})
    for prompt in stored:
        name = f"rows_{prompt.split}"
        setattr(counts, name, getattr(counts, name) + 1)
    return stored


def _paired(
    campaign: Campaign,
    source: str,
    rows: Sequence[ImportRow],
    prompts: Sequence[Prompt],
    counts: ImportCounts,
) -> list[PairedRow]:
    """Find or make the pair of each row that has texts."""
    kept = [(row, prompt) for row, prompt in zip(rows, prompts, strict=True) if row.texts]
    flat = [(prompt, text) for row, prompt in kept for text in row.texts or ()]
    completions = completions_ensure(texts=flat)
    couples = list(zip(completions[::2], completions[1::2], strict=True))
    keys = [_key(prompt, couple) for (_, prompt), couple in zip(kept, couples, strict=True)]
    pairs = _stored(campaign, keys)
    found = []
    for (row, prompt), couple, key in zip(kept, couples, keys, strict=True):
        known = key in pairs
        if not known:
            pairs[key] = _fresh(campaign, source, row, prompt, couple, key)
        same_way = pairs[key].completions[0].pk == couple[0].pk
        counts.pairs_new += not known
        counts.pairs_repeated += known and same_way
        counts.pairs_reversed += known and not same_way
        counts.pairs_of_one_text += couple[0].pk == couple[1].pk
        found.append(PairedRow(row, prompt, pairs[key], IN_ORDER if same_way else TURNED))
    return found


def _stored(campaign: Campaign, keys: Sequence[str]) -> dict[str, Pair]:
    """Pairs of the campaign by digest, their comparisons locked."""
    rows = Comparison.objects.select_for_update().filter(
        campaign=campaign,
        purpose=Purpose.TRAINING,
        round_id__isnull=True,
        pair_digest__in=set(keys),
    )
    found = {row.pk: Pair(row, [], fresh=False) for row in rows.order_by("pk")}
    slots = Slot.objects.filter(comparison__in=found).order_by("position")
    for slot in slots.select_related("completion"):
        found[slot.comparison_id].completions.append(slot.completion)
    return {pair.comparison.pair_digest: pair for pair in found.values()}


def _fresh(
    campaign: Campaign,
    source: str,
    row: ImportRow,
    prompt: Prompt,
    couple: tuple[Completion, Completion],
    key: str,
) -> Pair:
    """A new pair. Where the row puts the winner first, the slots are drawn."""
    turned = not row.ordered and digests.uniform("slots", key) < 0.5
    asks = not row.votes and couple[0].text_sha256 != couple[1].text_sha256
    comparison = Comparison(
        campaign=campaign,
        prompt=prompt,
        purpose=Purpose.TRAINING,
        strategy="import",
        pair_digest=key,
        queue_key=queue_key(key, Purpose.TRAINING),
        wanted=places_wanted(campaign, Purpose.TRAINING, key) if asks else 0,
        source=source,
        external_id=row.external_id,
    )
    return Pair(comparison, list(couple[::-1] if turned else couple), fresh=True)


def _key(prompt: Prompt, couple: tuple[Completion, Completion]) -> str:
    return digests.pair_digest(prompt.digest, [c.text_sha256 for c in couple])
