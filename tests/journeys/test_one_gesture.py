"""Voting by one gesture in a real browser: sent at once, and for three seconds to be taken back."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from annotation.campaigns.models import Campaign
from annotation.comparisons.models import Assignment, Judgment
from tests.journeys.comparing import help_desk, prompt_shown, wait_until_sent
from tests.support.people import person_create

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]
LINE = uuid.UUID(int=83)
READ_MS = 400  # a pair just shown takes no vote: it cannot have been read


@pytest.fixture
def campaign():
    return help_desk(line_id=LINE)


@pytest.fixture
def ann():
    ann = person_create("ann", "annotator", line=LINE)
    ann.one_gesture = True
    ann.save()
    return ann


def _open(visit: Any, ann: Any, campaign: Campaign, **options: Any) -> Page:
    page: Page = visit(ann, f"/compare/{campaign.pk}/", **options)
    expect(page.locator("#item")).to_have_attribute("data-ahead", "3")
    page.wait_for_timeout(READ_MS)
    return page


def test_one_key_votes_and_is_sent_after_three_seconds(visit, campaign, ann):
    page = _open(visit, ann, campaign)
    judged = prompt_shown(page)
    page.keyboard.press("2")
    expect(page.locator("#prompt")).not_to_have_text(judged)
    clock = page.locator("#undo-clock")
    expect(clock).to_contain_text("A is better · sent in 3 s")
    expect(page.locator("#undo-clock .undo-clock__bar")).to_be_visible()
    expect(page.locator("#progress")).to_have_text("1 of 40 today")
    expect(clock).to_contain_text("sent in 2 s")
    assert not Judgment.objects.exists()
    expect(clock).to_be_hidden()
    wait_until_sent(page, 1)
    assert str(Assignment.objects.get(state="submitted").comparison.prompt) == judged


def test_u_takes_the_vote_back_before_it_has_left(visit, campaign, ann):
    page = _open(visit, ann, campaign)
    judged = prompt_shown(page)
    page.keyboard.press("7")
    expect(page.locator("#prompt")).not_to_have_text(judged)
    page.keyboard.press("u")
    expect(page.locator("#prompt")).to_have_text(judged)
    expect(page.locator("#overall input[value='7']")).to_be_checked()
    expect(page.locator("#undo-clock")).to_be_hidden()
    expect(page.locator("#progress")).to_have_text("0 of 40 today")
    page.wait_for_timeout(3_300)
    assert not Judgment.objects.exists()
    page.keyboard.press("1")
    expect(page.locator("#prompt")).not_to_have_text(judged)
    wait_until_sent(page, 1)
    assert Judgment.objects.count() == 1


def test_the_next_vote_sends_the_one_before_and_a_bouncing_key_votes_once(visit, campaign, ann):
    page = _open(visit, ann, campaign)
    page.keyboard.press("3")
    page.keyboard.press("3")  # no one has read the pair that has just come
    expect(page.locator("#progress")).to_have_text("1 of 40 today")
    page.wait_for_timeout(READ_MS)
    page.keyboard.press("5")
    wait_until_sent(page, 1)
    expect(page.locator("#undo-clock")).to_contain_text("B is slightly better")
    wait_until_sent(page, 2)


def test_a_click_on_the_scale_is_a_vote_and_an_arrow_key_is_none(visit, campaign, ann):
    page = _open(visit, ann, campaign, reduced_motion="reduce")
    judged = prompt_shown(page)
    page.keyboard.press("ArrowRight")
    page.locator("#overall input:checked").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#overall input[value='6']")).to_be_checked()
    assert prompt_shown(page) == judged
    page.locator("#overall label").nth(0).click()
    expect(page.locator("#prompt")).not_to_have_text(judged)
    expect(page.locator("#undo-clock")).to_contain_text("A is much better · sent in 3 s")
    expect(page.locator("#undo-clock .undo-clock__bar")).to_be_hidden()  # less motion was asked for


def test_leaving_the_page_within_the_three_seconds_sends_the_vote(visit, campaign, ann):
    page = _open(visit, ann, campaign)
    page.keyboard.press("6")
    expect(page.locator("#undo-clock")).to_be_visible()
    page.goto("/")
    wait_until_sent(page, 1)
    page.goto(f"/compare/{campaign.pk}/")
    expect(page.locator("#progress")).to_have_text("1 of 40 today")
    page.wait_for_load_state("networkidle")
    assert Judgment.objects.count() == 1


def test_a_refused_vote_comes_back_and_waits_for_a_deliberate_submit(visit, campaign, ann):
    page = _open(visit, ann, campaign)
    refusal = {"status": 400, "json": {"error": "The rationale is too long."}}
    page.route("**/submit/", lambda route: route.fulfill(**refusal))
    judged = prompt_shown(page)
    page.keyboard.press("2")
    expect(page.locator("#prompt")).not_to_have_text(judged)
    expect(page.locator("#alert")).to_contain_text("The rationale is too long.")
    expect(page.locator("#prompt")).to_have_text(judged)
    expect(page.locator("#overall input[value='2']")).to_be_checked()
    expect(page.locator("#progress")).to_have_text("0 of 40 today")
    page.unroute("**/submit/")
    page.wait_for_timeout(READ_MS)
    page.keyboard.press("3")  # meant for the pair that was here a moment ago: it only chooses
    assert prompt_shown(page) == judged
    page.keyboard.press("Control+Enter")
    expect(page.locator("#prompt")).not_to_have_text(judged)
    wait_until_sent(page, 1)


def test_a_campaign_that_asks_for_more_takes_votes_as_usual_and_says_so(visit, ann):
    campaign = help_desk(line_id=LINE, criteria=[("honest", "Honest")])
    page = _open(visit, ann, campaign)
    expect(page.get_by_text("One key does not submit here")).to_be_visible()
    judged = prompt_shown(page)
    page.keyboard.press("2")
    expect(page.locator("#save-state")).to_contain_text("draft saved")
    assert prompt_shown(page) == judged
    page.keyboard.press("Control+Enter")
    expect(page.locator("#prompt")).not_to_have_text(judged)
    wait_until_sent(page, 1)


def test_the_setting_is_reached_by_keyboard_from_the_name_and_takes_effect(visit, campaign):
    bob = person_create("bob", "annotator", line=LINE)
    page = _open(
        visit, bob, campaign
    )  # the page moves the focus once, when its first pair is there
    page.get_by_role("link", name="bob").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Vote with one key").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Your preferences are saved.")).to_be_visible()
    page = _open(visit, bob, campaign)
    page.keyboard.press("4")
    expect(page.locator("#undo-clock")).to_contain_text("They are equal")
