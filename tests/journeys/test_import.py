"""An engineer takes a file in, in a real browser, and watches it."""

from __future__ import annotations

import json
import uuid

import pytest
from playwright.sync_api import expect

from annotation.exchange import services, tasks
from annotation.exchange.models import ImportJob
from tests.support import registry
from tests.support.browser import PHONE
from tests.support.people import person_create

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]
LINE = uuid.UUID(int=83)


@pytest.fixture
def lea():
    return person_create("lea", "lead")


@pytest.mark.parametrize("address", ["/data/", "/data/import/", "/data/export/"])
def test_no_data_page_runs_off_a_phone(visit, lea, address):
    page = visit(lea, address, viewport=PHONE, is_mobile=True, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_an_import_is_watched_until_it_is_done(visit, lea, settings, tmp_path, monkeypatch):
    settings.VAR_DIR = tmp_path
    registry.named_lines(monkeypatch, desk=LINE)
    monkeypatch.setattr(tasks.import_run, "delay", lambda job: None)
    rows = [
        json.dumps({"prompt": f"Question {n}?", "chosen": "a", "rejected": "b"}) for n in range(3)
    ]
    page = visit(lea, "/data/import/")
    page.get_by_label("File").set_input_files(
        {
            "name": "pairs.jsonl",
            "mimeType": "text/plain",
            "buffer": "\n".join([*rows, "{"]).encode(),
        }
    )
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("waits for a worker")).to_be_visible()
    services.import_run(job_id=ImportJob.objects.get().pk)
    expect(page.get_by_text("Done")).to_be_visible()
    expect(page.get_by_role("region", name="Rows turned away")).to_contain_text("4")
