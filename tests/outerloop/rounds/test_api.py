"""Lines, rounds, reports and deployments by token."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from evaluation.gates.models import Deployment, LinePointer
from evaluation.reports.services import report_store
from outerloop.rounds import api
from outerloop.rounds.models import Round, StartAttempt, State
from tests.evaluation.reports import records
from tests.outerloop.rounds.world import LoopWorld, bare_line, policy_import
from tests.support.documented import assert_said
from tests.support.programs import a_program, refused

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(tmp_path: Path, settings) -> LoopWorld:
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    return LoopWorld(tmp_path)


@pytest.fixture
def hints(monkeypatch):
    sent: list[tuple[uuid.UUID, str]] = []
    monkeypatch.setattr(api, "advance_enqueue", lambda *about: sent.append(about))
    return sent


@pytest.fixture
def eve(world):
    return a_program("engineer", "read", "rounds", line=world.line.id)


def test_lines_are_read_by_those_who_run_them(eve, world):
    other = bare_line()
    assert [row["slug"] for row in eve.items("lines")] == [world.line.slug]
    shown = eve.get(f"lines/{world.line.id}").json()
    assert (shown["fresh_labels"], shown["active_round"]) == (3, None)
    assert shown["deployed_version"] == shown["base_version"] == str(world.base.id)
    assert refused(eve.get(f"lines/{other.id}"), 403)
    assert refused(eve.get(f"lines/{uuid.uuid4()}"), 404)


def test_a_round_is_looked_at_started_once_and_cancelled(
    eve, world, hints, django_capture_on_commit_callbacks
):
    address = f"lines/{world.line.id}/rounds"
    look = eve.get(f"lines/{world.line.id}/start-check").json()
    assert (look["ready"], look["reasons"]) == (True, [])
    assert look["facts"]["New labels"] == "3"
    with django_capture_on_commit_callbacks(execute=True):
        started, again = (eve.post(address, {"title": "By night"}, key="k") for _ in range(2))
    assert started.status_code == 201
    assert started.json() == again.json()
    round_ = Round.objects.get()
    assert hints == [(round_.id, "SNAPSHOT")]
    assert (round_.started_by, round_.title, round_.trigger) == (eve.user, "By night", "person")
    problem = refused(eve.post(address, {}), 409)
    assert "active" in problem["detail"] or "under way" in problem["detail"]
    assert StartAttempt.objects.filter(round=None).count() == 1  # a refused start leaves its row
    cancelled = eve.post(f"{address}/1/cancel").json()
    assert cancelled["cancel_requested"] is True
    assert eve.get(f"lines/{world.line.id}").json()["active_round"] == 1


def test_a_refused_start_under_a_key_leaves_its_row_and_frees_the_key(eve, world):
    world.round(State.POLICY_TRAINING)
    address = f"lines/{world.line.id}/rounds"
    assert refused(eve.post(address, {}, key="k"), 409)
    assert StartAttempt.objects.filter(round=None).count() == 1
    Round.objects.update(state=State.CLOSED)
    assert eve.post(address, {}, key="k").status_code == 201


def test_a_lead_cancels_and_does_not_start(world, hints):
    lead = a_program("lead", "read", "rounds", line=world.line.id, name="lea")
    assert refused(lead.post(f"lines/{world.line.id}/rounds", {}), 403)
    world.round(State.POLICY_TRAINING)
    assert lead.post(f"lines/{world.line.id}/rounds/1/cancel").status_code == 200


def test_rounds_read_newest_first_with_their_steps(eve, world):
    for number in (1, 2, 3):
        world.round(State.CLOSED, number=number)
    address = f"lines/{world.line.id}/rounds"
    assert [row["number"] for row in eve.items(address, limit=2)] == [3, 2, 1]
    one = eve.get(f"{address}/2").json()
    assert (one["state"], one["steps"]) == ("CLOSED", [])
    assert refused(eve.get(f"{address}/4"), 404)
    assert (
        refused(eve.get(f"{address}/99999999999999999999"), 422)["errors"][0]["field"] == "number"
    )
    for wrong in (f"{address}?state=CLOSED", f"{address}?limt=1", f"{address}/2?after=x"):
        unknown = refused(eve.get(wrong), 422)["errors"][0]
        assert unknown["field"] == wrong.partition("?")[2].partition("=")[0]
        assert_said("unknown parameter", unknown["says"])
    ended = eve.post(f"{address}/2/cancel").json()  # it has ended: nothing happens
    assert (ended["state"], ended["cancel_requested"]) == ("CLOSED", False)


def test_a_report_comes_in_the_spelling_that_its_digest_is_of(eve, world):
    round_ = world.round(State.CLOSED)
    of_line = {"line_id": str(world.line.id), "line": world.line.slug, "round_id": str(round_.id)}
    for state in ("DEPLOYING", "CLOSED"):
        report_store(record=replace(records.BARE, **of_line, number=1, state=state))
    (row,) = eve.items(f"lines/{world.line.id}/reports")
    assert (row["number"], row["revision"]) == (1, 2)
    answer = eve.get(f"lines/{world.line.id}/reports/1")
    assert hashlib.sha256(answer.content).hexdigest() == row["sha256"]
    assert answer["ETag"] == f'"{row["sha256"]}"'
    assert answer.json()["state"] == "CLOSED"
    assert (
        "There is no report of such a round"
        in refused(eve.get(f"lines/{world.line.id}/reports/2"), 404)["detail"]
    )


def test_deployments_tell_the_current_one_and_every_move(eve, world):
    address = f"lines/{world.line.id}/deployments"
    assert eve.get(f"{address}/current").json()["name"] == "base policy"
    better = policy_import(world.line.id, world.folder, "better policy")
    moved = Deployment.objects.create(
        line=world.line.id, version=better.id, artifact_sha256="0" * 64, kind="deploy", actor="gate"
    )
    LinePointer.objects.filter(line=world.line.id).update(deployment=moved)
    assert [row["name"] for row in eve.items(address, limit=1)] == ["better policy", "base policy"]
    assert eve.get(f"{address}/current").json()["version"] == str(better.id)
    chief = a_program("lead", "read", name="max")
    assert refused(chief.get(f"lines/{bare_line().id}/deployments/current"), 404)
