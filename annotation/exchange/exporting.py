"""Write the judgments of a line into a file: those that may train as prompt, chosen, rejected, or all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

from annotation.campaigns.models import Campaign
from annotation.comparisons.scale import TIE
from annotation.comparisons.streams import campaign_ids, preferences
from annotation.comparisons.uses import LEARNED_FROM, label_uses
from annotation.contracts import AnnotationError, SnapshotRecipe
from web.registry import line_names
from web.storage import storage_sentence

from .collecting import collector_paused
from .containers import export_opened
from .everything import COLUMNS, every_judgment
from .export_options import EXPORT_COUNT_NAMES, ExportCounts, ExportOptions
from .trainers import training_columns, training_rows

EVERY = 1000

Tick = Callable[[int], None]  # told the rows written so far; may raise to end it


def export_check(*, line_id: UUID, options: ExportOptions) -> None:
    """Raises `AnnotationError` for a line that there is not, or campaigns that are not the line's."""
    named = any(line.id == line_id for line in line_names())
    if not named and not Campaign.objects.filter(line=line_id).exists():
        raise AnnotationError(f"There is no line {line_id}; the page of a line shows its id.")
    campaign_ids(line_id, options.campaigns)


def export_write(
    *, line_id: UUID, path: Path, options: ExportOptions, tick: Tick | None = None
) -> ExportCounts:
    """Write what `options` ask for; the ending of `path` says how (`containers`).

    The file appears under its name only when it is whole, or not at all where `tick` raises.
    AnnotationError where it cannot be written, or there is nothing to write.
    """
    export_check(line_id=line_id, options=options)
    counts = ExportCounts()
    everything = options.content == "everything"
    columns = COLUMNS if everything else training_columns(options)
    rows = _everything(line_id, options) if everything else _training(line_id, options, counts)
    try:
        with export_opened(path, columns) as put:
            while chunk := _next(rows):
                put(chunk)
                counts.rows += len(chunk)
                if tick is not None and len(chunk) == EVERY:
                    tick(counts.rows)
            if not counts.rows:
                raise AnnotationError(_nothing(counts))
    except OSError as error:
        raise AnnotationError(storage_sentence(error, path.parent)) from error
    return counts


@collector_paused()
def _next(rows: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    return list(islice(rows, EVERY))


def _everything(line_id: UUID, options: ExportOptions) -> Iterator[dict[str, Any]]:
    chosen = campaign_ids(line_id, options.campaigns).values()
    return every_judgment(line_id=line_id, campaigns=set(chosen))


def _training(
    line_id: UUID, options: ExportOptions, counts: ExportCounts
) -> Iterator[dict[str, Any]]:
    """The rows, and, as they come to their end, what was left out and why."""
    recipe = SnapshotRecipe(campaigns=options.campaigns)
    passed: Counter[str] = Counter()
    for label in preferences(line_id=line_id, recipe=recipe, passed_over=passed):
        if label.strength == TIE and not options.ties:
            passed["ties"] += 1
            continue
        yield from training_rows(label, options)
    chosen = campaign_ids(line_id, options.campaigns).values()
    uses = label_uses(line_id=line_id, campaigns=set(chosen))
    passed.update({use: n for use, n in uses.items() if use not in LEARNED_FROM})
    for why, number in passed.items():
        counts.leave_out(why, number)


def _nothing(counts: ExportCounts) -> str:
    told = [
        f"{name.removeprefix('Left out: ')} ({counts.left_out[why]:,})"
        for why, name in (
            (key.removeprefix("left_out_"), name) for key, name in EXPORT_COUNT_NAMES.items()
        )
        if counts.left_out.get(why)
    ]
    reason = f" Labels that were left out: {', '.join(told)}." if told else ""
    return f"There is nothing to export: no label that was asked for.{reason}"
