"""How many labels a round may ask for, of how many people."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotation.comparisons.services import prompts_ensure
from annotation.contracts import NewPrompt
from evaluation import facade
from evaluation.contracts import CheckSettings, GatePolicySettings
from evaluation.facade import LabelBudget
from tests.evaluation.gates.world import LineWorld
from tests.support.people import person_create


def save(world: LineWorld, labels: int, annotators: float) -> None:
    checks = {"G1": CheckSettings(thresholds={"annotators": annotators})}
    settings = GatePolicySettings(max_labels=labels, checks=checks)
    world.policy_weaken(settings)


@pytest.mark.parametrize(
    ("pairs", "annotators", "share"),
    [(600, 8, 75), (601, 8, 76), (5, 8, 1), (8, 8, 1), (9, 8, 2), (0, 8, 0), (7, 1, 7)],
)
def test_a_share_is_so_large_that_the_people_asked_for_fill_the_gate(
    pairs: int, annotators: int, share: int
) -> None:
    assert LabelBudget(1000, annotators).most_per_rater(pairs) == share


def test_the_budget_is_that_of_the_policy_in_force(world: LineWorld) -> None:
    assert facade.label_budget(world.line) == LabelBudget(1000, 8)
    began = timezone.now()
    save(world, 300, 4.0)
    assert facade.label_budget(world.line) == LabelBudget(300, 4)
    assert facade.label_budget(world.line, as_of=began) == LabelBudget(1000, 8)


def evaluation_prompts(world: LineWorld, count: int) -> None:
    asked: list[Any] = [({"role": "user", "content": f"Question {n}?"},) for n in range(count)]
    new = [NewPrompt(messages=m, split="evaluation") for m in asked]
    prompts_ensure(line_id=world.line, prompts=new)


def test_fewer_prompts_than_labels_are_said_where_the_gate_policy_is_read(
    world: LineWorld, client: Client
) -> None:
    save(world, 20, 8.0)
    evaluation_prompts(world, 19)
    short = facade.prompts_short(world.line)
    assert short == (
        "The gate policy lets a round ask for 20 labels, one a prompt, but this line has 19 evaluation"
        " prompts: 19 labels are the most that a round can get. Import more prompts, or lower the number."
    )
    client.force_login(person_create("lea", "lead", line=world.line))
    url = reverse("gates:policy", args=[world.line])
    assert short in client.get(url).content.decode()
    evaluation_prompts(world, 20)
    assert facade.prompts_short(world.line) == ""
    assert "evaluation prompts" not in client.get(url).content.decode()
