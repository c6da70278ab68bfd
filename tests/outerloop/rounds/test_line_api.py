"""Lines made by token: by the rules of the page, each mistake at its field."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from annotation import facade as annotation
from outerloop.rounds import bases
from outerloop.rounds.models import BaseOrder, BaseState, PolicyLine, Round
from tests.outerloop.rounds.world import bare_line, model_folder, policy_import
from tests.support.programs import Program, a_program, refused
from training import facade as training
from web.models import AuditEvent

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(settings, tmp_path) -> Path:
    settings.OUTERLOOP_MODEL_FOLDERS = [str(tmp_path / "models")]
    return model_folder(tmp_path / "models" / "base")


@pytest.fixture
def eve() -> Program:
    return a_program("engineer", "read", "lines")


def test_a_line_is_made_once_with_its_plan_and_its_model_ordered(
    eve, folder, sent, django_capture_on_commit_callbacks
):
    wish = {
        "name": " Hilfe für Kunden ",
        "folder": str(folder),
        "plan": {"next_pairs": 40, "snapshot": {"recency_half_life_days": 30.0}},
    }
    with django_capture_on_commit_callbacks(execute=True):
        made, again = (eve.post("lines", wish, key="k") for _ in range(2))
    assert made.status_code == 201, made.content
    assert made.json() == again.json()
    line = PolicyLine.objects.get()
    assert (line.name, line.slug) == ("Hilfe für Kunden", "hilfe-fur-kunden")
    assert made.json()["id"] == str(line.id)
    assert (line.plan["next_pairs"], line.plan["random_share"]) == (40, 0.2)
    order = BaseOrder.objects.get()
    assert (order.folder, order.line, order.actor) == (str(folder), line, str(eve.user.pk))
    assert sent == [(str(order.pk), "gpu")]
    acts = AuditEvent.objects.filter(line=line.id).order_by("pk")
    assert [(act.actor, act.verb) for act in acts] == [
        (str(eve.user.pk), "made line"),
        (str(eve.user.pk), "ordered base policy"),
    ]
    assert acts[0].detail == {"plan": wish["plan"]}
    assert eve.get(f"lines/{line.id}/base").json() == {
        "state": "queued",
        "version": None,
        "checks": [],
        "error": "",
    }


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({}, "folder", "one of the two"),
        ({"folder": "BASE", "version": str(uuid.UUID(int=1))}, "folder", "one of the two"),
        ({"folder": "/etc"}, "folder", "lies in no allowed folder"),
        ({"folder": "org/model"}, "folder", "is no folder"),
        ({"folder": "MODELS"}, "folder", "config.json"),
        ({"version": str(uuid.UUID(int=1))}, "version", "No kept policy"),
        ({"folder": "BASE", "slug": "new"}, "slug", "is the address of another page"),
        ({"folder": "BASE", "slug": "a b"}, "slug", "cannot stand in an address"),
        ({"folder": "BASE", "name": "線"}, "slug", "none can be made of this name"),
        ({"folder": "BASE", "slug": "taken"}, "slug", "exists: choose another name"),
        ({"folder": "BASE", "name": "  "}, "name", "pattern"),
        ({"folder": "BASE", "plan": {"pairs": 1}}, "plan", "pairs"),
        ({"folder": "BASE", "plan": {"oversample": 0}}, "plan", "must be at least 1"),
        ({"folder": "BASE", "plan": [1]}, "plan", "dictionary"),
        ({"folder": "BASE", "simulated": True}, "simulated", "not permitted"),
    ],
)
def test_what_is_wrong_is_named_and_makes_nothing(eve, folder, changes, field, says):
    PolicyLine.objects.filter(pk=bare_line().pk).update(slug="taken")
    places = {"MODELS": str(folder.parent), "BASE": str(folder)}
    filled = {"name": "Help desk", **changes}
    if filled.get("folder") in places:
        filled["folder"] = places[filled["folder"]]
    problem = refused(eve.post("lines", filled), 422)
    (error,) = problem["errors"]
    assert error["field"] == field
    assert says in error["says"]
    assert PolicyLine.objects.count() == 1
    assert not BaseOrder.objects.exists()


def test_only_staff_of_every_line_make_one_and_only_an_engineer_sets_its_plan(folder):
    wish: dict[str, Any] = {"name": "Help desk", "folder": str(folder)}
    line = bare_line()
    of_one = a_program("engineer", "lines", line=line.id, name="one")
    assert "of every line" in refused(of_one.post("lines", wish), 403)["detail"]
    unscoped = a_program("engineer", "read", "rounds", name="old")
    assert "lacks the scope lines" in refused(unscoped.post("lines", wish), 403)["detail"]
    lead = a_program("lead", "lines", name="lea")
    planned = refused(lead.post("lines", {**wish, "plan": {"next_pairs": 4}}), 403)
    assert "Only an engineer sets a plan" in planned["detail"]
    assert lead.post("lines", wish).status_code == 201


def test_another_model_is_ordered_after_one_was_not_taken(eve, folder, monkeypatch):
    def unfit(path: Path, **about: Any) -> str:
        raise training.ModelUnfit("It has no chat template.")

    line = eve.post("lines", {"name": "Help desk", "folder": str(folder)}).json()["id"]
    wish = {"folder": str(folder)}
    assert "under way" in refused(eve.post(f"lines/{line}/base", wish), 409)["detail"]
    monkeypatch.setattr(training, "model_check", unfit)
    bases.base_take(BaseOrder.objects.get().pk)
    shown = eve.get(f"lines/{line}/base").json()
    assert (shown["state"], shown["error"]) == ("failed", "It has no chat template.")
    monkeypatch.setattr(training, "model_check", lambda path, **about: "ok   model: it fits")
    ordered = eve.post(f"lines/{line}/base", wish)
    assert (ordered.status_code, ordered.json()["state"]) == (201, "queued")
    bases.base_take(BaseOrder.objects.exclude(state=BaseState.FAILED).get().pk)
    shown = eve.get(f"lines/{line}/base").json()
    assert (shown["state"], shown["checks"]) == ("done", ["ok   model: it fits"])
    assert shown["version"] == str(PolicyLine.objects.get().base_version)
    problem = refused(eve.post(f"lines/{line}/base", wish), 409)
    assert "has its base policy already" in problem["detail"]


def test_a_registered_policy_is_taken_only_from_lines_that_one_works_on(eve, tmp_path):
    mine, other = bare_line(), bare_line()
    policy, foreign = (policy_import(line.id, tmp_path, line.name) for line in (mine, other))
    lou = a_program("lead", "lines", "read", line=mine.id, name="lou")
    address = f"lines/{mine.id}/base"
    assert lou.get(address).json()["state"] == "none"
    problem = refused(lou.post(address, {"version": str(foreign.id)}), 422)
    assert problem["errors"][0]["field"] == "version"
    assert lou.post(address, {"version": str(policy.id)}).status_code == 201
    assert BaseOrder.objects.get().version == policy.id
    assert eve.post("lines", {"name": "Third", "version": str(foreign.id)}).status_code == 201
    assert refused(lou.get(f"lines/{other.id}/base"), 403)


def test_the_first_pairs_are_ordered_when_the_model_is_there(
    eve, folder, sent, monkeypatch, django_capture_on_commit_callbacks
):
    line = eve.post("lines", {"name": "Help desk", "folder": str(folder)}).json()["id"]
    address = f"lines/{line}/first-pairs"
    assert "no base policy" in refused(eve.post(address), 409)["detail"]
    monkeypatch.setattr(training, "model_check", lambda path, **about: "ok   model: it fits")
    bases.base_take(BaseOrder.objects.get().pk)
    annotation.campaign_create(line_id=uuid.UUID(line), name="Help desk", guidelines="")
    with django_capture_on_commit_callbacks(execute=True):
        round_ = eve.post(address)
    assert (round_.status_code, round_.json()["number"]) == (201, 0)
    assert round_.json()["state"] == "SAMPLING_PAIRS"
    assert Round.objects.get().started_by == eve.user
    assert str(Round.objects.get().id) in {about for about, _ in sent}
    assert "rounds already" in refused(eve.post(address), 409)["detail"]
