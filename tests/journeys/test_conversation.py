"""A live conversation in a real browser: a scripted policy answers in streams, fails, and nothing typed is lost."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from annotation.campaigns.models import Campaign
from annotation.comparisons.models import Completion, Conversation, Judgment, Prompt
from tests.annotation.factories import a_campaign
from tests.evaluation.gates.world import LineWorld
from tests.journeys.comparing import wait_until_sent
from tests.support.people import person_create
from tests.support.scripted_policy import ScriptedPolicy, scripted_policy

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]
SEND = "Control+Enter"
FILLER = " ".join(f"And there is a reason number {n} for that." for n in range(12))


def script(messages: list[dict[str, str]], seed: int) -> list[str]:
    """Two answers that differ, the longer the later, of which each names its turn."""
    turn = sum(message["role"] == "user" for message in messages)
    text = f"Turn {turn}, thought {seed % 1000}. {FILLER}"
    return [f"{word} " for word in text.split()]


@pytest.fixture
def world(settings: Any, tmp_path: Path) -> LineWorld:
    settings.ARTIFACT_ROOT, settings.VAR_DIR = tmp_path / "artifacts", tmp_path / "var"
    made = LineWorld(tmp_path)
    made.deploy_first()
    return made


@pytest.fixture
def policy(world: LineWorld, settings: Any) -> Iterator[ScriptedPolicy]:
    with scripted_policy(settings, world.incumbent.id, script) as made:
        yield made


@pytest.fixture
def campaign(world: LineWorld) -> Campaign:
    return a_campaign(
        line_id=world.line,
        name="Talks",
        turns=3,
        opening="Ask about **something that you know**, and look closely.",
    )


@pytest.fixture
def ann(world: LineWorld) -> Any:
    person = person_create("ann", "annotator", line=world.line)
    person.toured = True
    person.save()
    return person


def typed(page: Page) -> str:
    return page.locator("#talk-text").input_value()


def answered(page: Page, key: str) -> str:
    """The pair is judged by `key`; the text of the answer on the side that it is for."""
    expect(page.locator("#item")).to_be_visible()
    text = page.locator("#left" if key == "1" else "#right").inner_text()
    page.keyboard.press(key)
    page.keyboard.press(SEND)
    return text


def test_a_conversation_from_its_first_word_to_its_last(visit, ann, campaign, policy):
    page = visit(ann, f"/compare/{campaign.pk}/")
    expect(page.locator("#talk")).to_be_visible()
    expect(page.locator("#talk-opening")).to_contain_text("something that you know")
    expect(page.locator("#talk-place")).to_have_text("turn 1 of 3 at most")

    # the policy is down: a sentence, and what was typed stays, over a reload as well
    policy.down()
    page.locator("#talk-text").fill("How do bees find home?")
    page.keyboard.press(SEND)
    expect(page.locator("#talk-note")).to_contain_text("does not answer now")
    assert typed(page) == "How do bees find home?"
    page.reload()
    expect(page.locator("#talk")).to_be_visible()
    assert typed(page) == "How do bees find home?"
    assert not Prompt.objects.exists()

    # it is back: both answers are read while they are written, and then compared by keys
    policy.up()
    policy.engine.pause = 0.05
    page.locator("#talk-text").focus()
    page.keyboard.press(SEND)
    expect(page.locator("#talk-left")).to_contain_text("Turn 1, thought")
    expect(page.locator("#talk-right")).to_contain_text("Turn 1, thought")
    expect(page.locator("#talk-state")).to_have_text("the policy is writing two answers…")
    policy.engine.pause = 0.0
    expect(page.locator("#item")).to_be_visible()
    expect(page.locator("#prompt")).to_have_text("How do bees find home?")
    better = answered(page, "1")
    wait_until_sent(page, 1)

    # the better answer goes on, and an undo changes which one it is
    expect(page.locator("#talk-place")).to_have_text("turn 2 of 3 at most")
    expect(page.locator("#talk-thread li")).to_have_count(2)
    expect(page.locator("#talk-thread")).to_contain_text(better[:30])
    assert typed(page) == ""
    page.locator("#talk-undo").click()
    other = answered(page, "7")
    assert other != better
    wait_until_sent(page, 1)
    expect(page.locator("#talk-thread")).to_contain_text(other[:30])

    # in the middle of an answer the connection breaks off: nothing of the turn is kept but what was typed
    policy.engine.breaks_after = 40
    page.locator("#talk-text").fill("And in the rain?")
    page.locator("#talk-send").click()
    expect(page.locator("#talk-note")).to_contain_text("does not answer now")
    assert typed(page) == "And in the rain?"
    expect(page.locator("#talk-thread li")).to_have_count(2)
    assert Prompt.objects.count() == 1

    # another tab has the same conversation and the same draft, and goes on with it
    tab = page.context.new_page()
    tab.goto(f"/compare/{campaign.pk}/")
    expect(tab.locator("#talk-thread li")).to_have_count(2)
    assert typed(tab) == "And in the rain?"
    policy.engine.breaks_after = None
    page.locator("#talk-text").fill("And at night?")
    tab.locator("#talk-send").click()
    expect(tab.locator("#item")).to_be_visible()
    expect(tab.locator("#thread li")).to_have_count(2)

    # the first tab is told, keeps what was typed in it, and goes on when the other one is through
    page.evaluate("dispatchEvent(new Event('focus'))")
    expect(page.locator("#empty-says")).to_contain_text("open in another tab of yours")
    answered(tab, "1")
    wait_until_sent(tab, 2)
    expect(page.locator("#talk-place")).to_have_text("turn 3 of 3 at most")
    assert typed(page) == "And at night?"

    # the last turn ends the conversation; the next message begins another
    page.locator("#talk-send").click()
    answered(page, "7")
    wait_until_sent(page, 3)
    expect(page.locator("#talk-note")).to_contain_text("That conversation is over")
    expect(page.locator("#talk-place")).to_have_text("turn 1 of 3 at most")
    page.locator("#talk-text").fill("Why is the sky blue?")
    page.keyboard.press(SEND)
    answered(page, "1")
    wait_until_sent(page, 4)
    page.locator("#talk-end").click()
    expect(page.locator("#talk-note")).to_contain_text("The conversation has ended")

    chain = Prompt.objects.filter(root_hash=Prompt.objects.earliest("created_at").root_hash)
    assert [len(prompt.messages) for prompt in chain.order_by("created_at")] == [1, 3, 5]
    assert {prompt.split for prompt in chain} == {chain[0].split}
    assert Conversation.objects.filter(ended_at=None).count() == 0
    assert Judgment.objects.filter(active=True, surplus=False).count() == 4
    assert set(Completion.objects.values_list("model_version", flat=True)) == {policy.version}
    assert Completion.objects.count() == 8


def test_no_tab_takes_the_pair_that_another_one_is_waiting_for(visit, ann, campaign, policy):
    page = visit(ann, f"/compare/{campaign.pk}/")
    expect(page.locator("#talk")).to_be_visible()
    tab = page.context.new_page()
    tab.goto(f"/compare/{campaign.pk}/")
    expect(tab.locator("#talk")).to_be_visible()

    def looked_in_meanwhile(route: Route) -> None:
        answer = route.fetch()  # the server has made the pair, and the tab has not heard of it yet
        page.evaluate("dispatchEvent(new Event('focus'))")
        page.wait_for_timeout(1000)
        route.fulfill(response=answer)

    tab.route("**/say/", looked_in_meanwhile)
    tab.locator("#talk-text").fill("How do bees find home?")
    tab.locator("#talk-send").click()
    expect(tab.locator("#item")).to_be_visible()
    expect(page.locator("#item")).to_be_hidden()
    page.evaluate("dispatchEvent(new Event('focus'))")
    expect(page.locator("#empty-says")).to_contain_text("open in another tab of yours")


def test_what_the_device_keeps_is_sent_before_the_conversation_goes_on(
    visit, ann, campaign, policy
):
    page = visit(ann, f"/compare/{campaign.pk}/")
    page.locator("#talk-text").fill("How do bees find home?")
    page.keyboard.press(SEND)
    expect(page.locator("#item")).to_be_visible()
    page.context.set_offline(True)
    answered(page, "2")
    expect(page.locator("#empty-says")).to_be_visible()
    page.context.set_offline(False)
    page.evaluate("dispatchEvent(new Event('online'))")
    wait_until_sent(page, 1)
    expect(page.locator("#talk-place")).to_have_text("turn 2 of 3 at most")

    # without a connection a message stays where it was typed
    page.context.set_offline(True)
    page.locator("#talk-text").fill("And in the rain?")
    page.keyboard.press(SEND)
    expect(page.locator("#talk-note")).to_contain_text("What you wrote is kept here")
    assert typed(page) == "And in the rain?"
    page.context.set_offline(False)
    page.keyboard.press(SEND)
    expect(page.locator("#item")).to_be_visible()
    assert uuid.UUID(str(Judgment.objects.get().pk))
