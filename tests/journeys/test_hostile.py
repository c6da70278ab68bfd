"""Hostile completions in a real browser: every page that shows them shows text, and nothing runs."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Dialog, Page, expect

from annotation.comparisons.services import pairs_create, prompts_ensure
from annotation.contracts import NewCompletion, NewPair, NewPrompt
from annotation.exchange import services as exchange
from evaluation.reports.services import report_store
from tests.annotation.factories import a_campaign
from tests.evaluation.reports import records
from tests.journeys.hostile_texts import (
    BROKEN_AND_DEEP,
    EVERYTHING,
    HUGE,
    MARKUP,
    TURNED,
)
from tests.support.people import person_create

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]
LINE = uuid.UUID(records.LINE)

# Elements and attributes that a text must never have become, below the given element.
ACTIVE = """(root) => {
  const found = [];
  for (const node of document.querySelector(root).querySelectorAll("*")) {
    if (/^(script|iframe|img|form|style|object|embed|meta|base|link|details|textarea)$/i.test(node.localName))
      found.push(node.localName);
    for (const attribute of node.attributes) {
      if (/^on|^style$|^srcdoc$/i.test(attribute.name)) found.push(`${node.localName}[${attribute.name}]`);
      if (attribute.name === "href" && !/^(https?:|mailto:)/i.test(node.href)) found.push(attribute.value);
    }
  }
  return found;
}"""


class Watch:
    """What a page tried: dialogs, and requests to anywhere but the site itself."""

    def __init__(self, page: Page, site: str) -> None:
        self.tried: list[str] = []
        page.on("dialog", self._dismiss)
        page.on("request", lambda request: self._note(request.url, site))

    def _dismiss(self, dialog: Dialog) -> None:
        self.tried.append("dialog")
        dialog.dismiss()

    def _note(self, url: str, site: str) -> None:
        if not url.startswith((site, "data:", "file:")):
            self.tried.append(url)


@pytest.fixture
def watched(visit: Callable[..., Page], live_server: Any) -> Callable[..., Page]:
    """`watched(user, address)`: the page, and at the end of the test that it tried nothing."""
    watches: list[tuple[Page, Watch]] = []

    def open_page(user: Any, address: str) -> Page:
        page = visit(user, "/accounts/inactive/")
        watches.append((page, Watch(page, live_server.url)))
        page.goto(address)
        return page

    open_page.watches = watches  # type: ignore[attr-defined]
    return open_page


def assert_nothing_ran(page: Page, watched: Any, root: str) -> None:
    page.wait_for_load_state("networkidle")
    assert page.evaluate("window.ran") is None
    assert page.evaluate(ACTIVE, root) == []
    assert [watch.tried for _, watch in watched.watches] == [[]] * len(watched.watches)


def a_pair(left: str, right: str, *, prompt: str) -> uuid.UUID:
    """A campaign with one pair; which text stands left is drawn."""
    campaign = a_campaign(line_id=LINE)
    turns = (
        {"role": "user", "content": EVERYTHING},
        {"role": "assistant", "content": EVERYTHING},
        {"role": "user", "content": prompt},
    )
    (stored,) = prompts_ensure(line_id=LINE, prompts=[NewPrompt(messages=turns)])
    texts = (NewCompletion(left, uuid.UUID(int=1)), NewCompletion(right, uuid.UUID(int=2)))
    pairs_create(campaign=campaign, purpose="training", pairs=[NewPair(stored.pk, texts)])
    return uuid.UUID(str(campaign.pk))


def text_of(page: Page, selector: str) -> str:
    return str(page.evaluate("(s) => document.querySelector(s).textContent", selector))


def test_the_compare_page_shows_hostile_answers_as_text(watched):
    ann = person_create("ann", "annotator", line=LINE)
    page = watched(ann, f"/compare/{a_pair(EVERYTHING, BROKEN_AND_DEEP, prompt=EVERYTHING)}/")
    expect(page.locator("#item")).to_be_visible()
    expect(page.locator("#thread")).to_be_visible()
    assert_nothing_ran(page, watched, "#item .prompt")
    assert_nothing_ran(page, watched, "#pair")
    both = text_of(page, "#left") + text_of(page, "#right")
    for text in MARKUP:
        assert text in both
        assert text in text_of(page, "#prompt")
        assert text in text_of(page, "#thread")
    assert "⟨U+202E⟩gpj.exe⟨U+202C⟩" in both
    assert not {"\u202e", "\u2066"} & set(text_of(page, "main"))
    page.keyboard.press("d")  # the differences are made by the page itself
    assert_nothing_ran(page, watched, "#pair")
    assert "\u202e" not in text_of(page, "#pair")
    page.keyboard.press("2")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#empty")).to_be_visible()


def test_a_megabyte_of_text_is_shown_and_can_be_judged(watched):
    ann = person_create("ann", "annotator", line=LINE)
    page = watched(ann, f"/compare/{a_pair(HUGE, 'Short.', prompt='Why?')}/")
    expect(page.locator("#item")).to_be_visible()
    assert_nothing_ran(page, watched, "#pair")
    assert max(len(text_of(page, "#left")), len(text_of(page, "#right"))) >= 1_000_000
    page.keyboard.press("6")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#empty")).to_be_visible()


@pytest.fixture
def report() -> None:
    samples = (
        records.pair(
            "best_win",
            EVERYTHING,
            records.side(EVERYTHING, 1.0, 1.0),
            records.side(TURNED, 0.0, 0.0),
        ),
        records.pair(
            "worst_loss",
            TURNED,
            records.side(BROKEN_AND_DEEP, 1.0, 1.0),
            records.side(HUGE, 0.0, 0.0),
        ),
    )
    report_store(record=replace(records.PROMOTED, samples=samples))


def test_the_report_shows_hostile_samples_as_text(watched, report):
    lea = person_create("lea", "lead", line=LINE)
    page = watched(lea, "/lines/help-desk/rounds/7/report/")
    expect(page.locator(".sample").first).to_be_visible()
    assert_nothing_ran(page, watched, ".sample")
    shown = text_of(page, "main")
    for text in MARKUP:
        assert shown.count(text) >= 2  # as prompt and as answer
    assert "⟨U+202E⟩gpj.exe" in shown
    assert "\u202e" not in shown
    assert "more characters; the report as JSON has the whole text" in shown


def test_a_report_saved_as_a_file_runs_nothing_either(watched, report, tmp_path):
    lea = person_create("lea", "lead", line=LINE)
    client = Client()
    client.force_login(lea, backend="django.contrib.auth.backends.ModelBackend")
    path = tmp_path / "report.html"
    path.write_bytes(client.get("/lines/help-desk/rounds/7/report.html").content)
    page = watched(None, path.as_uri())
    assert_nothing_ran(page, watched, ".sample")
    assert MARKUP[0] in text_of(page, "main")


def test_rows_that_were_turned_away_are_shown_as_text(watched, settings, tmp_path):
    settings.VAR_DIR = tmp_path
    eve = person_create("eve", "engineer", line=LINE)
    path = Path(tmp_path, "rows.jsonl")
    rows = [json.dumps({"prompt": "Q"}), *MARKUP, json.dumps({f"{MARKUP[0]}{TURNED}": 1})]
    path.write_text("\n".join(rows))
    job = exchange.import_create(line_id=LINE, path=path, name=MARKUP[1])
    exchange.import_run(job_id=job.pk)
    page = watched(eve, f"/data/imports/{job.pk}/")
    assert_nothing_ran(page, watched, "#live table")
    shown = text_of(page, "main")
    for text in (*MARKUP[:2], MARKUP[4]):
        assert text in shown
    assert "\\u202e" in shown
    assert "\u202e" not in shown
    assert_nothing_ran(watched(eve, "/data/"), watched, "main")
