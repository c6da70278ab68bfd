"""An annotator's day in a real browser, by keyboard alone, checked against the database."""

from __future__ import annotations

import re
import uuid

import pytest
from playwright.sync_api import Page, Route, expect

from annotation.campaigns.services import campaign_create
from annotation.comparisons.models import Assignment, Judgment
from annotation.comparisons.services import pairs_create, prompts_ensure
from annotation.contracts import NewCompletion, NewPair, NewPrompt
from tests.journeys.comparing import guidelines_read, help_desk, prompt_shown, wait_until_sent
from tests.support.browser import PHONE
from tests.support.people import person_create

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]
LINE = uuid.UUID(int=81)
SUBMIT = "Control+Enter"


@pytest.fixture
def campaign():
    return help_desk(
        line_id=LINE,
        guidelines="# Helpful first\n\nA right and **short** answer is better than a long one.",
        criteria=[("honest", "Honest")],
    )


@pytest.fixture
def ann():
    return person_create("ann", "annotator", line=LINE)


def _vote(page: Page, key: str) -> str:
    """Choose by key and submit; returns the prompt that was judged, once another is shown."""
    before = prompt_shown(page)
    page.keyboard.press(key)
    page.keyboard.press(SUBMIT)
    expect(page.locator("#prompt")).not_to_have_text(before)
    return before


def test_ten_pairs_by_keyboard_alone_with_an_undo_a_skip_and_a_reload(visit, campaign, ann):
    page = visit(None, "/")
    page.locator("#id_login").focus()
    page.keyboard.type("ann")
    page.keyboard.press("Tab")
    page.keyboard.type("secret-of-ann")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Start comparing").focus()
    page.keyboard.press("Enter")
    guidelines_read(page)
    expect(page.locator("#progress")).to_contain_text("0 of 40 today")

    # four votes by number, one by arrows, one both bad
    for key in ("1", "2", "6", "7"):
        _vote(page, key)
    page.keyboard.press("ArrowLeft")
    _vote(page, "ArrowLeft")
    _vote(page, "b")
    wait_until_sent(page, 6)
    assert Judgment.objects.filter(active=True, both_bad=True).count() == 1

    # undo the last: it is shown again as it was, and sent changed
    page.keyboard.press("u")
    expect(page.locator("#both-bad")).to_be_checked()
    expect(page.locator("#progress")).to_contain_text("5 of 40 today")
    _vote(page, "3")
    wait_until_sent(page, 6)
    assert not Judgment.objects.filter(active=True, both_bad=True).exists()
    assert Judgment.objects.filter(withdrawn=True).count() == 1

    # skip one, with a reason
    skipped = prompt_shown(page)
    page.keyboard.press("s")
    expect(page.locator("#skip-dialog")).to_be_visible()
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(page.locator("#prompt")).not_to_have_text(skipped)

    # a draft survives a reload
    page.keyboard.press("5")
    page.keyboard.press("w")
    page.keyboard.type("Because it is right.")
    expect(page.locator("#save-state")).to_contain_text("draft saved")
    half_done = prompt_shown(page)
    page.reload()
    expect(page.locator("#item")).to_be_visible()
    assert prompt_shown(page) == half_done
    expect(page.locator("#rationale")).to_have_value("Because it is right.")
    expect(page.locator("#overall input[value='5']")).to_be_checked()
    page.keyboard.press(SUBMIT)
    expect(page.locator("#prompt")).not_to_have_text(half_done)

    for key in ("4", "2", "6"):
        _vote(page, key)
    wait_until_sent(page, 10)
    expect(page.locator("#progress")).to_contain_text("10 of 40 today")

    active = Judgment.objects.filter(active=True, rater__user=ann)
    assert active.count() == 10
    assert active.get(rationale="Because it is right.").values.get().criterion.key == "overall"
    skipped_row = Assignment.objects.get(state="skipped")
    assert skipped_row.skip_reason == "not_understood"
    assert str(skipped_row.comparison.prompt) == skipped
    assert Assignment.objects.filter(rater__user=ann, state="submitted").count() == 10
    assert set(active.values_list("guideline_version__number", flat=True)) == {1}


def _stored_in_shown_order(assignment: Assignment) -> int:
    value = assignment.judgments.get(active=True).values.get(criterion__key="overall").value
    return value if assignment.shown_order[0] == 1 else 8 - value


