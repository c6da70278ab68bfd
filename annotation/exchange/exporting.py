"""Write judgments as `prompt`, `chosen`, `rejected`, row by row."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any, cast
from uuid import UUID

from annotation.comparisons.scale import TIE
from annotation.comparisons.streams import preferences
from annotation.contracts import AnnotationError, Message, SnapshotRecipe
from annotation.rows import PreferenceRow
from web.files import file_written
from web.storage import storage_sentence

from .records import ExportCounts, ExportOptions

EVERY = 1000

Tick = Callable[[int], None]  # told the rows written so far; may raise to end it


def options_of(stored: Mapping[str, Any]) -> ExportOptions:
    options = ExportOptions(**{**stored, "campaigns": tuple(stored.get("campaigns", ()))})
    if options.shape not in ("conversational", "plain"):
        raise AnnotationError(f"There is no shape {options.shape!r}: use conversational or plain.")
    return options


def export_write(
    *, line_id: UUID, path: Path, options: ExportOptions, tick: Tick | None = None
) -> ExportCounts:
    """Write the labels that may train, one line each; gzipped when the name ends in .gz.

    The file appears under its name only when it is whole, or not at all where `tick` raises.
    AnnotationError where it cannot be written.
    """
    counts = ExportCounts()
    try:
        with file_written(path) as raw, _packed(raw, zipped=path.suffix == ".gz") as file:
            recipe = SnapshotRecipe(campaigns=options.campaigns)
            for row in preferences(line_id=line_id, recipe=recipe):
                _write(file, row, options, counts)
                if tick is not None and counts.rows % EVERY == 0:
                    tick(counts.rows)
    except OSError as error:
        raise AnnotationError(storage_sentence(error, path.parent)) from error
    return counts


def export_row(row: PreferenceRow, options: ExportOptions) -> dict[str, Any]:
    """One line. `strength` is 3 (much better) to 1 (slightly); a tie is marked and has none."""
    first_wins = row.strength <= TIE
    chosen, rejected = row.completions if first_wins else row.completions[::-1]
    document: dict[str, Any] = {
        "id": row.id,
        **_shaped(row.messages, chosen, rejected, options),
        "rater": row.rater,
        "split": row.split,
        "group": row.group,
        "campaign": row.campaign,
        "source": row.source,
        "judged_at": row.judged_at,
    }
    if row.strength == TIE:
        return {**document, "tie": True}
    return {**document, "strength": abs(int(row.strength) - TIE)}


def _write(
    file: IO[bytes], row: PreferenceRow, options: ExportOptions, counts: ExportCounts
) -> None:
    if row.strength == TIE and not options.ties:
        counts.ties_left_out += 1
        return
    file.write(json.dumps(export_row(row, options), ensure_ascii=False).encode() + b"\n")
    counts.rows += 1


def _shaped(
    messages: tuple[Message, ...], chosen: str, rejected: str, options: ExportOptions
) -> dict[str, Any]:
    if options.shape == "conversational":
        return {
            "prompt": list(messages),
            "chosen": [{"role": "assistant", "content": chosen}],
            "rejected": [{"role": "assistant", "content": rejected}],
        }
    return {"prompt": _plain_prompt(messages), "chosen": chosen, "rejected": rejected}


def _plain_prompt(messages: tuple[Message, ...]) -> str:
    r"""One question as it is; a longer conversation as "\n\nHuman: ...\n\nAssistant: ..."."""
    if len(messages) == 1:
        return messages[0]["content"]
    names = {"user": "Human", "assistant": "Assistant", "system": "System"}
    turns = [f"\n\n{names[m['role']]}: {m['content']}" for m in messages]
    return "".join(turns) + "\n\nAssistant:"


def _packed(raw: IO[bytes], *, zipped: bool) -> AbstractContextManager[IO[bytes]]:
    if not zipped:
        return nullcontext(raw)
    return cast("IO[bytes]", gzip.GzipFile(fileobj=raw, mode="wb", mtime=0))
