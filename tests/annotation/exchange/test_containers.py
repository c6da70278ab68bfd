"""The same rows in every container are the same import."""

from __future__ import annotations

import csv
import errno
import gzip
import io
import json
import lzma
import uuid
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from annotation.comparisons.models import Completion, Judgment, Prompt
from annotation.exchange.reading import limits, rows_read, size_of
from annotation.exchange.records import ImportFailed, ImportOptions
from annotation.exchange.selectors import rejections_of
from annotation.exchange.services import import_create, import_run

ROWS = [
    {
        "prompt": f"Question {n},\nwith “signs” \t; and 'more'?",
        "completions": [f"=1+{n}", f'He said: "{n}" — ümläut 你好 🙂'],
        "votes": [{"rater": "w1", "value": 1 + n % 7, "judged_at": "2024-03-01T00:00:00Z"}],
        "split": "train",
    }
    for n in range(7)
]
LINES = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS).encode()


def _table(delimiter: str) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(ROWS[0])
    for row in ROWS:
        cells = [json.dumps(v) if isinstance(v, list) else v for v in row.values()]
        writer.writerow(cells)
    return text.getvalue().encode()


def _parquet(rows=ROWS) -> bytes:
    made = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), made, row_group_size=3)
    return made.getvalue()


def _stream(rows=ROWS) -> bytes:
    made = io.BytesIO()
    table = pa.Table.from_pylist(rows)
    with pa.ipc.new_stream(made, table.schema) as stream:
        stream.write_table(table)
    return made.getvalue()


def _arrow_file() -> bytes:
    made = io.BytesIO()
    table = pa.Table.from_pylist(ROWS)
    with pa.ipc.new_file(made, table.schema) as file:
        file.write_table(table)
    return made.getvalue()


def _saved(folder: Path, rows=ROWS) -> None:
    """As `datasets.save_to_disk` writes it, in two files whose order is told by state.json."""
    folder.mkdir(parents=True)
    (folder / "data-00001-of-00002.arrow").write_bytes(_stream(rows[4:]))
    (folder / "data-00000-of-00002.arrow").write_bytes(_stream(rows[:4]))
    files = [{"filename": f"data-0000{n}-of-00002.arrow"} for n in range(2)]
    (folder / "state.json").write_text(json.dumps({"_data_files": files, "_split": "train"}))
    (folder / "dataset_info.json").write_text("{}")


FILES = {
    "rows.jsonl": LINES,
    "marked.jsonl": b"\xef\xbb\xbf" + LINES + b"\n\n",
    "rows.jsonl.gz": gzip.compress(LINES),
    "rows.jsonl.zst": zstandard.compress(LINES),
    "frames.zst": zstandard.compress(LINES[:100]) + zstandard.compress(LINES[100:]),
    "rows.jsonl.xz": lzma.compress(LINES),
    "streams.xz": lzma.compress(LINES[:99]) + b"\0" * 4 + lzma.compress(LINES[99:]),
    "rows.json": json.dumps(ROWS).encode(),
    "indented.json": b"\xef\xbb\xbf" + json.dumps(ROWS, indent=2, ensure_ascii=False).encode(),
    "rows.json.gz": gzip.compress(json.dumps(ROWS).encode()),
    "rows.csv": _table(","),
    "marked.csv": b"\xef\xbb\xbf" + _table(","),
    "semicolons.csv": _table(";"),
    "rows.tsv": _table("\t"),
    "rows.csv.zst": zstandard.compress(_table(",")),
    "rows.parquet": _parquet(),
    "rows.arrow": _stream(),
    "file.arrow": _arrow_file(),
    "no ending": _parquet(),
}


