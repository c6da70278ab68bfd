"""A backup restored into an empty place has the same rows and the same files; nothing else is accepted."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import stat
import tarfile
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from annotation.contracts import SnapshotRecipe
from outerloop.operations.backup.creation import Watch, backup_make
from outerloop.operations.backup.manifest import BackupCancelled, BackupError
from outerloop.operations.backup.restoration import backup_restore, backup_verify
from outerloop.operations.locks import maintenance_lock
from outerloop.operations.retention import Rule, retention_carry_out
from tests.outerloop.operations.databases import digests_now, empty_database
from tests.outerloop.rounds.world import LoopWorld
from tests.support.people import person_create
from training import facade as training
from training.contracts import json_sha256
from training.digests import path_sha256
from training.facade import STORE_MARKER, STORE_PROBE
from training.runs.models import Run
from web.models import AuditEvent, Notice

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(store, tmp_path):
    """A line with labels, a snapshot, a finished run with what it made, and odd texts."""
    loop = LoopWorld(tmp_path)
    lead = person_create("lea", "lead")
    Notice.objects.create(
        user=lead, topic="odd", level="info", text="tab\there, back\\slash, ü, \\N"
    )
    training.snapshot_take(line_id=loop.line.id, recipe=SnapshotRecipe())
    run = Run.objects.create(
        line=loop.line.id, kind="ppo", seed=1, spec_sha256="", state="succeeded",
        spec={"inputs": {"policy": {"path": str(loop.base.path), "sha256": loop.base.sha256}}},
    )  # fmt: skip
    (run.directory / "checkpoints").mkdir(parents=True)
    (run.directory / "checkpoints" / "state.safetensors").write_bytes(b"large")
    (run.directory / "events.jsonl").write_text('{"seq": 1}\n')
    return loop


def store_files(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def resealed(backup: Path, change) -> None:
    """Change the manifest and sign it again, as somebody would who knows how."""
    path = backup / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    body = {name: value for name, value in document.items() if name != "sha256"}
    path.write_text(json.dumps({**body, "sha256": json_sha256(body)}))


def unreadable_rows(backup: Path) -> None:
    """A backup whose hashes hold and whose rows do not."""
    packed = gzip.compress(b"not\ta row\n")
    (backup / "database" / "web_notice.copy.gz").write_bytes(packed)

    def change(document):
        entry = next(table for table in document["tables"] if table["name"] == "web_notice")
        entry["file"] |= {"bytes": len(packed), "sha256": hashlib.sha256(packed).hexdigest()}

    resealed(backup, change)


@pytest.mark.slow
def test_it_comes_back_row_by_row_and_file_by_file(world, store, settings, tmp_path):
    """After a first try that fails at the rows and leaves the place as empty as it was."""
    target, bad = tmp_path / "backup", tmp_path / "bad"
    manifest, left_out = backup_make(target=target)
    assert left_out == []
    shutil.copytree(target, bad)
    unreadable_rows(bad)
    rows, files = digests_now(), store_files(store)
    kept = {path: content for path, content in files.items() if "/checkpoints/" not in path}
    assert rows["comparisons_judgment"][0] == 3
    assert {entry.path for entry in manifest.artifacts} == {f"artifacts/{path}" for path in kept}
    settings.ARTIFACT_ROOT = tmp_path / "elsewhere"
    with empty_database():
        with pytest.raises(BackupError, match="rows of web_notice cannot be taken in"):
            backup_restore(path=bad)
        assert digests_now()["comparisons_judgment"][0] == 0
        assert list((tmp_path / "elsewhere").iterdir()) == []
        backup_restore(path=target)
        assert digests_now() == rows
        training.model_version_verify(world.base.id)
        # the numbers of new rows go on where they were
        last = AuditEvent.objects.order_by("-pk")[0].pk
        assert AuditEvent.objects.create(actor="test", verb="wrote", target="after").pk > last
    restored = store_files(tmp_path / "elsewhere")
    assert restored.pop(STORE_MARKER)  # the new place is a store
    assert restored == kept


def test_a_tar_file_holds_what_a_folder_holds(world, tmp_path):
    folder, archive = tmp_path / "backup", tmp_path / "backup.tar"
    in_folder, _ = backup_make(target=folder)
    in_archive, _ = backup_make(target=archive)
    assert in_archive.files() == in_folder.files()
    assert backup_verify(path=archive) == in_archive
    assert backup_verify(path=folder) == in_folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700  # password hashes are inside
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600


def test_what_is_written_meanwhile_is_not_in_it(world, tmp_path):
    """The snapshot of the database is of one moment: a row that comes during the copy stays out."""

    class Writing(Watch):
        wrote = False

        def tick(self, count: int) -> None:
            if not self.wrote:
                self.wrote = True
                AuditEvent.objects.create(actor="other", verb="came", target="late")

    before = digests_now()
    manifest, _ = backup_make(target=tmp_path / "backup", watch=Writing())
    assert {table.name: (table.rows, table.sha256) for table in manifest.tables} == before
    assert digests_now()["web_auditevent"] != before["web_auditevent"]


def test_sessions_and_messages_stay_out(world, client, tmp_path):
    client.force_login(person_create("max", "lead"))
    manifest, _ = backup_make(target=tmp_path / "backup")
    assert "django_session" not in {table.name for table in manifest.tables}
    assert "django_session" in manifest.left_out


def damage_file(backup: Path) -> str:
    path = next(backup.rglob("model.safetensors"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    return "model.safetensors is not what was written"


def damage_cut(backup: Path) -> str:
    path = backup / "database" / "comparisons_judgment.copy.gz"
    path.write_bytes(path.read_bytes()[:-5])
    return "database/comparisons_judgment.copy.gz has"


def damage_missing(backup: Path) -> str:
    (backup / "database" / "web_notice.copy.gz").unlink()
    return "database/web_notice.copy.gz is missing"


def damage_manifest(backup: Path) -> str:
    path = backup / "manifest.json"
    path.write_text(path.read_text().replace('"rows": 3', '"rows": 2', 1))
    return "its manifest.json was changed"


def damage_manifest_cut(backup: Path) -> str:
    path = backup / "manifest.json"
    path.write_text(path.read_text()[:-100])
    return "its manifest.json cannot be read"


def damage_no_manifest(backup: Path) -> str:
    (backup / "manifest.json").unlink()
    return "it has no manifest.json"


def test_a_damaged_backup_is_refused_by_name(world, settings, tmp_path):
    backup_make(target=tmp_path / "backup")
    for damage in (
        damage_file, damage_cut, damage_missing, damage_manifest, damage_manifest_cut,
        damage_no_manifest,
    ):  # fmt: skip
        copy = tmp_path / damage.__name__
        shutil.copytree(tmp_path / "backup", copy)
        expected = damage(copy)
        with pytest.raises(BackupError, match=expected):
            backup_verify(path=copy)
        with pytest.raises(CommandError, match=damage.__name__):
            call_command("restore", str(copy))


def test_a_tar_file_that_was_cut_off_is_refused(world, tmp_path):
    whole = tmp_path / "backup.tar"
    backup_make(target=whole)
    backup_verify(path=whole)
    for left in (whole.stat().st_size // 2, 700, 0):
        cut = tmp_path / f"cut-{left}.tar"
        cut.write_bytes(whole.read_bytes()[:left])
        with pytest.raises(BackupError, match=cut.name):
            backup_verify(path=cut)


def test_a_backup_that_would_write_outside_of_its_place_is_refused(world, tmp_path):
    backup_make(target=tmp_path / "backup")

    def change(document):
        document["artifacts"][0]["path"] = "artifacts/../../outside"

    resealed(tmp_path / "backup", change)
    with pytest.raises(BackupError, match="would lie outside"):
        backup_verify(path=tmp_path / "backup")


def test_restore_goes_into_an_empty_place_only(world, store, settings, tmp_path):
    backup_make(target=tmp_path / "backup")
    before = digests_now()
    with pytest.raises(BackupError, match=r"artifact store .* is not empty"):
        backup_restore(path=tmp_path / "backup")
    settings.ARTIFACT_ROOT = tmp_path / "elsewhere"
    with pytest.raises(BackupError, match=r"database .* is not empty \(accounts_membership"):
        backup_restore(path=tmp_path / "backup")
    assert digests_now() == before
    assert not (tmp_path / "elsewhere").exists()
    settings.ARTIFACT_ROOT.mkdir()
    (
        settings.ARTIFACT_ROOT / f"{STORE_PROBE}left"
    ).touch()  # of a check that was killed: no content
    with pytest.raises(BackupError, match=r"database .* is not empty"):
        backup_restore(path=tmp_path / "backup")


def test_stopping_leaves_nothing_behind(world, tmp_path):
    def stop(name):
        with pytest.raises(BackupCancelled):
            backup_make(target=tmp_path / "kept" / name, watch=Watch(cancelled=lambda: True))

    (tmp_path / "kept").mkdir()
    stop("backup")
    stop("backup.tar")
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_damaged_artifact_stops_the_backup_unless_it_may_be_left_out(world, store, tmp_path):
    weights = next(store.glob("models/*/model.safetensors"))
    weights.write_bytes(b"rotten")
    with pytest.raises(BackupError, match=r"model base policy .* not what was recorded"):
        backup_make(target=tmp_path / "first")
    shutil.rmtree(weights.parent)
    manifest, left_out = backup_make(target=tmp_path / "second", leave_out_damaged=True)
    assert [sentence for sentence in left_out if "it is not there" in sentence]
    assert backup_verify(path=tmp_path / "second") == manifest


def test_what_retention_took_is_not_missed(world, tmp_path):
    """A run that was cleared, and another that read what it had made."""
    cleared = Run.objects.get()
    (cleared.directory / "model").mkdir()
    gone = cleared.directory / "model" / "model.safetensors"
    gone.write_bytes(b"weights")
    reference = {"path": str(gone.parent), "sha256": path_sha256(gone.parent)}
    reader = Run.objects.create(
        line=world.line.id, kind="ppo", seed=1, state="succeeded", spec_sha256="",
        spec={"inputs": {"policy": reference}},
    )  # fmt: skip
    Run.objects.update(finished_at=timezone.now() - timedelta(days=90))
    retention_carry_out(rule=Rule(rounds=1, days=30), actor="test")
    assert not gone.exists()
    manifest, left_out = backup_make(target=tmp_path / "backup")
    assert left_out == []
    kept = [entry.path for entry in manifest.artifacts if str(cleared.id) in entry.path]
    assert kept == [f"artifacts/runs/{cleared.id}/events.jsonl"]
    reader.refresh_from_db()
    assert reader.cleared_at is None  # it made nothing that could go


def test_an_existing_target_is_never_written_over(world, tmp_path):
    (tmp_path / "backup").mkdir()
    with pytest.raises(BackupError, match="is there already"):
        backup_make(target=tmp_path / "backup")
    with pytest.raises(BackupError, match="is no folder"):
        backup_make(target=tmp_path / "nowhere" / "backup")


@pytest.mark.parametrize("name", ["backup.tar.gz", "backup.TGZ", "backup.zip"])
def test_a_name_of_a_packed_file_is_not_made_a_folder(world, tmp_path, name):
    with pytest.raises(BackupError, match=r"one file ending in \.tar"):
        backup_make(target=tmp_path / name)
    assert not (tmp_path / name).exists()


def test_two_at_once_are_kept_apart(world, tmp_path):
    with maintenance_lock("a test"), pytest.raises(BackupError, match="is under way"):
        backup_make(target=tmp_path / "backup")


def test_the_commands_say_what_they_did(world, settings, tmp_path, capsys):
    target = tmp_path / "backup.tar"
    call_command("backup", str(target))
    call_command("restore", str(target), "--verify")
    said = capsys.readouterr().out
    assert f"{target}: " in said
    assert f"{target} is whole: " in said
    assert AuditEvent.objects.filter(verb="made backup").count() == 1
    with tarfile.open(target) as archive:
        assert archive.getnames()[-1] == "manifest.json"
