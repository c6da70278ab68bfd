"""A thousand files with something wrong in each: nothing is lost without a word, and nothing breaks.

Fields are dropped, renamed, nested, doubled and given other types; containers are cut, their bytes turned. Each
file is read as an import reads it, and every twenty-fifth is imported.
"""

from __future__ import annotations

import copy
import csv
import gzip
import io
import json
import random
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from annotation.comparisons.models import Comparison, Prompt
from annotation.exchange.models import ImportJob
from annotation.exchange.reading import rows_read
from annotation.exchange.records import ImportFailed
from annotation.exchange.services import import_create, import_run
from annotation.exchange.units import unit_read, units_of
from tests.support.field_shapes import EXAMPLES

FILES = 1_000
IMPORTED = 25  # every so many
ODD: tuple[Any, ...] = (
    None,
    "",
    " ",
    0,
    -1,
    7.5,
    1e400,
    True,
    False,
    [],
    {},
    [None],
    [[]],
    [{}],
    {"a": {"b": 1}},
    "\x00",
    "\ud800",
    "x" * 300,
    10**30,
    "1",
    "NaN",
    [1, "two"],
    {"role": "user", "content": "Q"},
    "\n\nHuman: a\n\nHuman: b",
)
Row = dict[str, Any]


def places(value: Any) -> list[tuple[Any, Any]]:
    """(container, key) of everything within."""
    keys = (
        list(value)
        if isinstance(value, dict)
        else range(len(value))
        if isinstance(value, list)
        else []
    )
    return [place for key in keys for place in [(value, key), *places(value[key])]]


def mutated(rows: list[Row], rng: random.Random) -> list[str]:
    """Change the rows in place; returns the names of fields that nothing knows, where they were put in."""
    strange = []
    for _ in range(rng.randint(1, 3)):
        container, key = rng.choice(places(rows))
        act = rng.choice(("drop", "rename", "wrap", "odd", "odd", "strange", "double"))
        if act == "drop" and container is not rows:
            del container[key]
        elif act == "rename" and isinstance(container, dict):
            container[f"zz{rng.randint(0, 99)}"] = container.pop(key)
        elif act == "wrap" and container is not rows:
            container[key] = rng.choice(([container[key]], {"value": container[key]}))
        elif act == "odd":
            container[key] = copy.deepcopy(rng.choice(ODD))
        elif act == "strange" and isinstance(container, dict):
            name = f"strange{rng.randint(0, 9999)}"
            container[name] = "something"
            strange += [name] if container in rows else []
        elif act == "double" and isinstance(container, list):
            container.append(copy.deepcopy(container[key]))
    return strange


def json_lines(rows: list[Row]) -> bytes:
    return "\n".join(map(json.dumps, rows)).encode()


def table(rows: list[Row]) -> bytes:
    names = list({name: None for row in rows for name in row})
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {k: json.dumps(v) if isinstance(v, (list, dict)) else v for k, v in row.items()}
        )
    return text.getvalue().encode("utf-8", "surrogatepass")


def parquet(rows: list[Row]) -> bytes:
    made = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), made)
    return made.getvalue()


def stream(rows: list[Row]) -> bytes:
    made = io.BytesIO()
    whole = pa.Table.from_pylist(rows)
    with pa.ipc.new_stream(made, whole.schema) as file:
        file.write_table(whole)
    return made.getvalue()


CONTAINERS: tuple[Callable[[list[Row]], bytes], ...] = (
    json_lines,
    json_lines,
    lambda rows: json.dumps(rows).encode(),
    lambda rows: gzip.compress(json_lines(rows)),
    lambda rows: zstandard.compress(json_lines(rows)),
    table,
    parquet,
    stream,
)


def packed(rows: list[Row], rng: random.Random) -> tuple[bytes, bool]:
    """(the file, whether it holds these very rows): what a container cannot hold goes into JSON lines."""
    if not all(isinstance(row, dict) and row for row in rows):
        return json_lines(rows), len(rows) > 1  # one list alone is an array of its items
    container = rng.choice(CONTAINERS)
    try:
        return container(rows), container in (
            json_lines,
            CONTAINERS[2],
            CONTAINERS[3],
            CONTAINERS[4],
        )
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return json_lines(rows), True


