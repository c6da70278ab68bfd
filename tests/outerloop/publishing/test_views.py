"""The pages of pushes: who may, what a form refuses, what is followed."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from outerloop.publishing.models import Push
from outerloop.publishing.services import push_run
from outerloop.rounds.models import PolicyLine
from tests.support.hub_stand_in import TOKEN, Hub
from tests.support.people import person_create
from training.facade import ModelVersionRecord


@pytest.fixture
def lead(client: Client, line: PolicyLine) -> Client:
    client.force_login(person_create("pat", "lead", line=line.pk))
    return client


def order(client: Client, version: ModelVersionRecord, **fields: str) -> Any:
    asked = {"destination": "hub", "name": "team/policy", "private": "on", **fields}
    return client.post(reverse("publishing:new", args=[version.id]), asked)


def test_an_ordered_push_is_followed_to_its_address(
    the_hub: Hub, lead: Client, version: ModelVersionRecord, hints: list[str],
    django_capture_on_commit_callbacks: Any,
) -> None:  # fmt: skip
    with django_capture_on_commit_callbacks(execute=True):
        answer = order(lead, version)
    push = Push.objects.get()
    assert answer.url == reverse("publishing:push", args=[push.pk])
    assert hints == [str(push.pk)]
    page = lead.get(answer.url).content.decode()
    assert "waits for a worker" in page
    push_run(push_id=push.pk)
    page = lead.get(answer.url).content.decode()
    assert f'href="{the_hub.url}/team/policy"' in page
    assert the_hub.repositories["team/policy"].private
    page = lead.get(reverse("publishing:new", args=[version.id])).content.decode()
    assert f'href="{answer.url}"' in page
    assert TOKEN not in page


def test_a_wrong_name_is_said_beside_its_field(
    the_hub: Hub, lead: Client, version: ModelVersionRecord
) -> None:
    answer = order(lead, version, name="https://elsewhere.example.org/x")
    assert "Write the repository as owner/name" in answer.content.decode()
    assert not Push.objects.exists()


def test_without_a_token_the_page_says_what_the_operator_sets(
    lead: Client, version: ModelVersionRecord, settings: Any
) -> None:
    settings.OUTERLOOP_HUB_TOKEN = ""
    page = lead.get(reverse("publishing:new", args=[version.id])).content.decode()
    assert "an operator sets OUTERLOOP_HUB_TOKEN" in page
    assert "<form class" not in page
    order(lead, version)
    assert not Push.objects.exists()


def test_a_push_is_stopped_on_its_page(
    the_hub: Hub, lead: Client, version: ModelVersionRecord
) -> None:
    order(lead, version)
    push = Push.objects.get()
    lead.post(reverse("publishing:cancel", args=[push.pk]))
    push.refresh_from_db()
    assert push.state == "cancelled"


@pytest.mark.parametrize("role", ["annotator", "adjudicator"])
def test_people_who_label_push_nothing(
    the_hub: Hub, client: Client, line: PolicyLine, version: ModelVersionRecord, role: str
) -> None:
    client.force_login(person_create("pat", role, line=line.pk))
    assert order(client, version).status_code == 403
    assert not Push.objects.exists()


def test_a_lead_of_another_line_pushes_nothing(
    the_hub: Hub, client: Client, version: ModelVersionRecord
) -> None:
    from tests.outerloop.rounds.world import bare_line

    client.force_login(person_create("pat", "lead", line=bare_line().pk))
    assert order(client, version).status_code == 403
    assert not Push.objects.exists()
