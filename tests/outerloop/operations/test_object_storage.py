"""Retention, backup, restore and doctor where artifacts are in object storage."""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from annotation.contracts import SnapshotRecipe
from outerloop.operations.backup.creation import backup_make
from outerloop.operations.backup.manifest import BackupError
from outerloop.operations.backup.restoration import backup_restore
from outerloop.operations.management.commands import doctor
from outerloop.operations.retention import Rule, retention_carry_out, retention_plan
from tests.outerloop.operations.databases import digests_now, empty_database
from tests.outerloop.rounds.world import LoopWorld
from tests.support.object_storage import BUCKET, hanging_server
from tests.support.storage_fixtures import *  # noqa: F403
from training import facade as training
from training.contracts import ArtifactRef, RunManifest
from training.digests import path_sha256
from training.runs.models import ModelVersion, Run
from training.runs.storage import artifact_store

RULE = Rule(rounds=1, days=30)
LONG_AGO = timezone.now() - timedelta(days=90)


@pytest.fixture
def loop(db, machine_is, settings, tmp_path):
    """A line on the machine that made everything."""
    machine_is("one")
    settings.VAR_DIR = tmp_path / "var"
    return LoopWorld(tmp_path)


def a_run(loop, *, state="succeeded"):
    """A run that ended long ago, with a model of 100 bytes that was kept."""
    made = Run.objects.create(
        line=loop.line.id, kind="ppo", seed=1, state=state, spec={"inputs": {}}, spec_sha256="",
        finished_at=LONG_AGO,
    )  # fmt: skip
    Run.objects.filter(pk=made.pk).update(created_at=LONG_AGO)
    folder = made.directory / "model"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(bytes(100))
    sha256 = path_sha256(folder)
    artifact_store().keep(f"{made.stored}/model", sha256)
    reference = ArtifactRef("policy", "policy", "model", sha256, 100)
    manifest = RunManifest(str(made.id), "ppo", "", (reference,), {}, {}, 0.0, 0.0)
    Run.objects.filter(pk=made.pk).update(manifest=manifest.to_json())
    return Run.objects.get(pk=made.pk)


def objects(bucket, path):
    return [each.key for each in bucket.listed(f"{path}/")]


def removed(plan):
    return {(item.kind, item.path) for item in plan.artifacts}


def test_retention_counts_and_deletes_objects_from_a_machine_that_has_no_copy(
    loop, machine_is, bucket, monkeypatch
):
    old, kept = a_run(loop), a_run(loop)
    version = ModelVersion.objects.create(
        line=loop.line.id, kind="policy", number=9, name="kept", path=f"{kept.stored}/model",
        sha256=kept.manifest["artifacts"][0]["sha256"], run=kept,
    )  # fmt: skip
    training.model_version_retain(version_id=version.id, reason="a decision refers to it")
    bucket.put("runs/00000000-0000-0000-0000-000000000000/x/" + "a" * 64 + "/manifest.json", b"{}")
    machine_is("two")
    plan = retention_plan(RULE)
    assert removed(plan) == {("results", old.stored)}  # what nothing refers to is too young
    assert plan.bytes > 100
    assert objects(bucket, old.stored)
    retention_carry_out(rule=RULE, actor="test")
    assert objects(bucket, old.stored) == []
    assert objects(bucket, kept.stored)
    assert len(retention_plan(RULE)) == 0


def test_old_objects_that_no_row_refers_to_and_uploads_that_never_ended_go(
    loop, bucket, monkeypatch
):
    known = a_run(loop)
    stranger = f"models/stranger/{'a' * 64}/manifest.json"
    begun = f"{known.stored}/model/{'b' * 64}/{'c' * 64}"
    bucket.put(stranger, b"{}")
    bucket.put(begun, b"half")
    Run.objects.filter(pk=known.pk).update(round=loop.round("closed").id)
    later = timezone.now() + timedelta(days=60)
    monkeypatch.setattr("outerloop.operations.retention.timezone.now", lambda: later)
    ModelVersion.objects.update(created_at=later)
    plan = retention_carry_out(rule=RULE, actor="test")
    left = {path for kind, path in removed(plan) if kind == "leftover"}
    assert left == {"models/stranger", f"{known.stored}/model/{'b' * 64}"}
    assert bucket.size(stranger) is None
    assert bucket.size(begun) is None
    training.model_version_verify(loop.base.id)


