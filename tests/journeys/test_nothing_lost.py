"""Answers that must survive: two tabs, a reload, a session that ends, another account, storage that is full."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Dialog, Page, expect

from annotation.accounts.services import rater_for
from annotation.comparisons.models import Assignment, Judgment
from annotation.comparisons.services import (
    assignment_park,
    leases_release_expired,
    queue_lease_next,
)
from annotation.comparisons.services.reopening import MOST_PARKED
from tests.annotation.factories import an_annotator, lease, submit
from tests.journeys.comparing import help_desk, prompt_shown, wait_until_sent
from tests.support.people import person_create

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]
LINE = uuid.UUID(int=86)
SUBMIT = "Control+Enter"


@pytest.fixture
def campaign():
    return help_desk(line_id=LINE)


@pytest.fixture
def ann():
    return person_create("ann", "annotator", line=LINE)


def vote(page: Page, key: str) -> str:
    before = prompt_shown(page)
    page.keyboard.press(key)
    page.keyboard.press(SUBMIT)
    expect(page.locator("#prompt")).not_to_have_text(before)
    return before


def ready(page: Page) -> None:
    expect(page.locator("#item")).to_have_attribute("data-ahead", "3")
    page.wait_for_load_state("networkidle")


def tab(page: Page, address: str) -> Page:
    other = page.context.new_page()
    other.goto(address)
    return other


def kept(page: Page) -> int:
    """Answers in local storage."""
    count = "() => Object.keys(localStorage).filter((key) => key.includes(':outbox:')).length"
    return int(page.evaluate(count))


def judged() -> dict[str, int]:
    rows = Assignment.objects.filter(state="submitted").select_related("comparison__prompt")
    found = {}
    for row in rows:
        value = row.judgments.get(active=True).values.get(criterion__key="overall").value
        found[str(row.comparison.prompt)] = value if row.shown_order[0] == 1 else 8 - value
    return found


def test_two_tabs_offline_show_other_pairs_and_every_answer_arrives(visit, campaign, ann):
    one = visit(ann, f"/compare/{campaign.pk}/")
    ready(one)
    two = tab(one, f"/compare/{campaign.pk}/")
    ready(two)
    assert prompt_shown(one) != prompt_shown(two)
    one.context.set_offline(True)
    given: dict[str, int] = {}
    for key_one, key_two in (("1", "7"), ("2", "6"), ("3", "5")):
        given |= {vote(one, key_one): int(key_one), vote(two, key_two): int(key_two)}
    assert len(given) == 6
    assert kept(one) == 6
    assert not Judgment.objects.exists()
    one.context.set_offline(False)
    wait_until_sent(one, 6)
    assert judged() == given
    for _ in range(100):
        if kept(one) == 0:
            break
        one.wait_for_timeout(50)
    assert kept(one) == 0


def test_what_a_closed_tab_left_behind_is_sent_by_another(visit, campaign, ann):
    one = visit(ann, f"/compare/{campaign.pk}/")
    ready(one)
    two = tab(one, f"/compare/{campaign.pk}/")
    ready(two)
    one.context.set_offline(True)
    given = {vote(two, "6"): 6}
    two.close()
    assert kept(one) == 1
    one.context.set_offline(False)
    one.reload()
    wait_until_sent(one, 1)
    assert judged() == given


def test_the_time_of_a_pair_outlives_a_reload_and_a_hidden_tab_does_not_count(visit, campaign, ann):
    page = visit(ann, f"/compare/{campaign.pk}/")
    ready(page)
    page.wait_for_timeout(3_000)
    shown = prompt_shown(page)
    page.reload()
    ready(page)
    assert prompt_shown(page) == shown
    hide = """(hidden) => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    page.wait_for_timeout(6_000)
    page.evaluate(hide, False)
    vote(page, "2")
    wait_until_sent(page, 1)
    seconds = Judgment.objects.get().seconds
    assert seconds is not None
    assert seconds >= 3.0
    started = Assignment.objects.get(state="submitted").leased_at
    whole = (Judgment.objects.get().created_at - started).total_seconds()
    assert seconds <= whole - 5.5


def test_a_late_answer_is_told_that_it_does_not_count(visit, campaign, ann):
    page = visit(ann, f"/compare/{campaign.pk}/")
    ready(page)
    late = prompt_shown(page)
    Assignment.objects.filter(state="leased").update(lease_expires_at="2020-01-01T00:00:00Z")
    assert leases_release_expired() == 4
    other = an_annotator(campaign)
    while (held := queue_lease_next(rater=other, campaign=campaign)) is not None:
        submit(other, held.assignment_id)
    count = Judgment.objects.count()
    page.keyboard.press("2")
    page.keyboard.press(SUBMIT)
    expect(page.locator("#alert")).to_contain_text(f"Your answer to “{late}” came after its time")
    assert Judgment.objects.filter(surplus=True).count() == 1
    assert Judgment.objects.count() == count + 1


