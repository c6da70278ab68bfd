"""Every bad file ends in its sentence, on the page and at the terminal, and nothing there is lost."""

from __future__ import annotations

import gzip
import html
import io
import json
import lzma
import random
import re
import tracemalloc
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest
import zstandard
from django.core.management import CommandError, call_command
from django.test import Client

from annotation.comparisons.models import Prompt
from annotation.exchange.models import ImportJob
from annotation.exchange.reading import limits, rows_read
from annotation.exchange.records import ImportFailed, printable
from annotation.exchange.tables import cell_neutral, rejections_csv
from tests.support.documented import assert_said
from tests.support.people import person_create

pytestmark = pytest.mark.django_db
LINE = uuid.UUID(int=71)
GOOD = json.dumps({"prompt": "What is 1 + 1?"}).encode() + b"\n"
MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def there_before(settings, tmp_path, monkeypatch):
    settings.VAR_DIR = tmp_path / "var"
    path = tmp_path / "before.jsonl"
    path.write_bytes(json.dumps({"prompt": "What was here before?"}).encode())
    call_command("import_judgments", str(path), line=str(LINE), campaign="Before")


@pytest.fixture
def lead() -> Client:
    client = Client()
    client.force_login(person_create("lea", "lead", line=LINE))
    return client


def terminal(path: Path, capsys: Any, **options: Any) -> str:
    """What the command says, printed or raised."""
    capsys.readouterr()
    raised = ""
    try:
        call_command("import_judgments", str(path), line=str(LINE), campaign="Before", **options)
    except CommandError as error:
        raised = str(error)
    return f"{capsys.readouterr().out}{raised}"


def page(lead: Client) -> str:
    """What the page of the newest import says."""
    job = ImportJob.objects.first()
    assert job is not None
    text = lead.get(f"/data/imports/{job.pk}/").content.decode()
    cells = re.findall(r"<td[^>]*>(\d+)</td>\s*<td[^>]*>(.*?)</td>", text, re.DOTALL)
    listed = [f"Line {number}: {reason}" for number, reason in cells]
    return html.unescape("\n".join([text, *listed]))


def zipped(content: bytes, name: str = "prompts.jsonl") -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return made.getvalue()


def long_rows() -> bytes:
    """Two rows of 600,000 characters that pack to half."""
    texts = [random.Random(seed).randbytes(300_000).hex() for seed in (1, 2)]
    return "".join(f'{{"prompt": "{text}"}}\n' for text in texts).encode()


def parquet() -> bytes:
    made = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"prompt": ["Q" * 50] * 300}), made)
    return made.getvalue()


def arrow() -> bytes:
    made = io.BytesIO()
    table = pyarrow.table({"prompt": ["Q" * 50] * 300})
    with pyarrow.ipc.new_stream(made, table.schema) as stream:
        stream.write_table(table)
    return made.getvalue()


