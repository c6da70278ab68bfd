"""What labelling takes, on its page and in the terminal."""

from __future__ import annotations

import html
import re
import uuid
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from evaluation.policy import error_level
from evaluation.statistics.design import LabellingQuestion, labelling_design
from tests.evaluation.gates.world import LineWorld
from tests.support.people import person_create
from tests.support.registry import named_lines
from web.access import LEAD

FIRST = error_level(0.0, 0, 0.05)
USUAL = LabellingQuestion(agreement=0.73, effect=0.6, level=FIRST, people=8, pairs=1000)


def words(answer) -> str:
    assert answer.status_code == 200
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


@pytest.fixture
def lead(client: Client) -> Client:
    client.force_login(person_create("lea", LEAD))
    return client


def test_the_page_begins_with_what_the_line_knows(world: LineWorld, lead: Client) -> None:
    said = words(lead.get(reverse("gates:label_design", args=[world.line])))
    found = labelling_design(USUAL)
    assert f"Labels in all about {found.labels:,} " in said
    assert f"Labels for the gate about {found.gate_labels:,}," in said
    assert "The gate’s test would be number 1 of this line" in said
    policy = lead.get(reverse("gates:policy", args=[world.line])).content.decode()
    assert reverse("gates:label_design", args=[world.line]) in policy


def test_the_page_answers_what_is_asked(world: LineWorld, lead: Client) -> None:
    asked: dict[str, Any] = {
        "agreement": 0.68, "effect": 0.65, "ties": 0.2, "people": 12, "pairs": 500, "overlap": 1,
        "sure": 0.8, "most": 5, "sample_share": 0.2, "sample_size": 4, "labels_a_day": 50,
        "cost_a_label": 0.25,
    }  # fmt: skip
    said = words(
        lead.get(reverse("gates:label_design", args=[world.line]), {**asked, "accuracy": 0.7})
    )
    found = labelling_design(LabellingQuestion(level=FIRST, **asked))
    assert f"Days about {found.days:,} " in said
    assert f"Cost about {found.cost:,.2f} " in said
    assert found.agreement_reach is not None
    assert f"± {100 * found.agreement_reach:.1f} percentage points, on 100 pairs" in said


def test_what_cannot_be_stands_at_its_field(world: LineWorld, lead: Client) -> None:
    address = reverse("gates:label_design", args=[world.line])
    for name, value in (("agreement", "0.2"), ("effect", "nan"), ("pairs", "-1"), ("people", "x")):
        answer = lead.get(address, {name: value})
        assert name in answer.context["form"].errors
        assert answer.context["page"].design is None


def test_what_no_number_of_labels_shows_is_said_at_its_field(
    world: LineWorld, lead: Client
) -> None:
    page = lead.get(reverse("gates:label_design", args=[world.line]))
    few = {**page.context["form"].data, "effect": "0.51", "people": "2", "ties": "0.9", "sure": ""}
    answer = lead.get(reverse("gates:label_design", args=[world.line]), few)
    assert answer.context["form"].errors.keys() == {"effect"}
    assert "takes more than 10,000,000 labels with 2 annotators" in words(answer)
    with pytest.raises(CommandError, match="takes more than 10,000,000 labels"):
        call_command("label_design", effect=0.51, people=2, ties=0.9)


def test_the_command_says_the_same(world: LineWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    named_lines(monkeypatch, helpful=world.line)
    for line in ({}, {"line": world.line}):
        out = StringIO()
        call_command("label_design", stdout=out, **line)
        found = labelling_design(USUAL)
        assert re.search(rf"Labels in all\s+about {found.labels:,}\n", out.getvalue())
        assert re.search(r"Agreement will be known\s+to within ± ", out.getvalue())


@pytest.mark.django_db
def test_the_command_names_what_cannot_be() -> None:
    with pytest.raises(CommandError, match=r"--agreement must be between 0.5 \(chance\) and 1"):
        call_command("label_design", agreement=0.3)
    with pytest.raises(CommandError, match="There is no line 00000000-0000-0000-0000-000000000007"):
        call_command("label_design", line=uuid.UUID(int=7))
    with pytest.raises(CommandError, match="--sample-share must be from 0 to 1"):
        call_command("label_design", sample_share=3.0)
