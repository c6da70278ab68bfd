"""Every button that destroys something asks once: found on the pages by what it posts to, not by a list of buttons."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.urls import resolve
from playwright.sync_api import Locator, Page, Route, expect

from tests.access.table import RULES
from tests.journeys.every_page import EveryPage

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

# What may be posted without a question: it adds, saves or starts something, and no more. A further address
# that takes a POST is walked as one that destroys until it stands here.
HARMLESS = {
    *("web:notices_all_read", "web:notice_open", "accounts:people", "accounts:role_give"),
    *("accounts:tokens", "accounts:preferences", "account_logout"),
    *("campaigns:new", "campaigns:edit", "campaigns:guidelines"),
    *("comparisons:next", "comparisons:undo", "comparisons:edit", "comparisons:acknowledge"),
    *("comparisons:submit", "comparisons:revise", "comparisons:draft", "comparisons:skip"),
    *("comparisons:say", "comparisons:end"),
    *("comparisons:release", "exchange:import", "exchange:export", "exchange:api_exports"),
    *(
        "gates:policy_edit",
        "gates:label_design",
        "rounds:schedule",
        "rounds:plan",
        "rounds:promotions",
    ),
    *("rounds:optimizer", "rounds:jobs", "rounds:start", "rounds:first_pairs", "rounds:take_up"),
    *("rounds:override_request", "rounds:suites", "rounds:suite_task"),
    *("quality:gold_new", "quality:gold_of_pair", "quality:settle"),
    *("quality:send_back", "quality:returned", "quality:ask", "quality:question"),
    *("quality:qualify", "quality:qualification_begin"),
    *("comparisons:names", "comparisons:park", "comparisons:preferences", "comparisons:reopen"),
    *("accounts:people_many", "comparisons:warning", "comparisons:opt_out"),
    *("rounds:signals_prompts", "judges:judge", "judges:try"),
    *("webhooks:new", "webhooks:edit", "webhooks:test", "webhooks:again"),
    *("rounds:line_new", "rounds:base", "campaigns:set_up", "exchange:set_up", "accounts:set_up"),
}
# The same address does the opposite too.
HARMLESS_BUTTONS = {
    ("campaigns:state", "Start"), ("campaigns:state", "Start again"), ("campaigns:state", "Start the campaign"),
    ("campaigns:state", "Pause"),
    ("accounts:person_state", "Open again"), ("rounds:signals", "Switch signals on"),
    ("webhooks:switch", "Switch on"),
}  # fmt: skip
# The page itself is the question, answered by typing the person's name.
ASKED_BY_TYPING = {"accounts:erase"}
SENDERS = (
    "form[method=post] [type=submit], [data-confirm], [hx-post], [hx-put], [hx-patch], [hx-delete]"
)
# Programs are asked nothing: their doors show no button.
DESTRUCTIVE = {name for name, rule in RULES.items() if rule.post and not rule.by_token} - HARMLESS


@pytest.fixture
def pages(settings: Any, tmp_path: Path) -> EveryPage:
    settings.VAR_DIR = tmp_path
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    return EveryPage(tmp_path)


class Sent:
    """What the page would send: kept here, and answered without reaching the site."""

    def __init__(self, page: Page) -> None:
        self.bodies: list[tuple[str, str]] = []
        page.route(lambda _: True, self._keep)

    def _keep(self, route: Route) -> None:
        if route.request.method == "GET":
            route.continue_()
            return
        self.bodies.append((route.request.url, route.request.post_data or ""))
        route.fulfill(status=204)


def test_every_destructive_button_asks_once_and_sends_only_after_a_yes(
    visit: Any, pages: EveryPage
) -> None:
    page = visit(pages.boss, "/")
    sent = Sent(page)
    walked: set[str] = set()
    for address in dict.fromkeys(pages.addresses()):
        page.goto(address, timeout=60_000)  # a report draws its charts
        for name, button in _destructive(page):
            walked.add(name)
            if name in ASKED_BY_TYPING:
                button.click()
                assert not sent.bodies, f"{address}: {name} was sent without the name typed"
            else:
                _asks_once(page, button, sent, f"{address}: {name}")
    assert walked == DESTRUCTIVE, (
        "no page showed a button of the missing ones; put one into tests/journeys/every_page.py"
    )


def _destructive(page: Page) -> Iterator[tuple[str, Locator]]:
    """(URL name, button) of all on the page that is not known to be harmless."""
    found = page.locator(SENDERS)
    for place in range(found.count()):
        button = found.nth(place)
        if button.evaluate("e => e.matches('form')"):
            continue  # its buttons are among the found
        target = button.evaluate(
            "e => ['hx-post', 'hx-delete', 'formaction'].map(name => e.getAttribute(name)).find(Boolean)"
            " || e.form.action"
        )
        name = resolve(re.sub(r"^https?://[^/]+|[?#].*$", "", target)).view_name
        if name not in HARMLESS and (name, button.inner_text().strip()) not in HARMLESS_BUTTONS:
            yield name, button


def _asks_once(page: Page, button: Locator, sent: Sent, where: str) -> None:
    dialog = page.get_by_role("dialog")
    _fill(button)
    for no in ("Escape", "Go back"):
        button.click()
        expect(dialog, where).to_have_count(1)
        if no == "Escape":
            page.keyboard.press(no)
        else:
            dialog.get_by_role("button").first.click()
        expect(dialog, where).to_have_count(0)
        expect(button, "focus goes back to the button").to_be_focused()
        assert not sent.bodies, f"{where} was sent after a no"
    button.press("Enter")
    assert dialog.inner_text().split("?")[0].strip(), f"{where} asks nothing"
    dialog.get_by_role("button").last.click()
    expect(dialog, where).to_have_count(0)
    page.wait_for_timeout(50)
    assert len(sent.bodies) == 1, f"{where} was sent {len(sent.bodies)} times after a yes"
    pair = button.evaluate("e => e.name ? e.name + '=' + e.value : ''")
    assert pair in sent.bodies.pop()[1], f"{where} lost what its button says"


def _fill(button: Locator) -> None:
    """What the form asks for first, as a rollback its reason."""
    for area in button.evaluate_handle("e => e.form").as_element().query_selector_all("textarea"):  # type: ignore[union-attr]
        area.fill("The new one answers in riddles.")


def _served(page: Page, body: str) -> Sent:
    """A page of the site whose content is `body`, for what no page has today."""
    sent = Sent(page)
    page.evaluate(
        "html => { const main = document.getElementById('main'); main.innerHTML = html; htmx.process(main); }",
        body,
    )
    return sent


@pytest.mark.parametrize(
    "body",
    [
        '<form method="post" action="/x/" data-confirm="Sure?"><input name="q"><button>Go</button></form>',
        '<form method="post" action="/x/"><input name="q"><button data-confirm="Sure?">Go</button></form>',
        '<form hx-post="/x/" hx-swap="none"><input name="q"><button data-confirm="Sure?">Go</button></form>',
    ],
    ids=["on the form", "on the button", "a form of htmx"],
)
def test_enter_in_a_field_and_a_script_are_asked_as_well(visit: Any, pages: Any, body: str) -> None:
    page = visit(pages.boss, "/notices/")
    sent = _served(page, body)
    dialog = page.get_by_role("dialog")
    page.locator("[name=q]").press("Enter")
    page.keyboard.press("Escape")
    page.evaluate("document.querySelector('#main form').requestSubmit()")
    page.keyboard.press("Escape")
    assert not sent.bodies
    for times in (1, 2):  # a yes counts for one time
        page.locator("[name=q]").press("Enter")
        expect(dialog).to_contain_text("Sure?")
        dialog.get_by_role("button", name="Go", exact=True).click()
        page.wait_for_timeout(50)
        assert len(sent.bodies) == times


def test_what_htmx_sends_without_a_form_is_asked(visit: Any, pages: EveryPage) -> None:
    page = visit(pages.boss, "/notices/")
    sent = _served(
        page, '<button hx-delete="/x/" hx-swap="none" data-confirm="Sure?">Drop</button>'
    )
    page.get_by_role("button", name="Drop").click()
    page.keyboard.press("Escape")
    assert not sent.bodies
    page.get_by_role("button", name="Drop").click()
    page.get_by_role("dialog").get_by_role("button", name="Drop").click()
    page.wait_for_timeout(50)
    assert len(sent.bodies) == 1


def test_a_page_that_follows_waits_while_it_asks(visit: Any, pages: EveryPage) -> None:
    """The button under the question is still there when the answer is yes."""
    export = next(address for address in pages.further if "/exports/" in address)
    page = visit(pages.boss, export)
    sent = Sent(page)
    page.get_by_role("button", name="Stop").click()
    with page.expect_response(lambda response: response.url.endswith(export)):
        pass
    page.get_by_role("dialog").get_by_role("button", name="Stop it").click()
    page.wait_for_timeout(100)
    assert len(sent.bodies) == 1