def test_what_is_stored_is_what_was_seen(visit, campaign, ann):
    page = visit(ann, f"/compare/{campaign.pk}/")
    guidelines_read(page)
    for sent, key in enumerate(("1", "7", "3"), start=1):
        left = page.locator("#left").inner_text()
        judged = _vote(page, key)
        wait_until_sent(page, sent)
        row = Assignment.objects.get(
            comparison__prompt__messages__0__content=judged, state="submitted"
        )
        slots = {slot.position: slot.completion.text for slot in row.comparison.slots.all()}
        assert slots[row.shown_order[0]].replace("`", "") == left
        assert _stored_in_shown_order(row) == int(key)


def test_the_next_pair_is_shown_before_the_server_has_answered(visit, campaign, ann):
    page = visit(ann, f"/compare/{campaign.pk}/")
    guidelines_read(page)
    held: list[Route] = []
    page.route("**/submit/", lambda route: held.append(route))
    for sent in range(1, 5):
        expect(page.locator("#item")).to_have_attribute("data-ahead", "3")
        judged = prompt_shown(page)
        page.keyboard.press("2")
        page.keyboard.press(SUBMIT)
        expect(page.locator("#prompt")).not_to_have_text(judged)
        while not held:
            page.wait_for_timeout(10)
        assert Judgment.objects.filter(active=True).count() == sent - 1
        held.pop().continue_()
        wait_until_sent(page, sent)


def test_an_answer_given_offline_is_sent_when_the_net_is_back(visit, campaign, ann):
    page = visit(ann, f"/compare/{campaign.pk}/")
    guidelines_read(page)
    page.wait_for_load_state("networkidle")
    page.context.set_offline(True)
    page.keyboard.press("6")
    page.keyboard.press(SUBMIT)
    expect(page.locator("#save-state")).to_contain_text("1 not sent yet")
    assert not Judgment.objects.exists()
    page.context.set_offline(False)
    wait_until_sent(page, 1)
    expect(page.locator("#progress")).to_contain_text("1 of 40 today")


def test_three_answers_given_offline_to_pairs_held_ahead_are_sent_once_after_a_reload(
    visit, campaign, ann
):
    page = visit(ann, f"/compare/{campaign.pk}/")
    guidelines_read(page)
    expect(page.locator("#item")).to_have_attribute("data-ahead", "3")
    page.wait_for_load_state("networkidle")
    page.context.set_offline(True)
    judged = {_vote(page, key): int(key) for key in ("1", "6", "3")}
    expect(page.locator("#save-state")).to_contain_text("3 not sent yet")
    assert not Judgment.objects.exists()
    page.context.set_offline(False)
    page.reload()
    wait_until_sent(page, 3)
    page.wait_for_load_state("networkidle")
    assert Judgment.objects.count() == 3
    rows = Assignment.objects.filter(state="submitted").select_related("comparison__prompt")
    assert {str(row.comparison.prompt): _stored_in_shown_order(row) for row in rows} == judged
    assert len(judged) == 3
    expect(page.locator("#progress")).to_contain_text("3 of 40 today")


def test_pairs_held_ahead_go_back_to_the_queue_when_the_page_closes(visit, campaign, ann):
    page = visit(ann, f"/compare/{campaign.pk}/")
    guidelines_read(page)
    expect(page.locator("#item")).to_have_attribute("data-ahead", "3")
    shown = prompt_shown(page)
    assert Assignment.objects.filter(state="leased").count() == 4
    page.goto("/")
    for _ in range(100):
        if Assignment.objects.filter(state="leased").count() == 1:
            break
        page.wait_for_timeout(50)
    assert str(Assignment.objects.get(state="leased").comparison.prompt) == shown
    page.goto(f"/compare/{campaign.pk}/")
    expect(page.locator("#prompt")).to_have_text(shown)


def test_an_answer_outlives_a_session_that_ran_out(visit, campaign, ann):
    page = visit(ann, f"/compare/{campaign.pk}/")
    guidelines_read(page)
    page.wait_for_load_state("networkidle")
    cookies = page.context.cookies()
    page.context.clear_cookies(name="sessionid")
    page.keyboard.press("6")
    page.keyboard.press(SUBMIT)
    expect(page.locator("#alert")).to_contain_text("You are signed out")
    page.context.add_cookies([cookie for cookie in cookies if cookie["name"] == "sessionid"])
    page.reload()
    wait_until_sent(page, 1)


