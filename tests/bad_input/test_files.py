"""Every bad file ends in its sentence, on the page and at the terminal, and nothing there is lost."""

from __future__ import annotations

import gzip
import html
import io
import json
import random
import re
import tracemalloc
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from annotation.comparisons.models import Prompt
from annotation.exchange import reading
from annotation.exchange.models import ImportJob
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


def zipped(content: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("prompts.jsonl", content)
    return made.getvalue()


def long_rows() -> bytes:
    """Two rows of 600,000 characters that pack to half."""
    texts = [random.Random(seed).randbytes(300_000).hex() for seed in (1, 2)]
    return "".join(f'{{"prompt": "{text}"}}\n' for text in texts).encode()


WHOLE: list[tuple[str, Callable[[], bytes]]] = [
    ("empty file", lambda: b""),
    ("empty file", lambda: gzip.compress(b"")),
    ("broken gzip", lambda: gzip.compress(GOOD * 50)[:-9]),
    ("broken gzip", lambda: gzip.compress(GOOD) + b"rubbish"),
    ("zip bomb", lambda: gzip.compress(b"0" * 3 * MIB)),
    ("too large", lambda: gzip.compress(long_rows())),
    ("another kind of file", lambda: b"prompt,chosen\n=1+1,a\n"),
    ("another kind of file", lambda: b"=cmd|' /C calc'!A0,x\n"),
    ("another kind of file", lambda: json.dumps([{"prompt": "Q"}], indent=1).encode()),
    ("another kind of file", lambda: zipped(GOOD)),
    ("another kind of file", lambda: GOOD.decode().encode("utf-16")),
    ("another kind of file", lambda: gzip.compress(gzip.compress(GOOD))),
    ("no JSON", lambda: b"\xff\xfa\xfb" * 20),
    ("wrong shape", lambda: b'{"question": "q"}\n'),
    ("wrong shape", lambda: b'{"ques\\u0000tion \\ud800": "q"}\n'),
]


@pytest.mark.parametrize(("case", "content"), WHOLE)
def test_a_file_that_cannot_be_taken_in_says_why_and_how(
    case, content, tmp_path, capsys, lead, settings, monkeypatch
):
    settings.IMPORT_FILE_MB = 1 if case == "too large" else 100
    monkeypatch.setattr(reading, "UNPACKED_FREELY", MIB)
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
    ("row of another shape", b'{"question\\u0000": 1}'),
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


@pytest.mark.parametrize("field", ["debate_title", "group", "id", "tags", "split"])
def test_a_nul_in_any_field_is_a_bad_row_and_no_broken_import(field, tmp_path, capsys):
    row = {"prompt": "Q", "completions": ["a", "b"], "votes": [], field: "a\x00b"}
    path = tmp_path / "votes.jsonl"
    path.write_text(json.dumps(row))
    said = terminal(path, capsys)
    assert "Line 1:" in said
    assert ImportJob.objects.latest("created_at").state == "done"


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
        list(reading.json_lines(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * MIB


@pytest.mark.parametrize(
    ("case", "name"), [("missing file", "nowhere.jsonl"), ("no regular file", ".")]
)
def test_what_is_no_file_is_refused_before_there_is_a_job(case, name, tmp_path, capsys):
    before = ImportJob.objects.count()
    assert_said(case, terminal(tmp_path / name, capsys))
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


@pytest.mark.parametrize("text", ["It is 1=1.", "", "a-b", "'quoted'"])
def test_an_ordinary_cell_stays_as_it_is(text):
    assert cell_neutral(text) == text


def test_what_cannot_be_seen_is_spelled_out():
    assert printable("a\x00b\ud800c\u202ed\x1b") == "a\\u0000b\\ud800c\\u202ed\\u001b"
    assert printable("Grüße, 你好") == "Grüße, 你好"
