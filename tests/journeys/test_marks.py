"""Parts of answers marked with labels in a real browser: by mouse, by finger-sized buttons and by keyboard alone."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from annotation.campaigns.span_labels import COLOURS
from annotation.comparisons.models import Judgment, Slot
from tests.annotation.factories import a_campaign, some_rankings
from tests.journeys.comparing import help_desk, prompt_shown, wait_until_sent
from tests.journeys.test_accessibility import findings
from tests.support.browser import PHONE
from tests.support.people import person_create

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]
LINE = uuid.UUID(int=86)
SUBMIT = "Control+Enter"
LABELS = [
    {"name": "Wrong fact", "colour": "red", "help": "Something that is not so"},
    {"name": "Well put", "colour": "green"},
]
# An emoji of two UTF-16 units, a family joined by characters nobody sees, a zero-width space, markup and a link
# whose target has the words that follow it, code in a list, a table and a formula.
HARD = (
    "😀 I am GPT-4, and **two** plus\u200b `two` is [five](https://five.example/so) so there.\n\n"
    "## A list\n\n1. first\n   ```python\n   five = 2 + 2\n   ```\n2. second, $x^2$ so.\n\n"
    "| a | b |\n|---|---|\n| five | six |\n\nThe end 👩‍👩‍👧 of *it*."
)


@pytest.fixture
def ann():
    made = person_create("ann", "annotator", line=LINE)
    made.toured = True
    made.save()
    return made


def select(page: Page, box: str, text: str, nth: int = 0) -> None:
    """Select the text within one text node or across several, as a pointer would, and let the page see it."""
    page.evaluate(
        """([box, text, nth]) => {
            const nodes = [];
            const walker = document.createTreeWalker(document.querySelector(box), NodeFilter.SHOW_TEXT);
            while (walker.nextNode()) nodes.push(walker.currentNode);
            const all = nodes.map((node) => node.data).join("");
            let from = -1;
            for (let n = 0; n <= nth; n += 1) from = all.indexOf(text, from + 1);
            if (from < 0) throw new Error(`no ${text} in ${all}`);
            const point = (at, end) => {
                let sum = 0;
                for (const node of nodes) {
                    if (at < sum + node.data.length || (end && at === sum + node.data.length)) return [node, at - sum];
                    sum += node.data.length;
                }
                throw new Error("beyond the text");
            };
            const range = document.createRange();
            range.setStart(...point(from, false));
            range.setEnd(...point(from + text.length, true));
            document.getSelection().removeAllRanges();
            document.getSelection().addRange(range);
        }""",
        [box, text, nth],
    )


def marked(page: Page, box: str) -> list[str]:
    """What each mark of the answer covers on the page, which has a piece for every text node."""
    found = page.evaluate(
        """(box) => {
            const found = {};
            for (const piece of document.querySelectorAll(`${box} .marked`)) {
                for (const n of piece.dataset.marks.split(" ")) found[n] = (found[n] ?? "") + piece.textContent;
            }
            return Object.values(found);
        }""",
        box,
    )
    return list(found)


def stored() -> list[tuple[str, int, str]]:
    """Label, slot and text of each mark of the latest answer in force."""
    judgment = Judgment.objects.filter(active=True).latest("created_at")
    texts = dict(
        Slot.objects.filter(comparison=judgment.assignment.comparison).values_list(
            "position", "completion__text"
        )
    )
    return [
        (s["label"], s["slot"], texts[s["slot"]][s["start"] : s["end"]]) for s in judgment.spans
    ]


def quotes() -> list[str]:
    return sorted(quote for _, _, quote in stored())


def test_parts_are_marked_by_mouse_kept_over_a_reload_sent_undone_and_edited(visit, ann):
    campaign = help_desk(line_id=LINE, span_labels=LABELS)
    page = visit(ann, f"/compare/{campaign.pk}/")
    expect(page.locator("#item")).to_be_visible()
    word = "sure" if "sure" in page.locator("#left").inner_text() else "right"
    # a double click selects a word; the bar beside it has the labels
    page.locator("#left").get_by_text(word).dblclick(position=_at(page, word))
    bar = page.get_by_role("group", name="Mark the selected part as")
    expect(bar).to_be_visible()
    bar.get_by_role("button", name="Wrong fact").click()
    expect(bar).to_be_hidden()
    assert marked(page, "#left") == [word]
    expect(page.locator("#announce")).to_have_text(f"Marked: A, Wrong fact: “{word}”")
    expect(page.locator("#marks-count")).to_have_text("(1)")
    expect(page.locator("#save-state")).to_contain_text("draft saved")

    # a reload brings it back, rendered and as written
    page.reload()
    expect(page.locator("#left .marked")).to_have_text(word)
    page.keyboard.press("r")
    assert marked(page, "#left") == [word]
    page.keyboard.press("r")
    # the differences are another text: marks come back with the text
    page.keyboard.press("d")
    assert marked(page, "#left") == []
    page.keyboard.press("d")
    assert marked(page, "#left") == [word]

    before = prompt_shown(page)
    page.keyboard.press("2")
    page.keyboard.press(SUBMIT)
    expect(page.locator("#prompt")).not_to_have_text(before)
    assert marked(page, "#left") == []
    wait_until_sent(page, 1)
    order = Judgment.objects.get(active=True).assignment.shown_order
    assert stored() == [("wrong-fact", order[0], word)]

    # undo brings it back with the mark; a click on it takes it away
    page.keyboard.press("u")
    expect(page.locator("#prompt")).to_have_text(before)
    assert marked(page, "#left") == [word]
    page.locator("#left .marked").click()
    page.get_by_role("button", name="Remove “Wrong fact”").click()
    assert marked(page, "#left") == []
    select(page, "#right", "It is")
    bar.get_by_role("button", name="Well put").click()
    page.keyboard.press(SUBMIT)
    wait_until_sent(page, 1)
    assert stored() == [("well-put", order[1], "It is")]

    # one's own answers name it, and lead back to it
    page.goto("/answers/")
    expect(page.get_by_role("list", name="Marked parts")).to_contain_text("B, Well put: It is")
    page.get_by_role("link", name="Edit").click()
    expect(page.locator("#right .marked")).to_have_text("It is")
    select(page, "#left", word)
    bar.get_by_role("button", name="Wrong fact").click()
    page.keyboard.press(SUBMIT)
    expect(page.locator("#prompt")).not_to_have_text(before)
    page.wait_for_function("document.querySelector('#save-state').textContent === ''")
    for _ in range(100):
        if len(stored()) == 2:
            break
        page.wait_for_timeout(50)
    assert quotes() == sorted(["It is", word])


def _at(page: Page, word: str) -> Any:
    """The middle of the word within its element."""
    return page.evaluate(
        """(word) => {
            const walker = document.createTreeWalker(document.querySelector("#left"), NodeFilter.SHOW_TEXT);
            while (walker.nextNode()) {
                const at = walker.currentNode.data.indexOf(word);
                if (at < 0) continue;
                const range = document.createRange();
                range.setStart(walker.currentNode, at);
                range.setEnd(walker.currentNode, at + word.length);
                const box = range.getBoundingClientRect();
                const around = walker.currentNode.parentNode.getBoundingClientRect();
                return { x: box.left + box.width / 2 - around.left, y: box.top + box.height / 2 - around.top };
            }
            return null;
        }""",
        word,
    )


def test_parts_are_marked_and_unmarked_by_keyboard_alone(visit, ann):
    campaign = help_desk(
        line_id=LINE, span_labels=LABELS, texts=("One two three.", "Four five six.")
    )
    page = visit(ann, f"/compare/{campaign.pk}/")
    expect(page.locator("#item")).to_be_visible()
    page.keyboard.press("m")
    expect(page.get_by_role("dialog", name="Mark a part of an answer")).to_be_visible()
    expect(page.locator("#mark-text")).to_be_focused()
    page.keyboard.press("1")
    expect(page.locator("#mark-says")).to_have_text("Select a part of the text first.")
    page.keyboard.press("Control+ArrowRight")
    page.keyboard.press("Shift+End")
    page.keyboard.press("x")  # nothing is written in the field
    page.keyboard.press("1")
    letter = page.locator("#left").inner_text()
    assert page.locator("#mark-text").input_value() == letter
    expect(page.locator("#mark-says")).to_contain_text("Marked: A, Wrong fact:")
    # the other answer: its letter is a choice before the field
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.press("Home")
    for _ in range(4):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("2")
    expect(page.locator("#mark-list li")).to_have_count(2)
    page.keyboard.press("Escape")
    other = page.locator("#right").inner_text()
    assert marked(page, "#right") == [other[:4]]
    assert letter.endswith(marked(page, "#left")[0])

    # away with the first, by keyboard too
    page.keyboard.press("m")
    page.get_by_role("button", name="Remove the mark A, Wrong fact").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#mark-list li")).to_have_count(1)
    page.keyboard.press("Escape")
    page.keyboard.press("4")
    page.keyboard.press(SUBMIT)
    wait_until_sent(page, 1)
    assert [(label, quote) for label, _, quote in stored()] == [("well-put", other[:4])]


@pytest.mark.parametrize("raw", [False, True], ids=["rendered", "as written"])
def test_a_mark_holds_the_characters_of_the_stored_text(visit, ann, raw):
    campaign = help_desk(line_id=LINE, span_labels=LABELS, texts=(HARD, HARD + " Again."))
    page = visit(ann, f"/compare/{campaign.pk}/")
    expect(page.locator("#item")).to_be_visible()
    if raw:
        page.keyboard.press("r")
    bar = page.get_by_role("group", name="Mark the selected part as")
    parts = ["two", "so there.", "second", "five = 2 + 2", "six", "👩‍👩‍👧 of"]
    for part in parts:
        select(page, "#left", part)
        bar.get_by_role("button", name="Wrong fact").click()
    # a part of what stands for a name is the whole name
    select(page, "#left", "name hidden")
    bar.get_by_role("button", name="Well put").click()
    assert sorted(marked(page, "#left")) != []
    page.keyboard.press("4")
    page.keyboard.press(SUBMIT)
    wait_until_sent(page, 1)
    assert sorted(quotes()) == sorted([*parts, "GPT-4"])
    # and they stand where they were set when they come back, in both views
    page.keyboard.press("u")
    expect(page.locator("#left .marked").first).to_be_visible()
    for _ in range(2):
        found = marked(page, "#left")
        assert sorted(found) == sorted([*parts, "[name hidden]"]), found
        page.keyboard.press("r")


def test_axe_finds_nothing_in_marks_their_bar_and_their_dialog(visit, ann):
    names = ("Wrong fact", "Unclear", "Well put", "Off topic", "Harsh", "Other")
    labels = [{"name": name, "colour": colour} for name, colour in zip(names, COLOURS, strict=True)]
    text = "One two three four five six seven."
    campaign = help_desk(line_id=LINE, span_labels=labels, texts=(text, f"{text} Eight."))
    page = visit(ann, f"/compare/{campaign.pk}/")
    expect(page.locator("#item")).to_be_visible()
    bar = page.get_by_role("group", name="Mark the selected part as")
    for name, word in zip(names, text.split(), strict=False):
        select(page, "#left", word)
        bar.get_by_role("button", name=name).click()
    select(page, "#right", "One")
    expect(bar).to_be_visible()
    assert findings(page) == []
    page.keyboard.press("m")
    expect(page.locator("#mark-list li")).to_have_count(len(names))
    assert findings(page) == []


def test_on_a_phone_and_where_answers_are_ranked(visit, ann):
    campaign = a_campaign(line_id=LINE, name="Orders", answers=3, span_labels=LABELS)
    some_rankings(campaign, 2)
    page = visit(ann, f"/compare/{campaign.pk}/", viewport=PHONE, has_touch=True)
    expect(page.locator("#item")).to_be_visible()
    page.get_by_role("tab", name="B").tap()
    select(page, "#answer-1", "answer")
    page.get_by_role("group", name="Mark the selected part as").get_by_role(
        "button", name="Well put"
    ).tap()
    assert marked(page, "#answer-1") == ["answer"]
    page.keyboard.press(SUBMIT)
    page.keyboard.press(SUBMIT)
    wait_until_sent(page, 1)
    judgment = Judgment.objects.get()
    assert stored() == [("well-put", judgment.assignment.shown_order[1], "answer")]


def test_a_campaign_without_labels_offers_no_marks(visit, ann):
    campaign = help_desk(line_id=LINE)
    page = visit(ann, f"/compare/{campaign.pk}/")
    expect(page.locator("#item")).to_be_visible()
    page.keyboard.press("m")
    select(page, "#left", "It is")
    page.wait_for_timeout(300)
    assert page.locator("#mark-bar, #mark-dialog, #open-marks").count() == 0