def test_an_edit_replaces_the_last_answer_and_keys_rest_while_typing(visit, campaign, ann):
    page = visit(ann, f"/compare/{campaign.pk}/")
    guidelines_read(page)
    first = _vote(page, "2")
    wait_until_sent(page, 1)
    page.keyboard.press("e")
    expect(page.locator("#prompt")).to_have_text(first)
    page.keyboard.press("w")
    page.keyboard.type("suggestion 7")
    expect(page.locator("#rationale")).to_have_value("suggestion 7")
    expect(page.locator("#overall input[value='2']")).to_be_checked()
    page.keyboard.press("Escape")
    page.keyboard.press("6")
    page.keyboard.press(SUBMIT)
    expect(page.locator("#prompt")).not_to_have_text(first)
    for _ in range(100):
        if Judgment.objects.filter(revision=2, active=True).exists():
            break
        page.wait_for_timeout(50)
    assert Judgment.objects.get(active=True).revision == 2
    assert _stored_in_shown_order(Assignment.objects.get(state="submitted")) == 6


def test_submitting_without_a_choice_says_what_is_missing(visit, campaign, ann):
    page = visit(ann, f"/compare/{campaign.pk}/")
    guidelines_read(page)
    before = prompt_shown(page)
    page.keyboard.press(SUBMIT)
    expect(page.locator("#save-state")).to_have_text("Choose a strength first: 1 to 7.")
    assert prompt_shown(page) == before


def test_guidelines_keys_and_differences_open_by_key(visit, campaign, ann):
    page = visit(ann, f"/compare/{campaign.pk}/")
    guidelines_read(page)
    page.keyboard.press("g")
    expect(page.locator("#guidelines")).to_be_visible()
    page.keyboard.press("g")
    expect(page.locator("#guidelines")).to_be_hidden()
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    differences = page.get_by_role("button", name="Differences")
    looks = "(button) => getComputedStyle(button, '::before').content"
    assert differences.evaluate(looks) == "none"
    page.keyboard.press("d")
    assert {"right", "sure"} & set(page.locator("#pair mark").all_inner_texts())
    expect(differences).to_have_attribute("aria-pressed", "true")
    assert "✓" in differences.evaluate(looks)
    page.keyboard.press("d")
    assert page.locator("#pair mark").count() == 0
    expect(differences).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("f")
    page.keyboard.press("Space")
    expect(page.locator("#flags-count")).to_have_text("(1)")


def test_a_phone_shows_one_side_at_a_time_and_nothing_runs_off_the_page(visit, campaign, ann):
    page = visit(ann, f"/compare/{campaign.pk}/", viewport=PHONE, has_touch=True, is_mobile=True)
    guidelines_read(page)
    expect(page.locator("#pane-left")).to_be_visible()
    expect(page.locator("#pane-right")).to_be_hidden()
    page.get_by_role("tab", name="B").tap()
    expect(page.locator("#pane-right")).to_be_visible()
    expect(page.locator("#pane-left")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.locator("#overall label").nth(5).tap()
    before = prompt_shown(page)
    page.locator("#submit").tap()
    expect(page.locator("#prompt")).not_to_have_text(before)
    wait_until_sent(page, 1)


def test_on_a_phone_a_long_name_keeps_its_place_beside_the_tools(visit, campaign, ann):
    page = visit(ann, f"/compare/{campaign.pk}/", viewport=PHONE, has_touch=True, is_mobile=True)
    guidelines_read(page)
    page.evaluate(
        """() => {
          document.querySelector(".compare-bar__what a").textContent = "Answers of the help desk, winter";
          document.getElementById("progress").textContent = "1,048 of 1,500 today";
          document.getElementById("ask").hidden = false;
          document.getElementById("parked-count").textContent = "(12)";
        }"""
    )
    name, tools = (
        page.locator(f".compare-bar__{part}").bounding_box() for part in ("what", "tools")
    )
    assert name["width"] >= 96
    assert name["x"] + name["width"] <= tools["x"]
    assert tools["x"] + tools["width"] <= 360


def test_right_to_left_text_runs_right_to_left(visit, campaign, ann):
    (prompt,) = prompts_ensure(
        line_id=LINE, prompts=[NewPrompt(messages=({"role": "user", "content": "מה השעה?"},))]
    )
    only = campaign_create(
        line_id=LINE, name="Hebrew", state="active", gold_share=0.0, repeat_share=0.0
    )
    texts = (
        NewCompletion("עכשיו חמש.", uuid.UUID(int=1)),
        NewCompletion("It is five.", uuid.UUID(int=2)),
    )
    pairs_create(campaign=only, purpose="training", pairs=[NewPair(prompt.pk, texts)])
    page = visit(ann, f"/compare/{only.pk}/")
    expect(page.locator("#item")).to_be_visible()
    directions = page.evaluate(
        """() => ["prompt", "left", "right"].map(
            (id) => [document.getElementById(id).textContent.trim(),
                     getComputedStyle(document.querySelector(`#${id} p`)).direction])"""
    )
    for text, direction in directions:
        assert direction == ("rtl" if re.search("[א-ת]", text) else "ltr")
