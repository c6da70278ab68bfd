"""Put a batch of rows into the tables, each thing once, in a few statements.

Idempotent: prompts, texts and pairs are found again by digest, votes by a key made of the campaign, the
pair, the rater and what was said.
"""

from __future__ import annotations

from collections.abc import Sequence

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
    Slot,
    Split,
)
from annotation.comparisons.services import prompts_ensure
from annotation.contracts import NewPrompt

from .pairs import pairs_write, rows_paired
from .rankings import rankings_store
from .raters import Intake
from .records import ImportCounts, ImportRow
from .votes import VoteBook


@transaction.atomic
def rows_store(
    *,
    campaign: Campaign,
    intake: Intake,
    rows: Sequence[ImportRow],
    shares: digests.Shares,
) -> ImportCounts:
    """Store the rows in the campaign and its line, in one transaction; says what was new."""
    counts = ImportCounts(rows=sum(row.lines for row in rows))
    started = timezone.now()
    prompts = _prompts(campaign, intake.source, rows, shares, counts)
    fresh = {prompt.pk for prompt in prompts if prompt.created_at >= started}
    counts.prompts_new = len(fresh)
    kept = [(row, prompt) for row, prompt in zip(rows, prompts, strict=True) if row.texts]
    wholes = [(row, prompt) for row, prompt in zip(rows, prompts, strict=True) if row.ranked]
    if wholes and campaign.ranks:
        rankings_store(campaign=campaign, intake=intake, rows=wholes, counts=counts)
        return counts
    paired = rows_paired(campaign=campaign, kept=kept, fresh_prompts=fresh, counts=counts)
    book = VoteBook.of(campaign, intake, [(p.pair, p.row) for p in paired], counts)
    for item in paired:
        before = counts.votes_new
        book.votes_of(item.row, item.prompt.digest, item.pair, item.order)
        if item.prompt.split == Split.EVALUATION:
            counts.votes_aside += counts.votes_new - before
    pairs = {p.pair.id: p.pair for p in paired}.values()
    pairs_write(campaign=campaign, source=intake.source, pairs=[p for p in pairs if p.fresh])
    book.write(stored=[p for p in pairs if not p.fresh])
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


def _prompts(
    campaign: Campaign,
    source: str,
    rows: Sequence[ImportRow],
    shares: digests.Shares,
    counts: ImportCounts,
) -> list[Prompt]:
    """The prompt of each row. Its identifier is the row's only where the row is nothing else."""
    new = [
        NewPrompt(
            messages=row.messages,
            source=source,
            external_id="" if row.texts or row.ranked else row.external_id,
            tags=row.tags,
            group=row.group,
            split=row.split,
        )
        for row in rows
    ]
    stored = prompts_ensure(line_id=campaign.line, prompts=new, shares=shares)
    for prompt, row in zip(stored, rows, strict=True):
        name = f"rows_{prompt.split}"
        setattr(counts, name, getattr(counts, name) + row.lines)
    return stored
