"""Keys on other keyboards: by their place where the letter is another, changed by each person, shown as they are."""

from __future__ import annotations

import uuid
from typing import Any

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
LINE = uuid.UUID(int=87)
AZERTY = {
    **{f"Digit{n}": key for n, key in enumerate("&é\"'(-è", 1)},
    **{f"Key{c}": c.lower() for c in "BCDEFGHIJKLNOPRSTUVXY"},
    **{"KeyQ": "a", "KeyA": "q", "KeyW": "z", "KeyZ": "w", "Semicolon": "m", "KeyM": ","},
}
RUSSIAN = dict(
    zip(
        (f"Key{c}" for c in "QWERTYUIOPASDFGHJKLZXCVBNM"), "йцукенгшщзфывапролдячсмить", strict=True
    )
)
LAYOUT = "navigator.keyboard.getLayoutMap = async () => new Map({});"


@pytest.fixture
def campaign():
    return help_desk(line_id=LINE, criteria=[("honest", "Honest")])


@pytest.fixture
def ann():
    return person_create("ann", "annotator", line=LINE)


class Keyboard:
    """Presses the key at a place, as a keyboard of this layout sends it."""

    def __init__(self, page: Page, layout: dict[str, str]) -> None:
        self.page, self.layout = page, layout
        self.devtools = page.context.new_cdp_session(page)

    def press(self, code: str, **extra: Any) -> None:
        key = self.layout.get(code, code)
        for kind in ("rawKeyDown", "keyUp"):
            self.devtools.send(
                "Input.dispatchKeyEvent", {"type": kind, "key": key, "code": code, **extra}
            )

    def submit(self) -> None:
        self.press("Enter", modifiers=2)


def opened(visit: Any, ann: Any, campaign: Any, layout: dict[str, str]) -> tuple[Page, Keyboard]:
    page = visit(ann, "/accounts/inactive/")
    page.add_init_script(
        "Object.defineProperty(Navigator.prototype, 'keyboard', { get: () => ({"
        f" getLayoutMap: async () => new Map(Object.entries({layout!r})) }}) }});"
    )
    page.goto(f"/compare/{campaign.pk}/")
    expect(page.locator("#item")).to_have_attribute("data-ahead", "3")
    return page, Keyboard(page, layout)


def shown_values() -> list[int]:
    rows = Assignment.objects.filter(state="submitted").order_by("submitted_at")
    values = [
        (row, row.judgments.get(active=True).values.get(criterion__key="overall").value)
        for row in rows
    ]
    return [value if row.shown_order[0] == 1 else 8 - value for row, value in values]


def test_twenty_labels_on_a_french_keyboard(visit, campaign, ann):
    page, keyboard = opened(visit, ann, campaign, AZERTY)
    given = [1 + n % 7 for n in range(20)]
    for value in given:
        before = prompt_shown(page)
        keyboard.press(f"Digit{value}")
        expect(page.locator(f"#overall input[value='{value}']")).to_be_checked()
        keyboard.submit()
        expect(page.locator("#prompt")).not_to_have_text(before)
    wait_until_sent(page, 20)
    assert shown_values() == given
    # the skip dialog takes its reasons by place as well
    keyboard.press("KeyS")
    keyboard.press("Digit3")
    expect(page.locator("#skip-dialog input[value='uncomfortable']")).to_be_checked()
    page.locator("#skip-cancel").click()
    # letters go by what is printed on them: W is where Z is elsewhere, and A where Q is
    keyboard.press("KeyZ")
    expect(page.locator("#rationale")).to_be_focused()
    page.keyboard.press("Escape")
    keyboard.press("KeyA")  # a Q: no act
    expect(page.locator("#pair")).to_have_attribute("data-side", "left")
    keyboard.press("KeyQ")
    expect(page.locator("#pair")).to_have_attribute("data-side", "right")
    # and the page shows both marks of a digit's key
    assert page.locator("#overall kbd").all_inner_texts()[:2] == ["1 &", "2 É"]


def test_a_russian_keyboard_reaches_every_letter_by_its_place(visit, campaign, ann):
    page, keyboard = opened(visit, ann, campaign, RUSSIAN)
    expect(page.locator("#skip kbd")).to_have_text("S Ы")
    keyboard.press("KeyS")
    expect(page.locator("#skip-dialog")).to_be_visible()
    page.locator("#skip-cancel").click()
    keyboard.press("KeyB")
    expect(page.locator("#both-bad")).to_be_checked()


def test_a_person_changes_a_key_a_conflict_is_refused_and_all_can_be_reset(visit, campaign, ann):
    page = visit(ann, f"/compare/{campaign.pk}/")
    expect(page.locator("#item")).to_be_visible()
    page.keyboard.press("?")
    change = page.get_by_role("button", name="Change the key for: skip, with a reason")
    says = page.locator("#keys-says")
    change.click()
    expect(says).to_have_text(
        "Press the new key for “skip, with a reason”. Esc leaves it as it is."
    )
    page.keyboard.press("u")
    expect(says).to_contain_text("U would be the key for “undo")
    change.click()
    page.keyboard.press("Escape")
    expect(says).to_have_text("Nothing was changed.")
    expect(page.locator("#help")).to_be_visible()
    change.click()
    page.keyboard.press("k")
    expect(says).to_contain_text("Your keys are kept")
    expect(page.locator("#skip kbd")).to_have_text("K")
    page.reload()
    expect(page.locator("#skip kbd")).to_have_text("K")
    expect(page.locator("#item")).to_be_visible()
    page.keyboard.press("s")
    expect(page.locator("#skip-dialog")).to_be_hidden()
    page.keyboard.press("k")
    expect(page.locator("#skip-dialog")).to_be_visible()
    page.locator("#skip-cancel").click()
    page.keyboard.press("?")
    page.locator("#keys-reset").click()
    expect(says).to_have_text("These are the keys as they were given.")
    page.get_by_role("button", name="Close Esc").click()
    page.keyboard.press("s")
    expect(page.locator("#skip-dialog")).to_be_visible()
    assert not Judgment.objects.exists()