def test_signed_out_goes_away_after_signing_in_again_in_another_tab(visit, campaign, ann):
    page = visit(ann, f"/compare/{campaign.pk}/")
    ready(page)
    page.context.clear_cookies(name="sessionid")
    vote(page, "6")
    expect(page.locator("#alert")).to_contain_text("You are signed out")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Sign in in a new tab").click()
    sign_in(opened.value, "ann")
    page.bring_to_front()
    page.evaluate("dispatchEvent(new Event('focus'))")
    wait_until_sent(page, 1)
    expect(page.locator("#alert")).to_be_hidden()


def sign_in(page: Page, name: str) -> None:
    page.locator("#id_login").fill(name)
    page.locator("#id_password").fill(f"secret-of-{name}")
    page.keyboard.press("Enter")
    page.wait_for_load_state("networkidle")


def test_an_answer_is_sent_by_its_own_person_alone(visit, campaign, ann, live_server):
    bob = person_create("bob", "annotator", line=LINE)
    page = visit(ann, f"/compare/{campaign.pk}/")
    ready(page)
    session_as(page, bob, live_server.url)
    mine = vote(page, "6")
    expect(page.locator("#alert")).to_contain_text("Somebody else has signed in")
    assert not Judgment.objects.exists()
    page.reload()  # now it is Bob's page, and what Ann said waits
    ready(page)
    page.wait_for_timeout(500)
    assert not Judgment.objects.exists()
    assert kept(page) == 1
    session_as(page, ann, live_server.url)
    page.goto(f"/compare/{campaign.pk}/")
    wait_until_sent(page, 1)
    assert Judgment.objects.get().rater.user == ann
    assert judged() == {mine: 6}


def session_as(page: Page, user: Any, url: str) -> None:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    value = client.cookies["sessionid"].value
    page.context.clear_cookies(name="sessionid")
    page.context.add_cookies([{"name": "sessionid", "value": value, "url": url}])


@pytest.mark.parametrize("fault", ["QuotaExceededError", "SecurityError"])
def test_where_the_browser_keeps_nothing_it_says_so_and_the_answer_still_goes(
    visit, campaign, ann, fault
):
    page = visit(ann, "/accounts/inactive/")
    page.add_init_script(
        f"Storage.prototype.setItem = () => {{ throw new DOMException('no', '{fault}'); }};"
    )
    page.goto(f"/compare/{campaign.pk}/")
    ready(page)
    page.context.set_offline(True)
    given = {vote(page, key): int(key) for key in ("2", "6")}
    state = page.locator("#save-state")
    expect(state).to_have_text(
        "2 not sent yet, and this browser keeps nothing: leave this page open"
    )
    asked = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.once("dialog", stay)
    page.evaluate("location.href = '/'")  # leaving would lose them, so it asks
    page.wait_for_timeout(500)
    assert asked == ["beforeunload"]
    page.context.set_offline(False)
    wait_until_sent(page, 2)
    assert judged() == given


def test_a_refused_answer_is_kept_as_a_draft(visit, campaign, ann):
    page = visit(ann, f"/compare/{campaign.pk}/")
    ready(page)
    page.route("**/submit/", lambda route: route.fulfill(status=409, json={"error": "Too late."}))
    page.keyboard.press("w")
    page.keyboard.type("Written with care.")
    page.keyboard.press("Escape")
    vote(page, "2")
    expect(page.locator("#alert")).to_contain_text("Too late.")
    drafts = "() => Object.entries(localStorage).filter(([k]) => k.includes(':draft:')).map(([, v]) => v)"
    assert "Written with care." in str(page.evaluate(drafts))


def test_what_was_written_comes_back_when_no_more_pairs_may_be_parked(visit, campaign, ann):
    rater = rater_for(user=ann)
    for _ in range(MOST_PARKED):
        held = lease(rater, campaign)
        assignment_park(rater=rater, assignment_id=held.assignment_id, draft={})
    page = visit(ann, f"/compare/{campaign.pk}/")
    ready(page)
    shown = prompt_shown(page)
    page.keyboard.press("w")
    page.keyboard.type("Written with care.")
    page.keyboard.press("Escape")
    page.keyboard.press("6")
    page.get_by_role("button", name="Park").click()
    expect(page.locator("#alert")).to_contain_text(f"You have parked {MOST_PARKED} pairs")
    expect(page.locator("#prompt")).to_have_text(shown)
    expect(page.locator("#why textarea")).to_have_value("Written with care.")
    expect(page.locator("#overall input[value='6']")).to_be_checked()
    page.reload()
    expect(page.locator("#prompt")).to_have_text(shown)
    expect(page.locator("#why textarea")).to_have_value("Written with care.")