ARRAY = json.dumps([{"prompt": f"Q{n}"} for n in range(3)]).encode()
WHOLE: list[tuple[str, Callable[[], bytes]]] = [
    ("empty file", lambda: b""),
    ("empty file", lambda: gzip.compress(b"")),
    ("empty file", lambda: b"prompt,split\n"),
    ("empty file", lambda: b"[ ]"),
    ("broken packing", lambda: gzip.compress(GOOD * 50)[:-9]),
    ("broken packing", lambda: gzip.compress(GOOD) + b"rubbish"),
    ("broken packing", lambda: zstandard.compress(GOOD * 50)[:-9]),
    ("broken packing", lambda: zstandard.compress(GOOD) + b"rubbish"),
    ("broken packing", lambda: lzma.compress(GOOD * 50)[:-9]),
    ("broken packing", lambda: lzma.compress(GOOD) + b"rubbish"),
    ("broken columns", lambda: parquet()[:-9]),
    ("broken columns", lambda: parquet()[:40] + b"x" * 40 + parquet()[80:]),
    ("broken columns", lambda: arrow()[:-900]),
    ("broken ZIP", lambda: zipped(GOOD)[:50] + zipped(GOOD)[52:]),
    ("broken array", lambda: ARRAY[:-4]),
    ("broken array", lambda: ARRAY.replace(b"}, {", b"} {", 1)),
    ("broken array", lambda: b"["),
    ("broken array", lambda: b"[" * 200_000),
    ("two arrays", lambda: ARRAY + ARRAY),
    ("object over lines", lambda: json.dumps({"prompt": "Q"}, indent=1).encode()),
    ("quote left open", lambda: b'prompt,split\nWhat?,train\n"What,train\nWho?,test\n'),
    ("columns of one name", lambda: b"prompt,prompt\na,b\n"),
    ("zip bomb", lambda: gzip.compress(b"0" * 3 * MIB)),
    ("zip bomb", lambda: zstandard.compress(b"0" * 3 * MIB)),
    ("zip bomb", lambda: lzma.compress(b"0" * 3 * MIB)),
    ("zip bomb", lambda: zipped(b"0" * 3 * MIB)),
    ("too large", lambda: gzip.compress(long_rows())),
    ("another kind of file", lambda: zipped(GOOD, "xl/workbook.xml")),
    ("another kind of file", lambda: GOOD.decode().encode("utf-16")),
    ("another kind of file", lambda: gzip.compress(gzip.compress(GOOD))),
    ("no rows", lambda: b"\xff\xfa\xfb" * 20),
    ("no rows", lambda: b"\x00" * 3 * MIB),
    ("no rows", lambda: b'[1, "two"]'),
    ("nothing taken in", lambda: b'{"question": "q"}\n'),
    ("nothing taken in", lambda: b"prompt,chosen\n=1+1,a\n"),
    ("wrong shape", lambda: b'{"question": "q"}\n'),
    ("wrong shape", lambda: b'{"ques\\u0000tion \\ud800": "q"}\n'),
    ("may be a judgment", lambda: b'{"prompt": "q", "completion": "a", "helpful": 3}\n'),
]


@pytest.mark.parametrize(("case", "content"), WHOLE)
def test_a_file_that_cannot_be_taken_in_says_why_and_how(
    case, content, tmp_path, capsys, lead, settings, monkeypatch
):
    settings.IMPORT_FILE_MB = 1 if case == "too large" else 100
    settings.IMPORT_LINE_MB = 1
    monkeypatch.setattr(limits, "UNPACKED_FREELY", MIB)
    path = tmp_path / "prompts.jsonl"
    path.write_bytes(content())
    assert_said(case, terminal(path, capsys))
    assert_said(case, page(lead))
    assert [str(prompt) for prompt in Prompt.objects.all()] == ["What was here before?"]


LINES: list[tuple[str, bytes]] = [
    ("line not UTF-8", b'{"prompt": "caf\xe9"}'),
    ("line too long", b'{"prompt": "' + b"x" * MIB + b'"}'),
    ("NUL character", b'{"prompt": "a\\u0000b"}'),
    ("half a character", b'{"prompt": "\\ud83d"}'),
    ("wrong shape", b'{"question\\u0000": 1}'),
    ("may be a judgment", b'{"prompt": "What is 3 + 3?", "output": "6"}'),
    ("nested too deeply", b'{"prompt": ' + b"[" * 200_000),
]


@pytest.mark.parametrize(("case", "line"), LINES)
def test_a_bad_line_is_named_and_its_good_neighbours_go_in(
    case, line, tmp_path, capsys, lead, settings
):
    settings.IMPORT_LINE_MB = 1
    path = tmp_path / "prompts.jsonl"
    path.write_bytes(GOOD + line + b"\n" + GOOD.replace(b"1 + 1", b"2 + 2"))
    assert_said(case, terminal(path, capsys))
    assert "Line 2:" in page(lead)
    assert_said(case, page(lead))
    assert Prompt.objects.count() == 3
    assert_said("bad rows, strict", terminal(path, capsys, strict=True))