def damaged(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(max(len(content), 1))
    return rng.choice(
        (
            content[:place],
            content[:place] + b"\xff" + content[place + 1 :],
            content[:place] + b"\x00" + content[place:],
            content[:place] + bytes(rng.randrange(256) for _ in range(8)) + content[place + 8 :],
            content + content[:place],
        )
    )


def made(seed: int) -> tuple[bytes, int | None, list[str]]:
    """(file, rows in it if that is known, names of strange fields in its rows)."""
    rng = random.Random(seed)
    rows: list[Any] = [
        copy.deepcopy(row) for _ in range(rng.randint(1, 3)) for row in rng.choice(EXAMPLES).rows
    ]
    strange = mutated(rows, rng)
    content, same = packed(rows, rng)
    if rng.random() < 0.3:
        return damaged(content, rng), None, []
    return content, len(rows) if same else None, strange


def read(path: Path) -> tuple[int, int, dict[int, str], set[str], str]:
    """(rows given out, rows taken, refused by row, names not used, why the file ended early)."""
    given, taken, failed = 0, 0, ""
    refused: dict[int, str] = {}
    unused: set[str] = set()
    try:
        for unit in units_of(rows_read(path), None):
            given += len(unit.rows)
            reading = unit_read(unit, split_by="")
            taken += sum(row.lines for row in reading.rows)
            refused |= {row.number: reason for row, reason in reading.refused}
            unused |= {name for names in reading.unused for name in names}
    except ImportFailed as error:
        failed = str(error)
    return given, taken, refused, unused, failed


def test_of_a_thousand_broken_files_nothing_is_lost_without_a_word(tmp_path: Path) -> None:
    ended: dict[str, int] = dict.fromkeys(("whole", "in part", "not at all", "early"), 0)
    for seed in range(FILES):
        content, rows, strange = made(seed)
        path = tmp_path / f"{seed}"
        path.write_bytes(content)
        given, taken, refused, unused, failed = read(path)
        assert given == taken + len(refused), f"file {seed}"
        if rows is not None:
            assert (given, failed) == (rows, ""), f"file {seed}"
            kept = {name for name in strange if name.encode() in content}
            assert not kept or refused or kept <= unused, f"file {seed}: {kept - unused}"
        assert all(re.search(r"[a-z].*[.…]$", why, re.DOTALL) for why in refused.values()), (
            f"file {seed}"
        )
        assert not failed or failed.endswith("."), f"file {seed}: {failed}"
        ended[
            "early" if failed else "whole" if not refused else "in part" if taken else "not at all"
        ] += 1
        path.unlink()
    assert min(ended.values()) > FILES // 50, ended  # the search goes everywhere


@pytest.mark.django_db
def test_a_broken_file_is_imported_row_by_row_or_ends_with_a_sentence(tmp_path: Path) -> None:
    for seed in range(0, FILES, IMPORTED):
        content, _, _ = made(seed)
        path = tmp_path / "rows"
        path.write_bytes(content)
        expected = read(path)
        before = Prompt.objects.count() + Comparison.objects.count()
        job = import_run(job_id=import_create(line_id=uuid.uuid4(), path=path).pk)
        assert isinstance(job, ImportJob)
        counts = job.counts
        grown = Prompt.objects.count() + Comparison.objects.count() - before
        if job.state == "failed":
            assert expected[4] or not expected[1], f"file {seed}: {job.error}"
            assert (grown, job.error[-1:]) == (0, "."), f"file {seed}"
            continue
        assert (counts["rows"], counts["rows_rejected"]) == (expected[0], len(expected[2])), (
            f"file {seed}"
        )
        assert set(counts["unused"]) == expected[3], f"file {seed}"
        assert job.rejections.count() == counts["rows_rejected"], f"file {seed}"
        assert grown == counts["prompts_new"] + counts["pairs_new"] > 0, f"file {seed}"
