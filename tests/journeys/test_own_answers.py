"""Going back in a real browser: a skip undone, a pair parked, an answer edited from the history; and the tour."""

from __future__ import annotations

import uuid

import pytest
from playwright.sync_api import Page, expect

from annotation.comparisons.models import Assignment, Judgment
from tests.journeys.comparing import help_desk, prompt_shown, wait_until_sent
from tests.support.people import person_create

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]
LINE = uuid.UUID(int=88)
SUBMIT = "Control+Enter"


@pytest.fixture
def campaign():
    return help_desk(line_id=LINE)


@pytest.fixture
def ann():
    return person_create("ann", "annotator", line=LINE)


def opened(visit, ann, campaign) -> Page:
    page: Page = visit(ann, f"/compare/{campaign.pk}/")
    expect(page.locator("#item")).to_have_attribute("data-ahead", "3")
    return page


def vote(page: Page, key: str) -> str:
    before = prompt_shown(page)
    page.keyboard.press(key)
    page.keyboard.press(SUBMIT)
    expect(page.locator("#prompt")).not_to_have_text(before)
    return before


def skip(page: Page) -> str:
    before = prompt_shown(page)
    page.keyboard.press("s")
    page.keyboard.press("Enter")
    expect(page.locator("#prompt")).not_to_have_text(before)
    return before


def wait_for_state(page: Page, state: str, count: int = 1) -> None:
    for _ in range(100):
        if Assignment.objects.filter(state=state).count() == count:
            return
        page.wait_for_timeout(50)
    assert Assignment.objects.filter(state=state).count() == count


def test_undo_after_a_skip_takes_back_the_skip_and_not_the_answer(visit, campaign, ann):
    page = opened(visit, ann, campaign)
    answered = vote(page, "2")
    wait_until_sent(page, 1)
    page.keyboard.press("6")
    skipped = skip(page)
    wait_for_state(page, "skipped")
    page.keyboard.press("u")
    expect(page.locator("#prompt")).to_have_text(skipped)
    expect(page.locator("#overall input[value='6']")).to_be_checked()  # what was entered is there
    assert Judgment.objects.filter(active=True).count() == 1
    wait_for_state(page, "skipped", 0)
    page.keyboard.press(SUBMIT)
    wait_until_sent(page, 2)
    # after a reload, too, the last thing done is what is undone
    skip(page)
    wait_for_state(page, "skipped")
    page.reload()
    expect(page.locator("#item")).to_be_visible()
    page.keyboard.press("u")
    wait_for_state(page, "skipped", 0)
    assert Judgment.objects.filter(active=True).count() == 2
    assert answered != skipped


def test_a_skip_that_has_not_left_yet_is_undone_without_the_net(visit, campaign, ann):
    page = opened(visit, ann, campaign)
    page.wait_for_load_state("networkidle")
    page.context.set_offline(True)
    skipped = skip(page)
    expect(page.locator("#save-state")).to_contain_text("1 not sent yet")
    page.keyboard.press("u")
    expect(page.locator("#prompt")).to_have_text(skipped)
    page.context.set_offline(False)
    vote(page, "3")
    wait_until_sent(page, 1)
    assert not Assignment.objects.filter(state="skipped").exists()


def test_a_pair_is_parked_seen_and_taken_up_again(visit, campaign, ann):
    page = opened(visit, ann, campaign)
    parked = prompt_shown(page)
    page.keyboard.press("w")
    page.keyboard.type("Look this up first.")
    page.keyboard.press("Escape")
    page.keyboard.press("p")
    expect(page.locator("#prompt")).not_to_have_text(parked)
    expect(page.locator("#parked-count")).to_have_text("(1)")
    vote(page, "2")
    wait_until_sent(page, 1)
    page.get_by_role("link", name="Your answers").click()
    row = page.get_by_role("row").filter(has_text=parked)
    expect(row).to_contain_text("Parked")
    expect(row).to_contain_text("Look this up first.")
    row.get_by_role("link", name="Go on").click()
    expect(page.locator("#prompt")).to_have_text(parked)
    expect(page.locator("#rationale")).to_have_value("Look this up first.")
    expect(page.locator("#parked-count")).to_have_text("")
    page.keyboard.press("7")
    page.keyboard.press(SUBMIT)
    wait_until_sent(page, 2)
    assert Judgment.objects.get(rationale="Look this up first.").active


