"""The client against the site, over HTTP: what it sends and reads, what it waits out, what it raises."""

from __future__ import annotations

import ast
import re
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from annotation.campaigns.models import Campaign
from annotation.comparisons.models import Judgment
from annotation.exchange import services, tasks
from tests.annotation.factories import a_campaign, some_pairs
from tests.support.programs import a_program
from web import client as module
from web.client import Outerloop, OuterloopError

LINE = uuid.UUID(int=91)


@contextmanager
def answering(*answers: tuple[int, dict[str, str], bytes]) -> Iterator[tuple[str, list[Any]]]:
    """A site that gives these answers one after another; its address, and what it was asked."""
    left, asked = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append((self.path, dict(self.headers)))
            self.rfile.read(int(self.headers["Content-Length"]))
            status, headers, body = left.pop(0)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *about: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=[0.02])
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_full_minute_and_a_busy_site_are_waited_out_under_one_key():
    waited: list[float] = []
    answers = [(429, {"Retry-After": "7"}, b""), (503, {}, b""), (200, {}, b'{"id": 1}')]
    with answering(*answers) as (url, asked):
        site = Outerloop(url, "t", pause=waited.append)
        assert site.post("/campaigns", {"name": "x"}) == {"id": 1}
    assert waited == [7.0, 1.0]
    keys = {headers["Idempotency-Key"] for _, headers in asked}
    assert len(asked) == 3
    assert len(keys) == 1


@pytest.mark.parametrize(
    ("asked", "low", "high"),
    [("date", 25.0, 30.0), ("long ago", 0.0, 0.0), ("soon", 0.5, 0.5), ("", 0.5, 0.5), ("nan", 0.5, 0.5)],
)  # fmt: skip
def test_a_wait_may_be_asked_for_by_a_date(asked, low, high):
    past = format_datetime(datetime(2001, 1, 1, tzinfo=UTC), usegmt=True)
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    header = {"date": date, "long ago": past}.get(asked, asked)
    waited: list[float] = []
    with answering((503, {"Retry-After": header}, b""), (200, {}, b"{}")) as (url, _):
        Outerloop(url, "t", pause=waited.append).post("/campaigns")
    assert low <= waited[0] <= high


@pytest.mark.parametrize(
    "cut", [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", b"no HTTP\r\n\r\n"]
)
def test_an_answer_that_breaks_off_is_asked_for_again(cut):
    def broken(server: socket.socket) -> None:
        for answer in (cut, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"):
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

    waited: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=broken, args=[server])
        thread.start()
        site = Outerloop(f"http://127.0.0.1:{server.getsockname()[1]}", "t", pause=waited.append)
        assert site.get("/lines") == {}
        thread.join()
    assert waited == [0.5]


def test_after_six_tries_the_refusal_is_raised():
    refused = pytest.raises(OuterloopError, match="503: Service Unavailable")
    with answering(*[(503, {}, b"<html>")] * 6) as (url, asked), refused:
        Outerloop(url, "t", pause=lambda s: None).post("/campaigns")
    assert len(asked) == 6


def test_a_site_that_is_not_there_is_an_error_of_the_connection():
    with pytest.raises(OSError, match="refused"):
        Outerloop("http://127.0.0.1:9", "t", pause=lambda s: None).get("/lines")
    with pytest.raises(ValueError, match="begins with http"):
        Outerloop("file:///etc/passwd", "t")


@pytest.fixture
def eve(live_server, settings, tmp_path, monkeypatch):
    settings.VAR_DIR = tmp_path / "var"
    monkeypatch.setattr(tasks.import_run, "delay", lambda job: services.import_run(job_id=job))
    monkeypatch.setattr(tasks.export_run, "delay", lambda job: services.export_run(job_id=job))
    program = a_program("engineer", "read", "campaigns", "import", "export", line=LINE)
    return Outerloop(live_server.url, program.secret)


@pytest.mark.django_db(transaction=True)
def test_a_refusal_names_its_fields(eve):
    with pytest.raises(OuterloopError) as refused:
        eve.campaign_create(str(LINE), "Tone", overlap=0)
    assert refused.value.status == 422
    assert refused.value.errors.keys() == {"overlap"}
    assert not Campaign.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_list_is_read_to_its_end(eve):
    for n in range(205):  # more than one page of the largest size
        a_campaign(line_id=LINE, name=f"Campaign {n}")
    assert len({row["id"] for row in eve.campaigns(line=str(LINE))}) == 205


@pytest.mark.django_db(transaction=True)
def test_a_file_goes_in_is_checked_and_comes_out(eve, tmp_path):
    row = {"prompt": "Two?", "chosen": "2", "rejected": "3", "split": "train"}
    assert eve.import_check(str(LINE), [row])["counts"]["votes_new"] == 1
    path = tmp_path / 'odd "name".jsonl'
    path.write_text(
        '{"prompt": "Two?", "chosen": "2", "rejected": "3", "split": "train"}\n{"x": 1}'
    )
    job = eve.wait(eve.import_file(str(LINE), path, campaign="Bench", source="desk"))
    assert [r["line_number"] for r in eve.import_rejections(job)] == [2]
    assert Judgment.objects.count() == 1
    (prompt,) = eve.prompts(str(LINE))
    (judgment,) = eve.judgments(str(LINE))
    assert judgment["prompt"] == prompt["id"]
    assert eve.quality(job["campaign"])["labels"] == 1
    gold = eve.gold_add(job["campaign"], prompt="1 + 1?", first="2", second="3", value=1)
    assert [item["id"] for item in eve.gold(job["campaign"])] == [gold["id"]]
    file = eve.download(eve.wait(eve.export(str(LINE), shape="plain")), tmp_path / "out.gz")
    assert file.read_bytes()[:2] == b"\x1f\x8b"
    with pytest.raises(RuntimeError, match="failed"):
        eve.wait(eve.import_rows(str(LINE), [{"x": 1}], strict=True, format="preferences"))


@pytest.mark.django_db(transaction=True)
def test_a_rater_reads_the_guidelines_answers_and_skips(live_server):
    campaign = a_campaign(line_id=LINE, guidelines="Be kind.")
    some_pairs(campaign, 3)
    ann = Outerloop(live_server.url, a_program("annotator", "label", line=LINE, name="ann").secret)
    assert ann.guidelines_accept(str(campaign.pk)) == "Be kind."
    met = 0
    for pair in ann.pairs(str(campaign.pk)):
        ann.skip(pair, "cannot_judge") if met == 0 else ann.answer(pair, 2, both_bad=True)
        met += 1
    assert met == 3
    assert Judgment.objects.filter(active=True, both_bad=True).count() == 2


def test_the_client_can_be_copied_out_of_the_project():
    tree = ast.parse(Path(module.__file__).read_text())
    imported = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    ours = re.compile(r"(web|annotation|training|evaluation|outerloop|django|ninja|pydantic)\b")
    assert not [name for name in imported if ours.match(name)]
