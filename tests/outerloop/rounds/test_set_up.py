"""Making a line on a page, and the steps that follow: each is a page of its own, and can be taken up again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from annotation.accounts.models import User
from annotation.campaigns.models import Campaign
from annotation.exchange import services as exchange
from annotation.exchange import tasks as exchange_tasks
from annotation.exchange.models import ImportJob
from outerloop.rounds.models import BaseOrder, BaseState, PolicyLine, State
from outerloop.rounds.services import line_base_set
from tests.outerloop.rounds.pages import text
from tests.outerloop.rounds.world import bare_line, model_folder, policy_import
from tests.support.people import person_create
from training import facade as training

pytestmark = pytest.mark.django_db
CAMPAIGN = {"name": "Help desk", "guidelines": "Be right.", "daily_goal": 40, "overlap": 1}


@pytest.fixture(autouse=True)
def quiet(settings, tmp_path, monkeypatch):
    settings.VAR_DIR = tmp_path
    monkeypatch.setattr(exchange_tasks.import_run, "delay", lambda job: None)


@pytest.fixture
def folder(settings, tmp_path) -> Path:
    settings.OUTERLOOP_MODEL_FOLDERS = [str(tmp_path / "models")]
    return model_folder(tmp_path / "models" / "llama" / "base")


@pytest.fixture
def lea() -> Client:
    return _client(person_create("lea", "lead"))


def _client(user) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def page(client: Client, name: str, *place) -> str:
    return text(client.get(reverse(name, args=place)))


def made(client: Client, **changes) -> PolicyLine:
    client.post("/lines/new/", {"name": "Help desk", "base": "", "folder": "", **changes})
    return PolicyLine.objects.get()


def test_home_and_the_lines_say_where_to_begin_to_who_may(lea, folder):
    assert "Begin here" in page(lea, "web:home")
    assert "/lines/new/" in page(lea, "rounds:lines")
    line = made(lea, folder=str(folder))
    home = page(lea, "web:home")
    assert "Begin here" not in home
    assert "Help desk is not set up yet" in home
    other = _client(person_create("eve", "engineer", line=line.id))
    assert "/lines/new/" not in page(other, "rounds:lines")
    PolicyLine.objects.update(archived_at="2026-01-01T00:00Z")
    assert "Begin here" not in page(other, "web:home")


def test_a_line_is_made_with_its_model_ordered(
    lea, folder, sent, django_capture_on_commit_callbacks
):
    offered = page(lea, "rounds:line_new")
    assert str(folder) in offered
    with django_capture_on_commit_callbacks(execute=True):
        answer = lea.post(
            "/lines/new/", {"name": "Hilfe für Kunden", "base": f"folder:{folder}", "folder": ""}
        )
    line = PolicyLine.objects.get()
    assert line.slug == "hilfe-fur-kunden"
    assert answer.url == reverse("campaigns:set_up", args=[line.id])
    order = BaseOrder.objects.get(line=line)
    assert (order.folder, order.state) == (str(folder), BaseState.QUEUED)
    assert sent == [(str(order.pk), "gpu")]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "Choose a model here, or write a folder below"),
        ({"folder": "/etc"}, "lies in no allowed folder"),
        ({"folder": "org/model"}, "is no folder"),
        ({"folder": "MODELS/none"}, "is not there"),
        ({"folder": "MODELS"}, "config.json"),
        ({"folder": "BASE", "slug": "new"}, "is the address of another page"),
        ({"folder": "BASE", "slug": "a b"}, "cannot stand in an address"),
        ({"folder": "BASE", "name": "線"}, "none can be made of this name"),
        ({"folder": "BASE", "slug": "taken"}, "exists: choose another name"),
        ({"base": "folder:/etc"}, "Select a valid choice"),
    ],
)
def test_what_is_wrong_stands_at_its_field_and_makes_nothing(lea, folder, changes, says):
    taken = bare_line()
    PolicyLine.objects.filter(pk=taken.pk).update(slug="taken")
    places = {"MODELS": str(folder.parent.parent), "BASE": str(folder)}
    filled = {
        key: re.sub("MODELS|BASE", lambda m: places[m[0]], value) for key, value in changes.items()
    }
    answer = lea.post("/lines/new/", {"name": "Help desk", "base": "", "folder": "", **filled})
    assert says in text(answer)
    assert PolicyLine.objects.count() == 1
    assert not BaseOrder.objects.exists()


def test_weights_that_the_site_may_not_read_are_named_with_what_to_do(lea, folder, monkeypatch):
    def closed(name):
        raise PermissionError(13, "Permission denied", str(folder / "model.safetensors"))

    monkeypatch.setattr(training, "model_folder_named", closed)
    said = text(lea.post("/lines/new/", {"name": "Help desk", "folder": str(folder)}))
    assert f"{folder}/model.safetensors is closed to this process. Give its user the right" in said
    assert not PolicyLine.objects.exists()


def test_only_a_model_of_lines_that_one_works_on_is_offered(lea, tmp_path):
    mine, other = bare_line(), bare_line()
    policy_import(mine.id, tmp_path, "policy of mine")
    policy_import(other.id, tmp_path, "policy of others")
    both = page(lea, "rounds:line_new")
    assert "policy of mine" in both
    assert "policy of others" in both
    lou = _client(person_create("lou", "lead", line=mine.id))
    offered = page(lou, "rounds:base", mine.slug)
    assert "policy of mine" in offered
    assert "policy of others" not in offered


def test_a_model_that_was_not_taken_says_why_and_another_may_be_ordered(lea, folder):
    line = made(lea, folder=str(folder))
    place = reverse("rounds:base", args=[line.slug])
    assert "waits for a worker" in text(lea.get(place))
    assert "Take this model" not in text(lea.get(place))
    lea.post(place, {"base": "", "folder": str(folder)})
    assert "is under way already" in text(lea.get(place))
    BaseOrder.objects.update(state="failed", error="It has no chat template.", said="ok   model: x")
    shown = text(lea.get(place))
    assert "It has no chat template." in shown
    assert "ok   model: x" in shown
    lea.post(place, {"base": "", "folder": str(folder)})
    assert BaseOrder.objects.count() == 2
    assert "/set-up/" in page(lea, "rounds:line", line.slug)


def test_the_steps_lead_from_one_to_the_next_and_say_what_is_missing(lea, folder, tmp_path):
    line = made(lea, folder=str(folder))
    review = page(lea, "rounds:set_up", line.slug)
    for missing in ("No campaign yet", "No prompts yet", "No annotator yet", "No pairs yet"):
        assert missing in review
    base = policy_import(line.id, tmp_path, "base policy")
    line_base_set(line=line, version_id=base.id, actor="test")
    BaseOrder.objects.update(state="done")

    answer = lea.post(reverse("campaigns:set_up", args=[line.id]), {
        **CAMPAIGN, "criteria": "Honest", "label_budget": 500, "gold_share": 0.1, "gold_feedback": "on",
    })  # fmt: skip
    assert answer.url == reverse("exchange:set_up", args=[line.id])
    campaign = Campaign.objects.get()
    assert (campaign.line, campaign.label_budget, campaign.gold_share) == (line.id, 500, 0.1)
    assert campaign.gold_feedback
    assert "is a draft" in page(lea, "campaigns:set_up", line.id)

    lea.post(reverse("exchange:set_up", args=[line.id]), {
        "pasted": "Why?\n\n  How do I end a process?  \n", "format": "auto",
    })  # fmt: skip
    job = ImportJob.objects.get()
    assert job.campaign == campaign
    assert "An import is under way." in page(lea, "rounds:set_up", line.slug)
    exchange.import_run(job_id=job.pk)
    assert "2 prompts" in page(lea, "exchange:set_up", line.id)

    review = page(lea, "rounds:set_up", line.slug)
    assert "the first policy has to write them" in review
    lea.post(reverse("campaigns:state", args=[campaign.pk]), {
        "state": "active", "next": reverse("rounds:set_up", args=[line.slug]),
    })  # fmt: skip
    assert "is open to annotators" in page(lea, "rounds:set_up", line.slug)
    lea.post(reverse("rounds:first_pairs", args=[line.slug]))
    assert line.rounds.get().state == State.SAMPLING_PAIRS
    assert "is writing the first pairs" in page(lea, "rounds:set_up", line.slug)


def test_after_starting_a_campaign_one_is_where_one_was_and_never_elsewhere(lea, folder):
    line = made(lea, folder=str(folder))
    lea.post(reverse("campaigns:set_up", args=[line.id]), CAMPAIGN)
    state = reverse("campaigns:state", args=[Campaign.objects.get().pk])
    here = reverse("rounds:set_up", args=[line.slug])
    assert lea.post(state, {"state": "active", "next": here}).url == here
    for elsewhere in ("//evil.example/", "https://evil.example/", "evil"):
        answer = lea.post(state, {"state": "paused", "next": elsewhere})
        assert answer.url.startswith("/campaigns/")


def test_people_are_invited_by_a_link_that_is_shown_once_or_given_a_role(lea, folder):
    line = made(lea, folder=str(folder))
    place = reverse("accounts:set_up", args=[line.id])
    shown = text(lea.post(place, {
        "username": "ann", "email": "ann@example.org", "role": "annotator",
    }))  # fmt: skip
    (link,) = set(re.findall(r'data-copy="http[^"/]*//[^"/]+(/[^"]+)"', shown))
    ann = User.objects.get(username="ann")
    assert list(ann.memberships.values_list("role", "line")) == [("annotator", line.id)]
    assert link not in text(lea.get(place))
    assert Client().get(link).status_code == 302  # to where a password is chosen
    assert "1 person may compare" in page(lea, "rounds:set_up", line.slug)

    person_create("ada")
    lea.post(place, {"known": "1", "username": "ADA", "role": "adjudicator"})
    assert User.objects.get(username="ada").memberships.get().line == line.id
    assert "Nobody is called bob here" in text(
        lea.post(place, {"known": "1", "username": "bob", "role": "annotator"})
    )
    assert "Somebody has this user name already" in text(lea.post(place, {
        "username": "ann", "email": "b@example.org", "role": "annotator",
    }))  # fmt: skip


def test_an_engineer_is_not_sent_to_the_page_of_the_people(folder, lea):
    line = made(lea, folder=str(folder))
    eve = _client(person_create("eve", "engineer", line=line.id))
    people = reverse("accounts:set_up", args=[line.id])
    assert people not in page(eve, "rounds:set_up", line.slug)
    assert eve.get(people).status_code == 403