def container_made(tmp_path: Path, name: str) -> Path:
    """ROWS in a file or folder of this name; "parts", "shards" and "saved" are dataset folders."""
    path = tmp_path / name
    if name in FILES:
        path.write_bytes(FILES[name])
    elif name == "saved":
        _saved(path)
    elif name == "parts":
        _saved(path / "train", ROWS[:5])
        _saved(path / "test", ROWS[5:])
        (path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    elif name == "shards":
        (path / "data").mkdir(parents=True)
        for n, part in enumerate((ROWS[:3], ROWS[3:])):
            (path / "data" / f"train-0000{n}-of-00002.parquet").write_bytes(_parquet(part))
        (path / "README.md").write_text("About it.")
    else:
        folder = tmp_path / "folder"
        _saved(folder)
        with zipfile.ZipFile(path, "w") as archive:
            for file in folder.iterdir():
                archive.write(file, f"folder/{file.name}")
    return path


NAMES = [*FILES, "saved", "parts", "shards", "saved.zip"]


def taken(path: Path, **options):
    job = import_create(line_id=uuid.uuid4(), path=path, options=ImportOptions(**options))
    done = import_run(job_id=job.pk)
    assert done is not None
    return done


@pytest.mark.django_db
@pytest.mark.parametrize("name", NAMES)
def test_the_same_rows_in_any_container_are_the_same_import(tmp_path, name):
    job = taken(container_made(tmp_path, name))
    assert job.state == "done", job.error
    assert (job.counts["rows"], job.counts["rows_rejected"], job.counts["unused"]) == (7, 0, {})
    assert (job.counts["rows_train"], job.counts["votes_tied"]) == (7, 1)
    prompts = Prompt.objects.values_list("messages__0__content", flat=True)
    assert set(prompts) == {row["prompt"] for row in ROWS}
    texts = {text for row in ROWS for text in row["completions"]}
    assert set(Completion.objects.values_list("text", flat=True)) == texts
    steps = sorted(Judgment.objects.values_list("values__value", flat=True))
    assert steps == [1, 2, 3, 4, 5, 6, 7]
    assert {j.created_at.isoformat() for j in Judgment.objects.all()} == {
        "2024-03-01T00:00:00+00:00"
    }
    job.refresh_from_db()
    assert job.bytes_done == job.bytes_total > 0


def test_rows_are_numbered_through_all_files_of_a_folder(tmp_path):
    rows = list(rows_read(container_made(tmp_path, "shards")))
    assert [row.number for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    assert rows[-1].end == size_of(tmp_path / "shards")


def test_a_part_of_a_dataset_stays_on_its_side_of_the_split(tmp_path):
    path = tmp_path / "parts"
    _saved(path / "train", [{"prompt": f"Q{n}"} for n in range(5)])
    _saved(path / "val", [{"prompt": f"V{n}"} for n in range(5)])
    _saved(path / "odd", [{"prompt": f"O{n}"} for n in range(5)])
    (path / "dataset_dict.json").write_text('{"splits": ["train", "val", "odd"]}')
    splits = [(row.fields or {}).get("split") for row in rows_read(path)]
    assert splits == ["train"] * 5 + ["validation"] * 5 + [None] * 5


RATED = {"helpfulness": 3, "correctness": 3, "coherence": 3}
OF_A_PART: dict[str, list[dict[str, object]]] = {
    "prompts": [{}],
    "saferlhf": [{"response_0": "a", "response_1": "b", "better_response_id": 0}],
    "shp": [{"human_ref_A": "a", "human_ref_B": "b", "labels": 1}],
    "helpsteer3": [{"response1": "a", "response2": "b", "overall_preference": 1}],
    "helpsteer2": [{"response": "a", **RATED}, {"response": "b", **RATED}],
    "preferences": [{"chosen": "a", "rejected": "b"}],
}
PROMPT_OF = {"shp": "history", "helpsteer3": "context"}


@pytest.mark.django_db
@pytest.mark.parametrize("shape", OF_A_PART)
def test_rows_of_any_shape_stay_in_the_part_of_their_dataset(tmp_path, shape):
    path, name = tmp_path / "parts", PROMPT_OF.get(shape, "prompt")
    for part in ("train", "valid1", "test_prefs", "evaluation"):
        asked = [f"{part} {n}?" for n in range(6)]
        turns = [[{"role": "user", "content": q}] if name == "context" else q for q in asked]
        (path / part).mkdir(parents=True)
        rows = [dict(row, **{name: turn}) for turn in turns for row in OF_A_PART[shape]]
        (path / part / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    parts = ["train", "valid1", "test_prefs", "evaluation"]
    (path / "dataset_dict.json").write_text(json.dumps({"splits": parts}))
    taken(path, format=shape)
    found = Prompt.objects.values_list("messages__0__content", "split")
    said = {(content.rpartition("?")[0].split()[0], split) for content, split in found}
    assert len(found) == 24
    assert said == set(zip(parts, ("train", "validation", "test", "evaluation"), strict=True))


def test_an_array_is_read_item_by_item_in_little_memory(tmp_path):
    """Items that are longer than a piece, numbers and signs at the pieces' ends, nothing held twice."""
    items = [{"prompt": "x" * (1 + 7919 * n % 200_000), "n": n} for n in range(40)]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(items))
    assert [row.fields for row in rows_read(path)] == items


def test_an_archive_is_unpacked_in_the_data_folder_and_nothing_of_it_stays(tmp_path, settings):
    settings.VAR_DIR = tmp_path / "var"
    rows = rows_read(container_made(tmp_path, "saved.zip"))
    next(rows)
    (unpacked,) = (settings.VAR_DIR / "uploads").iterdir()
    assert (unpacked / "folder" / "state.json").exists()
    assert len(list(rows)) == 6
    assert not unpacked.exists()


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "The disk is full: "), (errno.EROFS, "read-only file system")],
)
def test_a_disk_without_room_for_an_archive_is_told_as_such(
    tmp_path, settings, monkeypatch, number, words
):
    def refused(*_, **__):
        raise OSError(number, "No")

    settings.VAR_DIR = tmp_path / "var"
    path = container_made(tmp_path, "saved.zip")
    monkeypatch.setattr("zipfile.ZipFile.extractall", refused)
    with pytest.raises(ImportFailed, match=words) as told:
        list(rows_read(path))
    assert str(settings.VAR_DIR / "uploads") in str(told.value)
    assert not list((settings.VAR_DIR / "uploads").iterdir())