def test_a_row_of_another_shape_than_the_one_asked_for_is_named(tmp_path, capsys, lead):
    path = tmp_path / "prompts.jsonl"
    path.write_bytes(GOOD + b'{"question": "Which?", "chosen": "a", "rejected": "b"}')
    assert_said("row of another shape", terminal(path, capsys, format="votes"))
    path.write_bytes(b'{"prompt": "Q", "completions": ["a", "b"], "votes": []}\n' + GOOD)
    assert_said("row of another shape", terminal(path, capsys, format="votes"))
    assert_said("row of another shape", page(lead))


@pytest.mark.parametrize("field", ["debate_title", "group", "id", "tags", "split"])
def test_a_nul_in_any_field_is_a_bad_row_and_no_broken_import(field, tmp_path, capsys):
    row = {"prompt": "Q", "completions": ["a", "b"], "votes": [], field: "a\x00b"}
    path = tmp_path / "votes.jsonl"
    path.write_text(json.dumps(row))
    said = terminal(path, capsys)
    assert "Line 1:" in said
    assert_said("nothing taken in", said)
    assert ImportJob.objects.latest("created_at").counts["rows_rejected"] == 1


def test_a_line_of_200_mb_is_skipped_in_little_memory(tmp_path, capsys, settings):
    settings.IMPORT_LINE_MB = 1
    path = tmp_path / "prompts.jsonl"
    with path.open("wb") as file:
        file.write(GOOD + b'{"prompt": "')
        file.seek(200 * MIB, io.SEEK_CUR)  # a hole: read as NULs, and no disk is filled
        file.write(b'"}\n' + GOOD.replace(b"1 + 1", b"2 + 2"))
    tracemalloc.start()
    said = terminal(path, capsys)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert_said("line too long", said)
    assert Prompt.objects.count() == 3
    assert peak < 12 * MIB


def test_a_zip_bomb_is_given_up_on_the_way_in_little_memory(tmp_path, settings):
    settings.IMPORT_LINE_MB, settings.IMPORT_FILE_MB = 1, 1000
    path = tmp_path / "bomb.jsonl.gz"
    with gzip.open(path, "wb") as file:
        for _ in range(100):
            file.write(bytes(MIB))
    tracemalloc.start()
    with pytest.raises(ImportFailed, match="zip bomb"):
        list(rows_read(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * MIB


@pytest.mark.parametrize(
    ("case", "place"),
    [
        ("missing file", "nowhere.jsonl"),
        ("no regular file", "/dev/null"),
        ("no dataset folder", "empty"),
        ("no dataset folder", "half"),
    ],
)
def test_what_is_no_file_is_refused_before_there_is_a_job(case, place, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "state.json").write_text('{"_data_files": [{"filename": "gone.arrow"}]}')
    before = ImportJob.objects.count()
    assert_said(case, terminal(tmp_path / place, capsys))
    assert ImportJob.objects.count() == before


def test_a_path_that_the_database_could_not_keep_is_refused_by_name(tmp_path, capsys):
    folder = tmp_path.joinpath(*["f" * 100] * 5)
    folder.mkdir(parents=True)
    (folder / "prompts.jsonl").write_bytes(GOOD)
    assert "at most 500 characters" in terminal(folder / "prompts.jsonl", capsys)
    odd = tmp_path / b"p\xff.jsonl".decode("utf-8", "surrogateescape")
    odd.write_bytes(GOOD)
    assert "use a name in UTF-8" in terminal(odd, capsys)


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\n=1", "＝1+1", "=HYPERLINK(0)"],
)
def test_no_cell_of_a_table_acts_in_a_spreadsheet(text):
    assert cell_neutral(text) == f"'{text}"
    assert "".join(rejections_csv([(1, text, text)])).count("'") == 2


@pytest.mark.parametrize("text", ["It is 1=1.", "", "a-b", "it's"])
def test_an_ordinary_cell_stays_as_it_is(text):
    assert cell_neutral(text) == text


def test_an_apostrophe_at_the_beginning_gets_another_so_that_one_can_be_taken_away():
    assert cell_neutral("'quoted'") == "''quoted'"


def test_what_cannot_be_seen_is_spelled_out():
    assert printable("a\x00b\ud800c\u202ed\x1b") == "a\\u0000b\\ud800c\\u202ed\\u001b"
    assert printable("Grüße, 你好") == "Grüße, 你好"
