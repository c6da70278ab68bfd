"""A report in a real browser: two printed pages before the appendix, contents that stay, figures on a phone."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from evaluation.contracts import RoundRecord, SamplePair
from evaluation.reports.services import report_store
from tests.evaluation.reports import records
from tests.support.browser import PHONE
from tests.support.people import person_create

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
SENTENCE = "A page of an answer goes on for a while, as answers of language models do. "


@pytest.fixture
def lead(settings: Any, tmp_path: Any) -> Any:
    settings.VAR_DIR = tmp_path
    return person_create("lea", "lead")


def wordy(pair: SamplePair) -> SamplePair:
    """The pair with a long thread and long replies."""
    turns = tuple({"role": role, "content": SENTENCE * 12} for role in ("user", "assistant") * 2)
    sides = {
        side: replace(getattr(pair, side), text=SENTENCE * 40)
        for side in ("candidate", "incumbent")
    }
    return replace(pair, messages=turns[:3], **sides)


def open_report(visit: Any, lead: Any, record: RoundRecord, **options: Any) -> Page:
    report_store(record=record)
    page: Page = visit(lead, "/notices/", **options)
    page.goto(
        f"/lines/{record.line}/rounds/{record.number}/report/", timeout=60_000
    )  # draws charts
    return page


@pytest.mark.parametrize("paper", ["A4", "Letter"])
@pytest.mark.parametrize("record", [records.PROMOTED, records.REJECTED, records.OVERRIDDEN])
def test_two_printed_pages_come_before_the_appendix(
    visit: Any, lead: Any, record: RoundRecord, paper: str
) -> None:
    page = open_report(visit, lead, replace(record, samples=tuple(map(wordy, record.samples))))
    whole = printed(page, paper)
    page.evaluate("document.querySelector('.appendix').remove()")
    assert printed(page, paper) == 2
    assert whole > 2


def unfold_all(page: Page) -> None:
    for button in page.locator("[data-unfold]").all():
        button.click()


def printed(page: Page, paper: str) -> int:
    return len(re.findall(rb"/Type\s*/Page[^s]", page.pdf(format=paper)))


def test_the_contents_stay_while_one_reads_and_lead_to_their_part(visit: Any, lead: Any) -> None:
    page = open_report(visit, lead, records.PROMOTED)
    contents = page.get_by_role("navigation", name="Contents")
    targets = contents.get_by_role("link").evaluate_all("all => all.map(a => a.hash.slice(1))")
    assert [name for name in targets if page.locator(f"[id='{name}']").count() != 1] == []
    contents.get_by_role("link", name="Samples").click()
    expect(page.get_by_role("heading", name="Samples side by side")).to_be_in_viewport()
    expect(contents).to_be_in_viewport()
    top = page.locator("#samples").bounding_box()
    below = contents.bounding_box()
    assert top is not None
    assert below is not None
    assert top["y"] >= below["y"] + below["height"], "the contents lie over the heading"


def test_hashes_and_slices_are_folded(visit: Any, lead: Any) -> None:
    page = open_report(visit, lead, records.PROMOTED)
    lineage = page.locator("#lineage ~ details table")
    expect(lineage).to_be_hidden()
    page.get_by_text("Everything that the round read and wrote").click()
    expect(lineage).to_be_visible()


@pytest.mark.parametrize("record", [records.PROMOTED, records.REJECTED, records.OVERRIDDEN])
def test_a_phone_shows_five_screens_and_unfolds_the_rest(
    visit: Any, lead: Any, record: RoundRecord
) -> None:
    phone = {"width": 390, "height": 844}
    page = open_report(visit, lead, record, viewport=phone)
    whole = page.evaluate("document.documentElement.scrollHeight")
    assert whole <= 5 * phone["height"]
    passed = page.get_by_role("button", name=re.compile("^Checks: .* passed"))
    row = page.locator(".gate .folds__part").first
    expect(row).to_be_hidden()
    passed.click()
    expect(row).to_be_visible()
    expect(passed).to_have_attribute("aria-expanded", "true")
    expect(passed).to_be_focused()
    passed.press("Enter")
    expect(row).to_be_hidden()
    page.get_by_role("navigation", name="Contents").get_by_role("link", name="Lineage").click()
    expect(page.get_by_role("heading", name="Lineage")).to_be_in_viewport()
    page.goto(f"{page.url.split('#')[0]}#curves")
    page.reload()
    expect(page.get_by_role("heading", name="Training curves")).to_be_in_viewport()


@pytest.mark.parametrize("address", ["rounds/7/report/", "reports/"])
def test_tables_fit_on_a_phone(visit: Any, lead: Any, address: str) -> None:
    """No column is cut off or collapses: what stood beside each other stands below, with its heading."""
    report_store(record=records.PROMOTED)
    page = visit(lead, "/notices/", viewport={**PHONE, "width": 390})
    page.goto(f"/lines/help-desk/{address}", timeout=60_000)
    unfold_all(page)
    tables = page.locator(".table-wrap:visible").evaluate_all(
        "all => all.map(t => [t.ariaLabel, t.scrollWidth - t.clientWidth])"
    )
    assert tables
    assert [label for label, cut in tables if cut > 0] == []
    asks = page.locator(".gate__asks").evaluate_all("all => all.map(p => p.offsetWidth)")
    assert all(width > 250 for width in asks)


@pytest.mark.parametrize("address", ["rounds/7/report/", "reports/"])
def test_what_charts_say_is_legible_on_a_phone(visit: Any, lead: Any, address: str) -> None:
    """Letters of a chart are drawn at 9 px at least; a chart that is wider scrolls by itself."""
    report_store(record=records.PROMOTED)
    page = visit(lead, "/notices/", viewport={**PHONE, "width": 390})
    page.goto(f"/lines/help-desk/{address}", timeout=60_000)
    unfold_all(page)
    sizes = page.locator(".plot text").evaluate_all(
        "all => all.map(t => [t, t.getScreenCTM()])"
        ".map(([t, to]) => Number(t.getAttribute('font-size')) * Math.hypot(to.a, to.b))"
    )
    assert len(sizes) > 20
    assert min(sizes) >= 9
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