def test_a_data_folder_that_cannot_be_made_is_told_as_such(tmp_path, settings):
    settings.VAR_DIR = tmp_path / "var"
    settings.VAR_DIR.write_text("a file")
    with pytest.raises(ImportFailed, match="uploads cannot be used: "):
        list(rows_read(container_made(tmp_path, "saved.zip")))


LONG = "x" * 30_000
TOO_LONG = {
    "one line": f"{LONG},train\n",
    "quotes": f'"{LONG} ""so"" {LONG}",train\n',
    "a quote past the limit": f'"{LONG}\nand more",train\n',
    "the middle of a row": f'"Begun\n{LONG}\nended",train\n',
    "the end of a row": f'"Begun\n{LONG}",train\n',
    "many short lines": '"' + "Line by line\n" * 2_500 + 'ended",train\n',
}


@pytest.mark.parametrize("row", TOO_LONG.values(), ids=TOO_LONG)
def test_a_row_of_a_table_that_is_too_long_is_refused_and_the_next_are_read(
    tmp_path, settings, row
):
    """The limit lies at 0.02 MiB, 20,971 bytes."""
    settings.IMPORT_LINE_MB = 0.02
    path = tmp_path / "rows.csv"
    path.write_text(f'prompt,split\nFirst?,train\n{row}"Last,\nof all?",test\n')
    first, refused, last = rows_read(path)
    assert first.fields == {"prompt": "First?", "split": "train"}
    assert (refused.number, refused.fields) == (3, None)
    assert refused.problem.startswith("The line is longer than 0.02 MiB")
    assert last.fields == {"prompt": "Last,\nof all?", "split": "test"}
    assert last.number == 3 + row.count("\n")


def test_a_row_of_a_table_that_is_just_short_enough_is_read_whole(tmp_path, settings):
    settings.IMPORT_LINE_MB = 0.02
    path = tmp_path / "rows.csv"
    prompt = "x" * (20_971 - len(",train\n"))
    path.write_text(f"prompt,split\n{prompt},train\n")
    (row,) = rows_read(path)
    assert row.fields == {"prompt": prompt, "split": "train"}


def test_a_table_whose_names_are_too_long_or_no_csv_is_refused(tmp_path, settings):
    settings.IMPORT_LINE_MB = 0.02
    path = tmp_path / "rows.csv"
    names = ",".join(f"column {n}" for n in range(3_000))
    path.write_text(f"{names}\n{names}\n")
    with pytest.raises(ImportFailed, match=r"line 1: The line is longer than 0\.02 MiB"):
        list(rows_read(path))
    path.write_text('"prompt"x,split\nFirst?,train\n')
    with pytest.raises(ImportFailed, match="line 1: The line is no CSV"):
        list(rows_read(path))


