"""Who may see the pages of lines and rounds, and who may act there."""

from __future__ import annotations

import pytest
from django.urls import reverse

from outerloop.rounds.models import State
from tests.outerloop.rounds.pages import text, url
from web.models import AuditEvent

LINE_PAGES = ["line", "schedule", "dry_run", "plan"]
ROUND_PAGES = ["round"]


@pytest.mark.parametrize("name", [*LINE_PAGES, "promotions"])
def test_a_stranger_is_asked_to_sign_in(client, loop, name):
    response = client.get(url(name, loop))
    assert response.status_code == 302
    assert response["Location"].startswith("/accounts/login/?next=/lines/")


@pytest.mark.parametrize("who", ["stranger", "annotator", "other lead"])
@pytest.mark.parametrize("name", [*LINE_PAGES, "promotions"])
def test_pages_of_a_line_are_closed_to_others(as_, loop, who, name):
    assert as_(who).get(url(name, loop)).status_code == 403


@pytest.mark.parametrize("who", ["engineer", "lead", "lead of all"])
@pytest.mark.parametrize("name", LINE_PAGES)
def test_pages_of_a_line_are_open_to_its_engineers_and_leads(as_, loop, who, name):
    assert as_(who).get(url(name, loop)).status_code == 200


@pytest.mark.parametrize("who", ["stranger", "annotator", "other lead"])
@pytest.mark.parametrize("name", ROUND_PAGES)
def test_pages_of_a_round_are_closed_to_others(as_, loop, who, name):
    loop.round()
    assert as_(who).get(url(name, loop, 1)).status_code == 403


def test_leads_read_the_plan_and_engineers_change_it(as_, loop):
    page = text(as_("lead").get(url("plan", loop)))
    assert "evaluation_prompts" in page
    assert "Save the plan" not in page
    assert as_("lead").post(url("plan", loop), {"plan": "{}"}).status_code == 403
    assert "Save the plan" in text(as_("engineer").get(url("plan", loop)))


def test_who_approves_promotions_is_for_leads_to_say(as_, loop):
    rule = {"promotions": "deploy", "release_gate_labels": "enough"}
    assert as_("engineer").get(url("promotions", loop)).status_code == 403
    assert as_("engineer").post(url("promotions", loop), rule).status_code == 403
    assert url("promotions", loop) not in text(as_("engineer").get(url("line", loop)))
    assert "wait for a lead" in text(as_("lead").get(url("line", loop)))
    page = text(as_("lead").post(url("promotions", loop), rule, follow=True))
    assert "are deployed at once" in page
    assert url("promotions", loop) in page
    (event,) = AuditEvent.objects.filter(verb="changed who approves promotions")
    assert event.detail == {"deploys_by_itself": True}


def test_what_becomes_of_gate_labels_is_for_leads_to_say_too(as_, loop):
    shown = text(as_("lead").get(url("line", loop)))
    assert "train later rounds where enough fresh evaluation prompts are left" in shown
    rule = {"promotions": "wait", "release_gate_labels": "never"}
    page = text(as_("lead").post(url("promotions", loop), rule, follow=True))
    assert "never train" in page
    loop.line.refresh_from_db()
    assert loop.line.release_gate_labels == "never"
    (event,) = AuditEvent.objects.filter(verb="changed what becomes of gate labels")
    assert event.detail == {"release_gate_labels": "never"}
    assert not AuditEvent.objects.filter(verb="changed who approves promotions").exists()


def test_the_line_says_what_becomes_of_its_labels(as_, loop):
    page = text(as_("lead").get(url("line", loop)))
    assert "What becomes of the labels" in page
    assert "<dt>Train the reward model</dt><dd>3</dd>" in page


def test_the_schedule_of_an_engineer_leaves_promotions_alone(as_, loop):
    """The box once stood on the schedule's form: whoever saved that form decided it."""
    page = text(as_("engineer").get(url("schedule", loop)))
    assert "deploys_by_itself" not in page
    form = {
        "schedule_time": "01:45", "schedule_time_zone": "UTC", "schedule_days": "*",
        "minimum_fresh_labels": "5", "deploys_by_itself": "on",
    }  # fmt: skip
    as_("engineer").post(url("schedule", loop), form)
    loop.line.refresh_from_db()
    assert loop.line.minimum_fresh_labels == 5
    assert not loop.line.deploys_by_itself


ACTS = [
    ("start", None, {"engineer"}),
    ("cancel", 1, {"engineer", "lead"}),
    ("take_up", 1, {"engineer"}),
    ("approve", 1, {"lead"}),
    ("override_request", 1, {"lead"}),
]


@pytest.mark.parametrize(("name", "number", "may"), ACTS)
@pytest.mark.parametrize("who", ["stranger", "annotator", "engineer", "lead", "other lead"])
def test_acts_need_their_role(as_, loop, who, name, number, may):
    loop.round(State.CLOSED)
    assert as_(who).post(url(name, loop, number)).status_code == (302 if who in may else 403)


@pytest.mark.parametrize(("name", "number", "may"), ACTS)
def test_acts_are_never_done_by_a_link(as_, loop, name, number, may):
    loop.round(State.CLOSED)
    assert as_(sorted(may)[0]).get(url(name, loop, number)).status_code == 405


@pytest.mark.parametrize(("who", "lines"), [("lead of all", 2), ("lead", 1), ("annotator", 0)])
def test_the_list_shows_the_lines_of_the_person(as_, loop, who, lines):
    page = text(as_(who).get(reverse("rounds:lines")))
    assert page.count('<th scope="row"><a href="/lines/') == lines


def test_a_line_or_round_that_is_not_there_is_not_found(as_, loop):
    client = as_("lead of all")
    assert client.get(reverse("rounds:line", args=["nowhere"])).status_code == 404
    assert client.get(url("round", loop, 7)).status_code == 404
