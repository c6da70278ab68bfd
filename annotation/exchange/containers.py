"""Files that rows are written into, one after the other: JSON lines, CSV, Parquet, a dataset folder.

A container is given the columns of its rows with their kinds and holds no more than a batch of them in
memory. The folder is what `datasets.load_from_disk` reads: Arrow streams, and two small JSON files.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, cast
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from annotation.contracts import AnnotationError
from web.files import file_written, path_sync

from .export_options import container_of
from .tables import cell_neutral

Row = Mapping[str, Any]
Columns = Mapping[str, str]
Put = Callable[[Sequence[Row]], None]

BATCH = 500  # rows; of the longest texts that are taken, still below Arrow's 2 GiB a column
GROUP, GROUP_BYTES = (
    10_000,
    32 * 1024 * 1024,
)  # of a Parquet file: rows, or what they hold in memory
# DEFLATE's quickest: a tenth larger than the usual level, and several times as fast.
PACKING = 1
DATA_FILE = "data-00000-of-00001.arrow"

_MESSAGE = {"role": pa.string(), "content": pa.string()}
_COMPLETION = {
    "text": pa.string(),
    "model_version": pa.string(),
    "artifact_sha256": pa.string(),
    "sampling": pa.string(),
    "seed": pa.int64(),
    "tokens": pa.int32(),
    "ended": pa.bool_(),
}
KINDS: Mapping[str, pa.DataType] = {
    "text": pa.string(),
    "integer": pa.int32(),
    "number": pa.float64(),
    "flag": pa.bool_(),
    "texts": pa.list_(pa.string()),
    "integers": pa.list_(pa.int32()),
    "messages": pa.list_(pa.struct(_MESSAGE)),
    "completions": pa.list_(pa.struct(_COMPLETION)),
    "values": pa.list_(pa.struct({"criterion": pa.string(), "value": pa.int32()})),
    "flags": pa.list_(pa.struct({"key": pa.string(), "slot": pa.int32()})),
    "spans": pa.list_(
        pa.struct(
            {"label": pa.string(), "slot": pa.int32(), "start": pa.int32(), "end": pa.int32()}
        )
    ),
}
NESTED = frozenset(kind for kind, type_ in KINDS.items() if pa.types.is_list(type_))


@contextmanager
def export_opened(path: Path, columns: Columns) -> Iterator[Put]:
    """What is called with some rows at a time. The name's ending decides how they are written (`container_of`); the
    file or folder stands under its name when the block ends well, and of a block that raises nothing
    stays."""
    container, packed = container_of(path)
    if container == "dataset" and not packed:
        with _folder_written(path, columns) as put:
            yield put
        return
    with file_written(path) as raw, ExitStack() as stack:
        if container == "dataset":
            yield stack.enter_context(_archive(raw, columns))
            return
        if packed:
            zipped = gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=PACKING, mtime=0)
            raw = cast("BinaryIO", stack.enter_context(zipped))
        yield stack.enter_context(_OPENED[container](raw, columns))


@contextmanager
def _folder_written(path: Path, columns: Columns) -> Iterator[Put]:
    if path.exists():
        raise AnnotationError(f"{path} exists already: name a folder that does not.")
    partial = path.with_name(f".{path.name}.tmp-{uuid4().hex[:8]}")
    partial.mkdir(parents=True)
    try:
        with (partial / DATA_FILE).open("wb") as file, _arrow(file, columns) as put:
            yield put
        for name, text in _dataset_files(columns).items():
            (partial / name).write_text(text)
        for written in partial.iterdir():
            path_sync(written)
        partial.rename(path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


@contextmanager
def _archive(raw: BinaryIO, columns: Columns) -> Iterator[Put]:
    """A dataset folder as one file."""
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED, compresslevel=PACKING) as archive:
        with archive.open(DATA_FILE, "w", force_zip64=True) as file, _arrow(file, columns) as put:
            yield put
        for name, text in _dataset_files(columns).items():
            archive.writestr(name, text)


@contextmanager
def _json_lines(file: IO[bytes], columns: Columns) -> Iterator[Put]:
    encode = json.JSONEncoder(ensure_ascii=False, check_circular=False).encode
    yield lambda rows: cast(
        "None", file.write("".join(f"{encode(row)}\n" for row in rows).encode())
    )


@contextmanager
def _csv(file: IO[bytes], columns: Columns) -> Iterator[Put]:
    """A header and a line a row. Lists stand as JSON in their cells, flags as true and false, nothing as
    an empty cell; no text acts in a spreadsheet (`cell_neutral` says how it is read back)."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    kinds = list(columns.items())
    try:
        yield lambda rows: writer.writerows(
            [_cell(row.get(name), kind) for name, kind in kinds] for row in rows
        )
    finally:
        text.detach()


def _cell(value: Any, kind: str) -> Any:
    if value is None:
        return ""
    if kind == "text":
        return cell_neutral(value)
    if kind == "flag":
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if kind in NESTED else value


@contextmanager
def _parquet(file: IO[bytes], columns: Columns) -> Iterator[Put]:
    schema = _schema(columns)
    waiting: list[pa.RecordBatch] = []

    def flush() -> None:
        writer.write_table(pa.Table.from_batches(waiting, schema))
        waiting.clear()

    def put(rows: Sequence[Row]) -> None:
        for batch in _batches(rows, schema):
            waiting.append(batch)
            held, bytes_held = (
                sum(getattr(b, of) for b in waiting) for of in ("num_rows", "nbytes")
            )
            if held >= GROUP or bytes_held >= GROUP_BYTES:
                flush()

    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        yield put
        if waiting:
            flush()


@contextmanager
def _arrow(file: IO[bytes], columns: Columns) -> Iterator[Put]:
    schema = _schema(columns)

    def put(rows: Sequence[Row]) -> None:
        for batch in _batches(rows, schema):
            writer.write_batch(batch)

    with pa.ipc.new_stream(file, schema) as writer:
        yield put


def _batches(rows: Sequence[Row], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(rows), BATCH):
        yield pa.RecordBatch.from_pylist(rows[start : start + BATCH], schema=schema)


_OPENED: Mapping[str, Any] = {
    "jsonl": _json_lines,
    "csv": _csv,
    "parquet": _parquet,
    "dataset": _arrow,
}


def _schema(columns: Columns) -> pa.Schema:
    return pa.schema([(name, KINDS[kind]) for name, kind in columns.items()])


def _dataset_files(columns: Columns) -> Mapping[str, str]:
    """The JSON files that stand beside the data in a dataset folder, by name."""
    info = {
        "citation": "",
        "description": "Judgments of pairs of completions, written by Outerloop.",
        "features": {name: _feature(KINDS[kind]) for name, kind in columns.items()},
        "homepage": "",
        "license": "",
    }
    state: dict[str, Any] = {
        "_data_files": [{"filename": DATA_FILE}],
        "_fingerprint": uuid4().hex[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    return {
        "dataset_info.json": json.dumps(info, indent=1),
        "state.json": json.dumps(state, indent=1),
    }


def _feature(type_: pa.DataType) -> Any:
    """The spelling of a type that every release of `datasets` reads: a list is a list of one."""
    if pa.types.is_list(type_):
        return [_feature(type_.value_type)]
    if pa.types.is_struct(type_):
        return {field.name: _feature(field.type) for field in type_}
    return {"dtype": "float64" if type_ == pa.float64() else str(type_), "_type": "Value"}
