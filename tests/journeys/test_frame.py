"""What every page shares, in a real browser: asking once, skipping to the content, live parts."""

from __future__ import annotations

import uuid

import pytest
from playwright.sync_api import expect

from tests.annotation.factories import a_campaign
from tests.support.browser import PHONE
from tests.support.people import person_create

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]
LINE = uuid.UUID(int=82)


@pytest.fixture
def lea():
    return person_create("lea", "lead")


def test_closing_a_campaign_asks_once_and_names_it(visit, lea):
    campaign = a_campaign(line_id=LINE, name="Help desk")
    page = visit(lea, f"/campaigns/{campaign.pk}/")
    page.get_by_role("button", name="Close", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Close Help desk?")
    page.keyboard.press("Escape")
    campaign.refresh_from_db()
    assert campaign.state == "active"
    page.get_by_role("button", name="Close", exact=True).click()
    dialog.get_by_role("button", name="Close the campaign").click()
    expect(page.get_by_text("The campaign is closed now.")).to_be_visible()
    campaign.refresh_from_db()
    assert campaign.state == "closed"


def test_the_first_tab_skips_to_the_content(visit, lea):
    page = visit(lea, "/campaigns/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


@pytest.mark.parametrize("address", ["/", "/campaigns/", "/people/", "/notices/", "/audit/"])
def test_no_page_runs_off_a_phone(visit, lea, address):
    a_campaign(line_id=LINE, name="A campaign with quite a long name")
    person_create("somebody-else", "annotator")  # whose row has every button
    page = visit(lea, address, viewport=PHONE, is_mobile=True, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