def test_an_answer_is_found_and_edited_from_the_history(visit, campaign, ann):
    page = opened(visit, ann, campaign)
    first = vote(page, "1")
    for key in ("2", "6", "4"):
        vote(page, key)
    wait_until_sent(page, 4)
    page.goto("/answers/")
    page.get_by_label("Text").fill(first)
    page.get_by_role("button", name="Find").click()
    row = page.get_by_role("row").filter(has_text=first)
    expect(row).to_contain_text("A is much better")
    row.get_by_role("link", name="Edit").click()
    expect(page.locator("#prompt")).to_have_text(first)
    expect(page.locator("#overall input[value='1']")).to_be_checked()
    page.keyboard.press("5")
    page.keyboard.press(SUBMIT)
    expect(page.locator("#prompt")).not_to_have_text(first)
    page.wait_for_load_state("networkidle")
    assert Judgment.objects.filter(active=True).count() == 4
    assert Judgment.objects.get(revision=2).active
    page.goto("/answers/?kind=b")
    expect(page.get_by_role("row").filter(has_text=first)).to_contain_text("B is slightly better")


def test_the_first_visit_has_a_short_tour_that_can_be_skipped(visit, campaign, ann):
    ann.toured = False
    ann.save()
    page = visit(ann, f"/compare/{campaign.pk}/")
    tour = page.locator("#tour")
    expect(tour).to_be_visible()
    expect(page.locator("#tour-place")).to_have_text("1 / 5")
    expect(page.locator(".prompt")).to_have_class("prompt is-pointed-at")
    page.keyboard.press("Enter")
    expect(page.locator("#tour-place")).to_have_text("2 / 5")
    page.get_by_role("button", name="Skip the tour").click()
    expect(tour).to_be_hidden()
    expect(page.locator(".is-pointed-at")).to_have_count(0)
    page.wait_for_load_state("networkidle")
    vote(page, "2")
    wait_until_sent(page, 1)
    page.reload()
    expect(page.locator("#item")).to_be_visible()
    expect(page.locator("#tour")).to_have_count(0)


def test_the_tour_walks_through_all_it_shows(visit, campaign, ann):
    ann.toured = False
    ann.save()
    page = visit(ann, f"/compare/{campaign.pk}/")
    for place in range(1, 6):
        expect(page.locator("#tour-place")).to_have_text(f"{place} / 5")
        page.keyboard.press("Enter")
    expect(page.locator("#tour")).to_be_hidden()


def test_reasons_are_ticked_by_keyboard_counted_and_sent(visit, campaign, ann):
    page = opened(visit, ann, campaign)
    page.keyboard.press("6")
    page.keyboard.press("w")
    page.keyboard.press("Shift+Tab")  # from the text to the last of the reasons
    page.keyboard.press("Space")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    expect(page.locator("#why-count")).to_have_text("(2)")
    page.keyboard.press(SUBMIT)
    wait_until_sent(page, 1)
    assert Judgment.objects.get().reasons == ["safe", "style"]
    page.keyboard.press("u")
    expect(page.locator("#why input:checked")).to_have_count(2)


def test_each_criterion_is_answered_by_its_number_and_hands_on_to_the_next(visit, ann):
    campaign = help_desk(line_id=LINE, criteria=[("honest", "Honest"), ("clear", "Clear")])
    page = opened(visit, ann, campaign)
    page.keyboard.press("c")
    for key in ("3", "7", "2"):
        page.keyboard.press(key)
    page.keyboard.press(SUBMIT)
    wait_until_sent(page, 1)
    judgment = Judgment.objects.get()
    turned = judgment.assignment.shown_order == [2, 1]
    values = dict(judgment.values.values_list("criterion__key", "value"))
    said = {"honest": 3, "clear": 7, "overall": 2}
    assert values == {key: 8 - value if turned else value for key, value in said.items()}
