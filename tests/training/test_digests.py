import hashlib
import json
import os
import stat

import pytest

from training.core.run.artifacts import directory_write, file_write
from training.digests import DigestError, artifact_verify, path_sha256


def write_two_files(path):
    (path / "a.txt").write_bytes(b"alpha")
    (path / "sub").mkdir()
    (path / "sub" / "b.txt").write_bytes(b"beta")


def test_directory_digest_is_the_hash_of_the_sorted_file_hashes(tmp_path):
    written = directory_write(tmp_path / "x", write_two_files)
    files = {
        "a.txt": hashlib.sha256(b"alpha").hexdigest(),
        "sub/b.txt": hashlib.sha256(b"beta").hexdigest(),
    }
    by_hand = json.dumps(files, sort_keys=True, separators=(",", ":")).encode()
    assert written.sha256 == hashlib.sha256(by_hand).hexdigest()
    assert json.loads((tmp_path / "x" / "manifest.json").read_text())["files"] == files


def test_same_content_has_the_same_digest_elsewhere_and_without_its_manifest(tmp_path):
    one = directory_write(tmp_path / "one", write_two_files)
    two = directory_write(tmp_path / "two" / "deep", write_two_files)
    (two.path / "manifest.json").unlink()
    assert one.sha256 == path_sha256(two.path) == artifact_verify(two.path, one.sha256)


def test_a_run_leaves_files_that_the_users_of_its_group_can_read(tmp_path):
    """Libraries write weights with 0600, and a worker of another user reads what a run made."""

    def write_closed(path):
        write_two_files(path)
        (path / "a.txt").chmod(0o600)
        (path / "sub").chmod(0o700)

    before = os.umask(0o007)
    try:
        made = directory_write(tmp_path / "x", write_closed).path
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(p.stat().st_mode) for p in (made, made / "sub", made / "a.txt")]
    assert modes == [0o770, 0o770, 0o660]


def test_changed_missing_and_extra_files_are_named(tmp_path):
    written = directory_write(tmp_path / "x", write_two_files)
    (written.path / "sub" / "b.txt").write_bytes(b"betA")
    with pytest.raises(DigestError, match=r"sub/b\.txt: its SHA-256 is"):
        artifact_verify(written.path, written.sha256)
    (written.path / "sub" / "b.txt").unlink()
    with pytest.raises(DigestError, match=r"sub/b\.txt: the file is missing"):
        artifact_verify(written.path)
    (written.path / "sub" / "b.txt").write_bytes(b"beta")
    (written.path / "c.txt").write_bytes(b"")
    with pytest.raises(DigestError, match=r"c\.txt: the file is not in"):
        artifact_verify(written.path)


def test_whole_artifact_with_another_digest_than_recorded_is_refused(tmp_path):
    written = directory_write(tmp_path / "x", write_two_files)
    with pytest.raises(DigestError, match="was recorded"):
        artifact_verify(written.path, "0" * 64)


def test_failed_write_leaves_nothing_and_replacing_leaves_no_remains(tmp_path):
    def fail(path):
        (path / "half").write_text("x")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        directory_write(tmp_path / "x", fail)
    assert not (tmp_path / "x").exists()
    directory_write(tmp_path / "x", write_two_files)
    directory_write(tmp_path / "x", lambda path: (path / "new").touch())
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert sorted(p.name for p in (tmp_path / "x").iterdir()) == ["manifest.json", "new"]


def test_guard_vetoes_before_the_rename(tmp_path):
    calls = []

    def guard():
        calls.append(1)
        if len(calls) == 2:
            raise PermissionError("fenced off")

    with pytest.raises(PermissionError):
        directory_write(tmp_path / "x", write_two_files, guard=guard)
    assert not (tmp_path / "x").exists()


def test_file_write_replaces_atomically(tmp_path):
    file_write(tmp_path / "f", b"one")
    assert file_write(tmp_path / "f", b"two").sha256 == hashlib.sha256(b"two").hexdigest()
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
