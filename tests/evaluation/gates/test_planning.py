"""What the next decision of a line takes, on its page before a round."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotation import facade as annotation
from evaluation.contracts import CheckSettings, GatePolicySettings
from evaluation.gates.models import GateTest
from evaluation.gates.planning import decision_plan
from evaluation.policy import error_level
from evaluation.statistics.planning import fixed_sample_labels, labels_for_power
from tests.annotation.factories import a_campaign, an_annotator, label_next, some_pairs
from tests.evaluation.gates.world import LineWorld, a_test
from tests.evaluation.policy.evidence import LABELS
from tests.support.people import person_create
from web.access import LEAD

FIRST = error_level(0.0, 0, 0.05)


def test_a_fresh_line_plans_without_ties_and_with_the_annotators_that_are_asked(
    world: LineWorld,
) -> None:
    plan = decision_plan(world.line, world.settings)
    assert (plan.test_number, plan.people, plan.ties, plan.ties_known) == (1, 8, 0.0, False)
    assert plan.level == FIRST
    assert [row.effect for row in plan.rows] == [0.55, 0.60, 0.65]
    sixty = plan.rows[1]
    assert sixty.labels == labels_for_power(0.6, level=FIRST, people=8)
    assert sixty.limit == fixed_sample_labels(0.6, level=FIRST)
    assert sixty.days is None
    assert [row.within_budget for row in plan.rows] == [False, True, True]


def test_the_last_judged_round_says_how_many_ties_and_people_there_are(world: LineWorld) -> None:
    world.decide(labels=replace(LABELS, ties=100, annotators=20))
    plan = decision_plan(world.line, world.settings)
    assert (plan.ties, plan.ties_known, plan.people) == (0.25, True, 20)
    assert plan.rows[1].labels == labels_for_power(0.6, level=FIRST, ties=0.25, people=20)
    panel = replace(world.settings, hypothesis="panel")
    assert decision_plan(world.line, panel).rows[1].labels == labels_for_power(
        0.6, level=FIRST, ties=0.25
    )


def test_failed_tests_make_the_next_one_dearer(world: LineWorld) -> None:
    test = a_test(world.judged(), world.settings)
    test.labelled, test.e_value, test.discovered, test.cost = 200, 0.1, False, 0.9 * test.level
    GateTest.objects.bulk_create([test])
    plan = decision_plan(world.line, world.settings)
    assert plan.test_number == 2
    assert plan.level == pytest.approx(error_level(0.9 * FIRST, 0, 0.05))
    assert plan.evidence_needed == pytest.approx(1 / plan.level)


def test_days_follow_from_last_week_s_pace(
    world: LineWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = a_campaign(line_id=world.line)
    some_pairs(campaign, 2)
    annotator = an_annotator(campaign)
    label_next(annotator, campaign)
    now = timezone.now()
    assert annotation.labels_since(line_id=world.line, since=now - timedelta(days=1)) == 1
    assert annotation.labels_since(line_id=world.line, since=timezone.now()) == 0
    monkeypatch.setattr(annotation, "labels_since", lambda **_: 700)
    plan = decision_plan(world.line, world.settings)
    assert plan.labels_a_day == 100
    assert plan.rows[2].days == -(-plan.rows[2].labels // 100)


def test_the_page_of_the_gate_policy_shows_it(world: LineWorld, client: Client) -> None:
    client.force_login(person_create("lea", LEAD))
    page = client.get(reverse("gates:policy", args=[world.line])).content.decode()
    words = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())
    assert "What the next decision takes" in words
    labels = labels_for_power(0.65, level=FIRST, people=8)
    assert f"65% about {labels} " in words
    assert "Over the budget" in words
    assert "nobody labelled last week" in words
    assert "At least 8 annotators compare" in words
    assert "Whose preference is shown: that of people like those who compared" in words


def test_fewer_annotators_are_planned_for_where_the_policy_asks_fewer(world: LineWorld) -> None:
    few = GatePolicySettings(checks={"G1": CheckSettings(thresholds={"annotators": 3.0})})
    assert decision_plan(world.line, few).people == 3
