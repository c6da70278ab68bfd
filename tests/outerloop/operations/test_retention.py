"""What the rule lets go goes, whole; what is deployed, decided on, recent or their lineage stays."""

from __future__ import annotations

import os
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from annotation.exchange.models import ImportJob
from outerloop.operations import tasks
from outerloop.operations.locks import maintenance_lock
from outerloop.operations.retention import Rule, retention_carry_out, retention_plan
from outerloop.rounds.models import State
from outerloop.rounds.schedule import sweeper_ensure
from tests.outerloop.rounds.world import LoopWorld, policy_import
from training import facade as training
from training.digests import path_sha256
from training.runs import retention
from training.runs.models import ModelVersion, Run
from web.models import AuditEvent

pytestmark = pytest.mark.django_db
RULE = Rule(rounds=1, days=30)
LONG_AGO = timezone.now() - timedelta(days=90)


@pytest.fixture
def loop(db, store, tmp_path):
    world = LoopWorld(tmp_path)
    ModelVersion.objects.update(created_at=LONG_AGO)
    return world


def a_run(loop, round_=None, *, inputs=(), state="succeeded", at=LONG_AGO, kind="ppo"):
    """A run that ended, with a model of 100 bytes, a log and what it read."""
    made = Run.objects.create(
        line=loop.line.id, round=round_ and round_.id, kind=kind, seed=1, state=state,
        spec={"inputs": {f"i{n}": {"path": str(p), "sha256": path_sha256(p)} for n, p in enumerate(inputs)}},
        spec_sha256="", finished_at=at,
    )  # fmt: skip
    Run.objects.filter(pk=made.pk).update(created_at=at)
    (made.directory / "model").mkdir(parents=True)
    (made.directory / "model" / "model.safetensors").write_bytes(bytes(100))
    (made.directory / "child.log").write_text("what it printed")
    return made


def a_version(loop, run, kind="policy", **fields):
    path = run.directory / "model"
    return ModelVersion.objects.create(
        line=loop.line.id, kind=kind, number=ModelVersion.objects.count() + 1, name=f"{kind} of {run}",
        path=str(path.relative_to(loop.base.path.parent.parent)), sha256=path_sha256(path), run=run, **fields,
    )  # fmt: skip


def weights(run):
    return run.directory / "model" / "model.safetensors"


def removed(plan):
    return {(item.kind, item.path) for item in plan.artifacts}


def test_an_old_failed_round_goes_and_its_log_stays(loop):
    failed, _last = loop.round(State.FAILED), loop.round(State.CLOSED)
    run = a_run(loop, failed, state="failed")
    (run.directory / "checkpoints").mkdir()
    (run.directory / "checkpoints" / "state.safetensors").write_bytes(bytes(50))
    version = a_version(loop, run)
    plan = retention_carry_out(rule=RULE, actor="test")
    assert removed(plan) == {("results", f"runs/{run.id}")}
    assert plan.bytes == 150
    assert sorted(p.name for p in run.directory.iterdir()) == ["child.log"]
    with pytest.raises(training.ArtifactMismatch, match="were removed by retention on"):
        training.model_version_verify(version.id)
    assert len(retention_plan(RULE)) == 0


def test_a_dry_run_says_the_same_and_deletes_nothing(loop, capsys):
    run = a_run(loop)
    before = sorted(path for path in run.directory.rglob("*"))
    call_command("retention", "--dry-run", "--days", "30")
    said = capsys.readouterr().out
    assert "1 things, 0.0 MB, would be removed" in said
    assert f"runs/{run.id}"[:20] in said
    assert sorted(run.directory.rglob("*")) == before
    assert not AuditEvent.objects.filter(verb="removed artifacts").exists()
    call_command("retention", "--days", "30")
    assert "were removed" in capsys.readouterr().out
    assert not weights(run).exists()


def test_what_a_kept_version_came_from_is_kept_with_it(loop):
    """candidate <- its parent, its reward model <- the run that tuned its backbone."""
    backbone = a_run(loop, kind="sft")
    reward = a_run(loop, kind="reward_model", inputs=[backbone.directory / "model"])
    parent = a_run(loop)
    ppo = a_run(loop, inputs=[reward.directory / "model", loop.base.path])
    unrelated = a_run(loop)
    a_version(loop, reward, kind="reward_model")
    candidate = a_version(loop, ppo, parent=a_version(loop, parent))
    training.model_version_retain(version_id=candidate.id, reason="a decision refers to it")
    plan = retention_carry_out(rule=RULE, actor="test")
    assert removed(plan) == {("results", f"runs/{unrelated.id}")}
    assert all(weights(run).exists() for run in (backbone, reward, parent, ppo))


def test_the_last_rounds_a_round_under_way_and_recent_runs_stay_whole(loop):
    active = loop.round(State.POLICY_TRAINING)
    old, middle, last = (loop.round(State.FAILED) for _ in range(3))
    runs = {
        "active": a_run(loop, active), "middle": a_run(loop, middle), "last": a_run(loop, last),
        "recent": a_run(loop, at=timezone.now() - timedelta(days=29)),
        "running": a_run(loop, state="running"),
    }  # fmt: skip
    gone = a_run(loop, old)
    plan = retention_carry_out(rule=Rule(rounds=2, days=30), actor="test")
    assert removed(plan) == {("results", f"runs/{gone.id}")}
    assert all(weights(run).exists() for run in runs.values())


def test_what_a_run_that_stays_reads_stays(loop):
    """A young run of an old model: taking its input away would stop it from being repeated."""
    old = a_run(loop)
    a_run(loop, inputs=[old.directory / "model"], at=timezone.now())
    assert removed(retention_plan(RULE)) == set()


