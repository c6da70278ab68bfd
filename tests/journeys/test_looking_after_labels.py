"""A lead and an adjudicator look after the labels, in a real browser, checked against the database."""

from __future__ import annotations

import uuid

import pytest
from playwright.sync_api import expect

from annotation import facade
from annotation.accounts.services import rater_for
from annotation.comparisons.gold import gold_items
from annotation.comparisons.models import Adjudication, Assignment
from annotation.comparisons.services import queue_lease_next
from annotation.contracts import SnapshotRecipe
from tests.annotation.factories import submit
from tests.journeys.comparing import help_desk
from tests.support.people import person_create

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]
LINE = uuid.UUID(int=82)


def label_all(user, campaign, value_of, limit):
    """`limit` answers of a person; `value_of` is asked by the order in which the slots are shown."""
    rater = rater_for(user=user)
    for _ in range(limit):
        held = queue_lease_next(rater=rater, campaign=campaign)
        if held is None:
            break
        order = Assignment.objects.get(pk=held.assignment_id).shown_order
        submit(rater, held.assignment_id, value_of(order))


def careful(order):
    """The right answer stands in slot 1 of every pair of the help desk."""
    return 1 if order == [1, 2] else 7


def trained(campaign):
    rows = facade.preferences_stream(line_id=campaign.line, recipe=SnapshotRecipe())
    return [row.rater for row in rows]


def test_a_lead_makes_gold_finds_who_always_presses_one_and_leaves_them_out_and_in(visit):
    campaign = help_desk(line_id=LINE, gold_share=0.5)
    lead = person_create("lea", "lead", line=LINE)
    page = visit(lead, f"/campaigns/{campaign.pk}/")
    page.get_by_role("link", name="Gold items").click()
    for n in range(8):
        page.get_by_role("link", name="Write a gold item").first.click()
        page.get_by_label("Prompt").fill(f"What is {n} times two?")
        page.get_by_label("Answer A").fill(f"{2 * n}")
        page.get_by_label("Answer B").fill(f"{2 * n + 1}, surely")
        page.get_by_label("Right answer").select_option(label="A is better")
        page.get_by_label("Explanation").fill("Twice a number is even.")
        page.get_by_role("button", name="Save the gold item").click()
        expect(page.get_by_role("heading", name="Help desk: gold items")).to_be_visible()
    assert gold_items(campaign=campaign).count() == 8

    carl, olga = (person_create(name, "annotator", line=LINE) for name in ("carl", "olga"))
    label_all(carl, campaign, careful, 24)
    label_all(olga, campaign, lambda order: 1, 24)
    page.reload()
    worst = page.get_by_role("region", name="How people answer them").locator("tbody tr").first
    expect(worst).to_contain_text("olga")
    all_labels = trained(campaign)
    assert rater_for(user=olga).pseudonym in all_labels

    worst.get_by_role("link", name="Leave out").click()
    page.get_by_label("Reason").fill("Always presses 1.")
    page.get_by_role("button", name="See what it changes").click()
    before = page.get_by_role("row", name="Labels for the next snapshot")
    expect(before).to_contain_text(str(len(all_labels)))
    page.get_by_role("button", name="Leave them out").click()
    page.get_by_role("dialog").get_by_role("button", name="Leave them out").click()
    expect(page.get_by_role("heading", name="Help desk: left out")).to_be_visible()
    assert set(trained(campaign)) == {rater_for(user=carl).pseudonym}
    away = visit(olga, f"/compare/{campaign.pk}/")
    expect(away.locator("#empty-says")).to_contain_text("Your lead has paused your work here")

    page.get_by_role("link", name="Take in again").click()
    page.get_by_role("button", name="Take them in again").click()
    page.get_by_role("dialog").get_by_role("button", name="Take them in again").click()
    expect(page.get_by_text("counts again")).to_be_visible()
    assert trained(campaign) == all_labels


def test_an_adjudicator_settles_five(visit):
    campaign = help_desk(line_id=LINE, overlap=2)
    for name, sign in (("carl", careful), ("olga", lambda order: 8 - careful(order))):
        label_all(person_create(name, "annotator", line=LINE), campaign, sign, 40)
    pairs = campaign.comparisons.exclude(prompt__split="evaluation").count()
    assert len(trained(campaign)) == 2 * pairs
    page = visit(person_create("ada", "adjudicator", line=LINE), "/")
    expect(page.get_by_text(f"People disagree on {pairs} pairs.")).to_be_visible()
    page.get_by_role("link", name="Settle them").click()
    page.get_by_role("link", name="Settle").first.click()
    for left in range(pairs, pairs - 5, -1):
        expect(page.get_by_text(f"{left} pairs wait.")).to_be_visible()
        page.get_by_label("A is much better").check()
        page.get_by_label("Why").fill("It is the right number.")
        page.get_by_role("button", name="Settle the pair").click()
    expect(page.get_by_text(f"{pairs - 5} pairs wait.")).to_be_visible()
    assert Adjudication.objects.count() == 5
    assert len(trained(campaign)) == 2 * pairs - 5
