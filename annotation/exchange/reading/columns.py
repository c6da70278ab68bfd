"""Parquet and Arrow files, batch by batch. pyarrow takes long to load: only who reads one loads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotation.exchange.records import ImportFailed

from .limits import size_checked
from .rows import SourceRow

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 256


def parquet_rows(path: Path) -> Iterator[SourceRow]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            meta = file.metadata
            groups = (meta.row_group(n).total_byte_size for n in range(meta.num_row_groups))
            size_checked(path, sum(groups), packed=path.stat().st_size)
            yield from _rows(path, file.iter_batches(batch_size=BATCH), meta.num_rows)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _broken(path, "Parquet", error) from error


def arrow_rows(path: Path) -> Iterator[SourceRow]:
    """A file as `datasets.save_to_disk` writes it (a stream), or one of Arrow's file format."""
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as mapped:
            if mapped.read(6) == b"ARROW1":
                reader = pa.ipc.open_file(mapped)
                batches: Any = (reader.get_batch(n) for n in range(reader.num_record_batches))
            else:
                mapped.seek(0)
                batches = pa.ipc.open_stream(mapped)
            yield from _rows(path, batches, 0)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _broken(path, "Arrow", error) from error


def _rows(path: Path, batches: Iterator[pa.RecordBatch], total: int) -> Iterator[SourceRow]:
    """`total` of 0 is unknown: then the end is only known at the end."""
    number, size = 0, path.stat().st_size
    for large in batches:
        for start in range(0, large.num_rows, BATCH):
            for fields, problem in _values(large.slice(start, BATCH)):
                number += 1
                end = size * number // total if total else size
                yield SourceRow(number, end, fields, problem)


def _values(batch: pa.RecordBatch) -> Iterator[tuple[dict[str, Any] | None, str]]:
    """Each row of the batch, or why it cannot be read. Nothing is read before it was validated: pyarrow
    itself takes lengths on trust, and a damaged one ends the process."""
    if not _problem(batch):
        for fields in batch.to_pylist():
            yield fields, ""
        return
    for n in range(batch.num_rows):
        row = batch.slice(n, 1)
        problem = _problem(row)
        yield (None, problem) if problem else (row.to_pylist()[0], "")


def _problem(batch: pa.RecordBatch) -> str:
    import pyarrow as pa

    try:
        batch.validate(full=True)
    except pa.ArrowException as error:
        return "The row is not UTF-8." if "utf8" in str(error).lower() else "The row is damaged."
    return ""


def _broken(path: Path, kind: str, error: Exception) -> ImportFailed:
    why = str(error).splitlines()[0][:200] if str(error) else "it cannot be read"
    return ImportFailed(f"{path.name} is a broken {kind} file ({why}): copy or download it again.")
