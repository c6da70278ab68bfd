"""Gold items in a file: rows that say what the right answer to their pair is.

    {"prompt": "1 + 1?", "chosen": "2", "rejected": "3", "gold": true, "gold_accept": 1, "explanation": "..."}

The preference of the row is the right answer, and no label of anybody's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from annotation.campaigns.models import Campaign
from annotation.comparisons import digests
from annotation.comparisons.models import Split
from annotation.comparisons.scale import value_turned
from annotation.comparisons.services import GoldKnown, gold_item_write
from annotation.contracts import AnnotationError

from .reading import SourceRow
from .records import Gold, ImportCounts, ImportRow, RowRejected
from .shapes import Fields
from .shapes.fields import text_field, whole_field

FIELDS = ("gold", "gold_accept", "explanation")
LONGEST_EXPLANATION, MOST_STEPS = 2_000, 2


@dataclass
class GoldStored:
    """What became of the gold rows of a batch; `refused` are those that the line cannot have."""

    counts: ImportCounts = field(default_factory=ImportCounts)
    refused: list[tuple[SourceRow, str]] = field(default_factory=list)


def is_gold(fields: Mapping[str, Any]) -> bool:
    """Whether the row calls itself gold. In other people's data a text or number of that name is an answer."""
    said = fields.get("gold")
    return said is True or (isinstance(said, str) and said.strip().lower() in ("true", "yes"))


def without_gold(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """What tells the shape of the row: that it is gold says nothing of it."""
    if not is_gold(fields):
        return fields
    return {name: value for name, value in fields.items() if name not in FIELDS}


def gold_read(fields: Fields, rows: list[ImportRow]) -> list[ImportRow]:
    """The row as a gold item where it calls itself one; `RowRejected` where it says no right answer."""
    if not is_gold(fields):
        if fields.get("gold") not in (False, "false", "no"):
            fields.leave("gold")
        return rows
    for name in FIELDS:
        fields.get(name)
    row = rows[0] if len(rows) == 1 else None
    if row is None or row.texts is None:
        raise RowRejected("gold is true, but the row is not one pair of answers; gold items are.")
    values = {vote.value for vote in row.votes}
    if len(values) != 1:
        what = "several right answers" if values else "no right answer"
        raise RowRejected(
            f"gold is true, but the row says {what}: give chosen and rejected (with a strength or tie), or one"
            " vote."
        )
    if row.texts[0] == row.texts[1]:
        raise RowRejected("gold is true, but the two answers are the same.")
    return [replace(row, votes=(), gold=_gold(fields, values.pop()))]


def _gold(fields: Fields, value: int) -> Gold:
    accept = fields.get("gold_accept")
    explanation = text_field(fields.get("explanation") or "", "explanation", empty=True).strip()
    if len(explanation) > LONGEST_EXPLANATION:
        raise RowRejected(f"explanation is longer than {LONGEST_EXPLANATION:,} characters.")
    return Gold(
        value=value,
        accept=None
        if accept is None
        else whole_field(accept, "gold_accept", low=0, high=MOST_STEPS),
        explanation=explanation,
    )


def golds_store(*, campaign: Campaign, rows: Iterable[tuple[SourceRow, ImportRow]]) -> GoldStored:
    """Store gold rows as gold items of the campaign, each once; within the transaction of their batch."""
    stored = GoldStored()
    for source, row in rows:
        try:
            split = _store(campaign, row)
        except GoldKnown:
            stored.counts.add(ImportCounts(rows=row.lines, gold_known=1))
        except AnnotationError as error:
            stored.refused.append((source, str(error)))
        else:
            made = ImportCounts(rows=row.lines, gold_new=1)
            setattr(made, f"rows_{split}", row.lines)
            stored.counts.add(made)
    return stored


def _store(campaign: Campaign, row: ImportRow) -> Split:
    """Write one; where the row puts the winner first, the slots are drawn. Returns the prompt's split."""
    assert row.texts is not None, "a gold row is a pair"
    assert row.gold is not None, "a gold row says the right answer"
    texts, value = row.texts, row.gold.value
    if not row.ordered and digests.uniform("gold slots", *sorted(texts)) < 0.5:
        texts, value = (texts[1], texts[0]), value_turned(value, [2, 1])
    made = gold_item_write(
        campaign=campaign,
        messages=row.messages,
        texts=texts,
        gold_value=value,
        tolerance=row.gold.accept,
        explanation=row.gold.explanation,
    )
    return Split(made.prompt.split)