def test_retention_without_an_answer_says_so(loop, settings):
    settings.OUTERLOOP_S3_ENDPOINT = "http://127.0.0.1:9"
    with pytest.raises(CommandError, match=r"does not answer at http://127\.0\.0\.1:9"):
        call_command("retention", "--dry-run")


def test_doctor_says_where_artifacts_are_and_what_is_wrong(loop, settings):
    training.store_enter()
    found = doctor._store(settings.ARTIFACT_ROOT)
    assert found.level == "ok"
    assert found.says.startswith(f"s3://{BUCKET}/")
    with hanging_server() as address:
        settings.OUTERLOOP_S3_ENDPOINT, settings.OUTERLOOP_S3_SECONDS = address, 1
        found = doctor._store(settings.ARTIFACT_ROOT)
    assert found.level == "bad"
    assert f"does not answer at {address}" in found.says


def test_a_folder_of_before_is_sent_whole_and_only_once(loop, settings, machine_is, capsys):
    address, settings.OUTERLOOP_ARTIFACT_STORE = settings.OUTERLOOP_ARTIFACT_STORE, ""
    with pytest.raises(CommandError, match="nowhere to send"):
        call_command("artifacts_send")
    line = LoopWorld(settings.VAR_DIR)
    training.snapshot_take(line_id=line.line.id, recipe=SnapshotRecipe())
    settings.OUTERLOOP_ARTIFACT_STORE = address + "-new"
    with pytest.raises(training.StoreMissing, match="artifacts_send"):
        training.store_enter()
    call_command("artifacts_send")
    assert "Sent " in capsys.readouterr().out
    training.store_enter()
    machine_is("two")
    held = training.model_version_hold(line.base.id)
    assert path_sha256(held.path) == line.base.sha256
    held.release()
    call_command("artifacts_send")
    assert "Sent 0 artifacts" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_backup_from_one_bucket_is_restored_into_another(loop, settings, machine_is, tmp_path):
    """Made on a machine that holds no copy, restored on a third."""
    snapshot = training.snapshot_take(line_id=loop.line.id, recipe=SnapshotRecipe())
    run = a_run(loop)
    machine_is("two")
    target = tmp_path / "backup"
    manifest, left_out = backup_make(target=target)
    assert left_out == []
    names = {entry.path for entry in manifest.artifacts}
    assert f"artifacts/{run.stored}/model/model.safetensors" in names
    assert f"artifacts/snapshots/{snapshot.sha256}.jsonl" in names
    rows = digests_now()
    machine_is("three")
    with empty_database():
        with pytest.raises(BackupError, match=r"holds .*empty place only"):
            backup_restore(path=target)
        settings.OUTERLOOP_ARTIFACT_STORE += "-restored"
        backup_restore(path=target)
        assert digests_now() == rows
        assert training.store_problem() == ""
        shutil.rmtree(settings.ARTIFACT_ROOT)
        machine_is("four")
        training.model_version_verify(loop.base.id)
        reference = training.input_from_run(training.run_get(run.id), "policy")
        assert path_sha256(training.input_local(reference)) == reference.sha256


@pytest.mark.django_db(transaction=True)
def test_a_damaged_object_is_named_by_the_backup(loop, bucket, machine_is, tmp_path):
    stored = f"models/{loop.base.path.name}"
    weights = next(k for k in objects(bucket, stored) if not k.endswith("manifest.json"))
    bucket.remove([weights])
    machine_is("two")
    with pytest.raises(BackupError, match=r"policy.*the object is missing"):
        backup_make(target=tmp_path / "backup")
    assert not (tmp_path / "backup").exists()
