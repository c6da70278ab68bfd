"""What is known of a line's reward models, and a plan of labelling beside what came of it."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, transaction
from django.test import Client
from django.urls import reverse

from annotation import facade as annotation
from annotation.campaigns.models import Campaign
from evaluation.contracts import Interval, RewardModelMeasurements, RoundLabels, RoundRecord
from evaluation.gates import learning
from evaluation.gates.models import LabelPlan
from evaluation.reports.services import report_store
from tests.annotation.factories import a_campaign, an_annotator, label_next, some_pairs
from tests.evaluation.gates.test_design import words
from tests.evaluation.gates.world import LineWorld
from tests.evaluation.policy.evidence import SPLIT
from tests.support.people import person_create
from tests.support.registry import named_lines
from web.access import ENGINEER, LEAD

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "results" / "label_efficiency.json"


def reported(
    world: LineWorld, number: int, labels: int, accuracy: float, room: float = 0.03
) -> None:
    """A round's report: its reward model's accuracy on held-out pairs, beside a validation split that is not read."""
    interval = Interval(accuracy, accuracy - room, accuracy + room, 0.95, 300)
    seen = replace(SPLIT, accuracy=interval)
    report_store(
        record=RoundRecord(
            line="help-desk", number=number, state="CLOSED", created_at="2026-11-21T00:00:00+00:00",
            labels=RoundLabels(training=labels, fresh=labels),
            reward_model=RewardModelMeasurements({"validation": SPLIT, "test": seen}),
            round_id=str(uuid.uuid4()), line_id=str(world.line), line_name="Help desk",
        )
    )  # fmt: skip


@pytest.fixture
def lead(client: Client) -> Client:
    client.force_login(person_create("lea", LEAD))
    return client


def test_the_figures_of_the_benchmark_are_those_of_its_file() -> None:
    found = json.loads(BENCHMARK.read_text())
    assert tuple(found["budgets"]) == learning.BENCHMARK_LABELS
    seeds = tuple(tuple(seed["random"]["accuracies"]) for seed in found["seeds"].values())
    assert seeds == learning.BENCHMARK_ACCURACIES


def test_before_there_are_rounds_the_benchmark_is_named(world: LineWorld, lead: Client) -> None:
    said = words(lead.get(reverse("gates:label_design", args=[world.line])))
    assert "Not by this line" in said
    assert "made-up world" in said
    assert "Labels until 70% accurate about 599 (431 to 937)" in said


def test_a_lines_own_rounds_say_it_once_they_can(
    world: LineWorld, lead: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    named_lines(monkeypatch, helpful=world.line)
    for number, (labels, accuracy) in enumerate(((200, 0.6), (400, 0.65), (800, 0.7)), 1):
        reported(world, number, labels, accuracy)
    reported(LineWorld(world.folder), 4, 9000, 0.9)  # another line's
    address = reverse("gates:label_design", args=[world.line])
    page = lead.get(address)
    said = words(page)
    assert "By 3 rounds of this line, 200 to 800 labels" in said
    assert "Labels until 70% accurate about 800 (" in said
    asked = {
        **page.context["form"].data,
        "accuracy": 0.75,
        "sure": "",
        "labels_a_day": 100,
        "cost_a_label": 0.5,
    }
    said = words(lead.get(address, asked))
    assert "Labels until 75% accurate about 1,600 (" in said
    assert "beyond what was measured" in said
    assert "Days until 75% accurate about 8, cost about 400.00, 800 of them are there" in said
    out = StringIO()
    call_command("label_design", line=world.line, accuracy=0.75, stdout=out)
    assert "about 1,600 (" in out.getvalue()
    assert "By 3 rounds of this line" in out.getvalue()


def test_what_votes_allow_is_said(world: LineWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    named_lines(monkeypatch, helpful=world.line)
    out = StringIO()
    call_command("label_design", line=world.line, accuracy=0.9, agreement=0.73, stdout=out)
    assert "84% of single votes at this agreement: 90% of them no model reaches" in out.getvalue()
    assert "more than 6,000, too far from what was measured to say" in out.getvalue()


def actual(client: Client, line: Any) -> dict[str, tuple[str, str]]:
    page = client.get(reverse("gates:label_design", args=[line]))
    return {what: (planned, now) for what, planned, now in page.context["kept"].rows}


def test_a_kept_plan_stands_beside_what_happens(world: LineWorld, lead: Client) -> None:
    address = reverse("gates:label_design", args=[world.line])
    asked = {**lead.get(address).context["form"].data, "sure": "", "cost_a_label": 0.5}
    design = lead.get(address, asked).context["page"].design
    assert lead.get(address).context["kept"] is None
    assert lead.post(address, asked).status_code == 302
    found = actual(lead, world.line)
    assert found["Labels for training"] == (f"{design.training_labels:,}", "0")
    assert found["Labels for the gate"] == (f"{design.gate_labels:,}", "not decided yet")
    assert found["Cost"] == (f"{design.cost:,.2f}", "no prices in the campaigns' settings")
    assert found["Accuracy of the reward model"][1] == "no round reported since"

    campaign = a_campaign(line_id=world.line)
    Campaign.objects.filter(pk=campaign.pk).update(answer_price=0.75)
    campaign.refresh_from_db()
    rater = an_annotator(campaign)
    some_pairs(campaign, 2)
    for _ in range(2):
        label_next(rater, campaign)
    reported(world, 1, 240, 0.66)
    decided = world.decide()
    found = actual(lead, world.line)
    assert found["Labels in all"][1] == "2" == found["Labels for training"][1]
    assert found["Cost"][1] == "1.50"
    assert found["Accuracy of the reward model"][1] == "66% (63% to 69%), 240 labels in round 1"
    assert decided.evidence.labels is not None
    assert (
        found["Labels for the gate"][1] == f"{decided.evidence.labels.labels:,}, PROMOTE in round 1"
    )
    assert found["Days until it decides"][1] == "0.0"
    assert annotation.labelling_cost(line_id=uuid.uuid4(), since=decided.decided_at.date()) is None


def test_a_plan_is_kept_whole_or_not_at_all(world: LineWorld, client: Client) -> None:
    client.force_login(person_create("eve", ENGINEER))
    address = reverse("gates:label_design", args=[world.line])
    answer = client.post(address, {"agreement": "0.7"})
    assert answer.status_code == 200
    assert "pairs" in answer.context["form"].errors
    assert client.post(address, {}).status_code == 200
    assert not LabelPlan.objects.exists()
    client.post(address, {**client.get(address).context["form"].data, "sure": ""})
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        LabelPlan.objects.update(days=1)