BAD_TABLES = [
    (b"prompt,split\nWhat?,train,more\nWho?,test\n", {2: "has 3 cells"}),
    (b"prompt,split\nWhat?\nWho?,test\n", {2: "has 1 cells"}),
    (b'prompt,split\n"What?"x,train\nWho?,test\n', {2: "no CSV"}),
    (b"prompt,split\nWh\xe9?,train\nWho?,test\n", {2: "not UTF-8"}),
    (b"prompt,split\n\n,train\nWho?,test\n", {3: "the fields split"}),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("content", "refused"), BAD_TABLES)
def test_a_bad_line_of_a_table_is_named_and_the_others_go_in(tmp_path, content, refused):
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    job = taken(path)
    found = {row.line_number: row.reason for row in rejections_of(job_id=job.pk)}
    assert found.keys() == refused.keys()
    assert all(words in found[line] for line, words in refused.items())
    assert [str(prompt) for prompt in Prompt.objects.all()] == ["Who?"]


@pytest.mark.django_db
def test_bytes_in_a_column_of_texts_that_are_none_spoil_their_row_alone(tmp_path):
    texts = pa.array(["What?", "Wh__?", "Who?"])
    spoilt = texts.buffers()[2].to_pybytes().replace(b"__", b"\xe9\xe9")
    column = pa.StringArray.from_buffers(3, texts.buffers()[1], pa.py_buffer(spoilt))
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"prompt": column}), path)
    job = taken(path)
    (rejection,) = rejections_of(job_id=job.pk)
    assert (rejection.line_number, rejection.reason) == (2, "The row is not UTF-8.")
    assert Prompt.objects.count() == 2


@pytest.mark.django_db
def test_bad_values_in_columns_and_items_are_named_by_row(tmp_path):
    path = tmp_path / "rows.json"
    path.write_bytes(b'[{"prompt": "What?"}, {"prompt": "Wh\xe9?"}, 7, {"prompt": "Who?"}]')
    job = taken(path)
    found = {row.line_number: row.reason for row in rejections_of(job_id=job.pk)}
    assert found == {2: "The row is not UTF-8.", 3: "The item is a int and not an object."}
    assert Prompt.objects.count() == 2


@pytest.mark.django_db
def test_rows_before_the_damage_stay_and_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("annotation.exchange.importing.BATCH", 2)
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([{"prompt": f"Q{n}"} for n in range(6)])[:-15])
    job = taken(path)
    assert job.state == "failed"
    assert "item 6 cannot be read" in job.error
    assert "4 rows before that were taken in, and stay" in job.error
    assert (Prompt.objects.count(), job.counts["rows"]) == (4, 4)


def test_a_folder_that_is_larger_than_an_import_takes_is_refused(tmp_path, settings):
    settings.IMPORT_FILE_MB = 1
    path = container_made(tmp_path, "saved")
    (path / "data-00001-of-00002.arrow").write_bytes(b"x" * 2 * limits.MIB)
    with pytest.raises(ImportFailed, match="larger than 1 MiB"):
        size_of(path)


DOUBLED = '{"prompt": "Q", "completions": ["A", "B"], "meta": {"a": 1, "a": 2}}'


@pytest.mark.parametrize(
    "text",
    [
        f"{json.dumps(ROWS[0])}\n{DOUBLED}\n{json.dumps(ROWS[1])}\n",
        f"[{json.dumps(ROWS[0])}, {DOUBLED}, {json.dumps(ROWS[1])}]",
        f'[{json.dumps(ROWS[0])}, {" " * 70_000}{DOUBLED[:-2]}, "b": "{"x" * 200_000}"}}}}, {json.dumps(ROWS[1])}]',
    ],
    ids=["lines", "array", "array in pieces"],
)
def test_a_field_that_is_there_twice_is_named_and_the_rest_goes_on(tmp_path, text):
    """`json` keeps the last of two and says nothing."""
    path = tmp_path / "votes.json"
    path.write_text(text)
    read = list(rows_read(path))
    assert [row.fields is None for row in read] == [False, True, False]
    assert read[1].problem == "The row has two fields named a: rename one."
    assert read[1].excerpt.startswith('{"prompt": "Q"')