def test_lineage_holds_after_the_store_has_moved(loop):
    """A restore into another folder leaves the old full paths in the orders of runs."""
    reward = a_run(loop, kind="reward_model")
    ppo = a_run(loop, inputs=[reward.directory / "model"])
    elsewhere = f"/somewhere/else/artifacts/runs/{reward.id}/model"
    Run.objects.filter(pk=ppo.pk).update(spec={"inputs": {"reward_model": {"path": elsewhere}}})
    training.model_version_retain(version_id=a_version(loop, ppo).id, reason="deployed")
    assert removed(retention_plan(RULE)) == set()


def test_checkpoints_of_a_finished_run_go_though_its_model_is_kept(loop):
    run = a_run(loop)
    (run.directory / "checkpoints").mkdir()
    (run.directory / "checkpoints" / "state.safetensors").write_bytes(bytes(50))
    training.model_version_retain(version_id=a_version(loop, run).id, reason="deployed")
    plan = retention_carry_out(rule=RULE, actor="test")
    assert removed(plan) == {("checkpoints", f"runs/{run.id}/checkpoints")}
    assert weights(run).exists()


def test_the_base_policy_and_what_was_ever_deployed_stay(loop, tmp_path):
    unused = policy_import(loop.line.id, tmp_path, "unused")
    ModelVersion.objects.filter(pk=unused.id).update(created_at=LONG_AGO)
    plan = retention_carry_out(rule=RULE, actor="test")
    assert removed(plan) == {("model", f"models/{unused.path.name}")}
    training.model_version_verify(loop.base.id)
    with pytest.raises(training.ArtifactMismatch, match="unused: its files were removed"):
        training.model_version_verify(unused.id)


def test_leftovers_go_once_they_are_old(loop, store):
    for name, age in (("old", 90), ("young", 1)):
        folder = store / "models" / f"{name}.partial"
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"half")
        moment = (timezone.now() - timedelta(days=age)).timestamp()
        os.utime(folder, (moment, moment))
    plan = retention_carry_out(rule=RULE, actor="test")
    assert removed(plan) == {("leftover", "models/old.partial")}
    assert (store / "models" / "young.partial").exists()


def test_uploads_of_ended_imports_go_and_a_file_of_somebodys_own_stays(loop, settings, tmp_path):
    uploads = Path(settings.VAR_DIR) / "uploads"
    uploads.mkdir(parents=True)
    mine = tmp_path / "mine.jsonl"
    ended, working = uploads / "ended.jsonl", uploads / "working.jsonl"
    for path, state in ((mine, "done"), (ended, "done"), (working, "running")):
        path.write_text("{}\n")
        ImportJob.objects.create(
            line=loop.line.id, path=str(path), name=path.name, state=state, finished_at=LONG_AGO
        )
    plan = retention_carry_out(rule=RULE, actor="test")
    assert plan.files == (ended,)
    assert (mine.exists(), ended.exists(), working.exists()) == (True, False, True)


def test_the_audit_log_has_the_rule_and_what_went(loop):
    run = a_run(loop)
    retention_carry_out(rule=RULE, actor="command")
    event = AuditEvent.objects.get(verb="removed artifacts")
    assert event.detail == {
        "rounds": 1, "days": 30, "bytes": 100, "count": 1, "removed": [f"runs/{run.id}"],
    }  # fmt: skip


def test_after_a_failure_in_the_middle_the_next_look_finishes(loop, monkeypatch):
    run = a_run(loop)

    def broken(path):
        raise OSError("The disk went away.")

    with monkeypatch.context() as patched:
        patched.setattr(retention, "_delete", broken)
        with pytest.raises(OSError, match="went away"):
            retention_carry_out(rule=RULE, actor="test")
    run.refresh_from_db()
    assert run.cleared_at is not None
    assert removed(retention_carry_out(rule=RULE, actor="test")) == {("results", f"runs/{run.id}")}
    assert not weights(run).exists()


def test_a_finished_run_that_was_cleared_is_not_taken_for_a_new_order(loop):
    run = a_run(loop, kind="sft")
    Run.objects.filter(pk=run.pk).update(spec={"inputs": {}, "config": {}})
    found = training.run_like(kind="sft", config={}, seed=1, inputs={})
    assert found is not None
    retention_carry_out(rule=RULE, actor="test")
    assert training.run_like(kind="sft", config={}, seed=1, inputs={}) is None


def test_a_number_that_would_keep_nothing_is_refused():
    with pytest.raises(CommandError, match="no whole number from 1 to"):
        call_command("retention", "--rounds", "0")


@pytest.mark.parametrize("asked", [True, False])
def test_by_schedule_only_where_asked_for(loop, settings, asked):
    settings.OUTERLOOP_RETENTION_NIGHTLY = asked
    run = a_run(loop)
    sweeper_ensure()
    assert PeriodicTask.objects.get(name="retention").enabled is asked
    tasks.retention()
    assert weights(run).exists() is not asked


def test_not_beside_a_backup(loop):
    run = a_run(loop)
    with maintenance_lock("a backup"), pytest.raises(CommandError, match="is under way"):
        call_command("retention")
    assert weights(run).exists()


def test_a_run_that_nobody_knows_is_a_leftover(loop, store):
    folder = store / "runs" / str(uuid.uuid4())
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text("{}")
    os.utime(folder, (0, 0))
    assert removed(retention_plan(RULE)) == {("leftover", f"runs/{folder.name}")}
