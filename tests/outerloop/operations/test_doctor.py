"""What `doctor` calls bad ends it with 1, and looking changes nothing."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection
from django_celery_beat.models import PeriodicTask

from evaluation import task_suites
from evaluation.gates.services import deployment_mark_served
from outerloop.operations.management.commands import doctor
from outerloop.rounds.models import LineSuite
from outerloop.rounds.schedule import sweeper_ensure
from tests.evaluation.gates.world import LineWorld
from tests.outerloop.rounds.world import bare_line
from tests.support.scripted_policy import by_seed, scripted_policy
from training.facade import store_enter

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def installation(settings, tmp_path):
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    store_enter()
    sweeper_ensure()


def findings(capsys, *, good: bool) -> str:
    if good:
        call_command("doctor")
    else:
        with pytest.raises(SystemExit) as ended:
            call_command("doctor")
        assert ended.value.code == 1
    return str(capsys.readouterr().out)


def test_a_good_installation_is_well(capsys):
    assert "BAD" not in findings(capsys, good=True)


def test_a_store_that_is_not_mounted_is_bad_and_stays_away(capsys, settings, tmp_path):
    settings.ARTIFACT_ROOT = tmp_path / "share"
    assert f"BAD   Artifact store: {tmp_path}/share is not there" in findings(capsys, good=False)
    assert not (tmp_path / "share").exists()


def test_a_schedule_without_its_sweeper_is_bad(capsys):
    PeriodicTask.objects.filter(name="sweep rounds").delete()
    assert "BAD   Sweeper: sweep rounds not in the schedule" in findings(capsys, good=False)
    call_command("prepare")
    assert "ok    Sweeper" in findings(capsys, good=True)


def test_trackers_that_would_get_nothing_are_bad(capsys, settings, monkeypatch):
    settings.OUTERLOOP_TRACKERS = ["wandb", "mlflow", "tensorboard", "neptune"]
    there = {"wandb", "mlflow"}
    monkeypatch.setattr(doctor, "find_spec", lambda name: name in there or None)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    said = findings(capsys, good=False)
    assert "ok    Trackers: metrics of runs go to wandb as well" in said
    assert "BAD   Trackers: mlflow needs MLFLOW_TRACKING_URI" in said
    assert "BAD   Trackers: tensorboard needs tensorboard or tensorboardX" in said
    assert "'neptune'; there are tensorboard, wandb, mlflow." in said


def test_the_way_past_a_pooler_must_lead_to_the_same_database(capsys, settings):
    own = {k: connection.settings_dict[k] for k in ("NAME", "USER", "PASSWORD", "HOST", "PORT")}
    settings.DATABASE_DIRECT = own
    said = "ok    Past the pooler: DATABASE_DIRECT_URL leads to the same database"
    assert said in findings(capsys, good=True)
    settings.DATABASE_DIRECT = {**own, "NAME": "postgres"}
    assert "BAD   Past the pooler: DATABASE_DIRECT_URL leads to another" in findings(
        capsys, good=False
    )
    settings.DATABASE_DIRECT = {**own, "NAME": "nowhere"}
    assert "BAD   Past the pooler: DATABASE_DIRECT_URL: " in findings(capsys, good=False)


def test_tasks_that_cannot_be_measured_are_bad_only_where_a_line_has_one(
    capsys, settings, monkeypatch, tmp_path
):
    monkeypatch.setattr(task_suites, "find_spec", lambda name: None)
    assert "note  Tasks of lm-eval: The package lm-eval is not installed" in findings(
        capsys, good=True
    )
    line = bare_line()
    LineSuite.objects.create(line=line, name="house", kind="lm_eval", content="{}", items=2)
    settings.OUTERLOOP_TASK_FOLDERS = [str(tmp_path / "gone")]
    said = findings(capsys, good=False)
    assert f"Lines that need it: {line.slug}." in said
    assert f"BAD   Tasks of lm-eval: OUTERLOOP_TASK_FOLDERS names {tmp_path}/gone" in said


def test_an_installed_lm_eval_is_named_with_its_release(capsys, monkeypatch):
    monkeypatch.setattr(task_suites, "find_spec", lambda name: name)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.4.13")
    assert "ok    Tasks of lm-eval: answered through lm-eval 0.4.13" in findings(capsys, good=True)


def test_replicas_that_are_down_are_noted(capsys, settings, tmp_path):
    line = LineWorld(settings.ARTIFACT_ROOT, line=bare_line().id)
    deployed = line.deploy_first()
    assert "Policy server" not in findings(capsys, good=True)
    deployment_mark_served(deployed.id)
    with scripted_policy(settings, uuid4(), by_seed("Hello")) as policy:
        assert "ok    Policy server: 1 of 1 replicas answer" in findings(capsys, good=True)
        policy.engine.size = 2
        assert "note  Policy server: 1 of 2 replicas answer" in findings(capsys, good=True)
    assert "note  Policy server: nothing answers at 127.0.0.1:" in findings(capsys, good=True)
