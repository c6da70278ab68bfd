from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from web.files import file_write, file_written, rights_share


def test_a_file_is_there_whole_with_the_rights_of_any_other(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.txt"
    file_write(path, "grüße")
    (tmp_path / "other").touch()
    assert path.read_bytes() == "grüße".encode()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)
    assert [p.name for p in path.parent.iterdir()] == ["x.txt"]


def test_a_reader_meets_the_earlier_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    file_write(path, b"old")
    with file_written(path) as stream:
        stream.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


def test_where_writing_fails_the_earlier_file_stays_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    file_write(path, b"old")

    def stopped() -> None:
        with file_written(path) as stream:
            stream.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.txt"]


def test_content_and_name_are_synced_in_that_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = list[str]()
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    )
    file_write(tmp_path / "x.txt", b"x")
    content, name = synced
    assert Path(content).name.startswith(".x.txt.tmp-")
    assert name == str(tmp_path)
    file_write(tmp_path / "y.txt", b"y", durable=False)
    assert synced == [content, name]


def test_two_writers_do_not_meet_in_one_half_file(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    with file_written(path) as first, file_written(path) as second:
        first.write(b"first")
        second.write(b"second")
    assert path.read_bytes() == b"first"


def test_what_a_library_wrote_for_its_owner_alone_gets_the_rights_of_its_folder(
    tmp_path: Path,
) -> None:
    shared, made = tmp_path / "shared", tmp_path / "made"
    shared.mkdir()
    shared.chmod(0o2770)
    (made / "inside").mkdir(parents=True)
    for path, mode in ((made, 0o2700), (made / "inside", 0o700)):
        path.chmod(mode)
    for name, mode in (("model.safetensors", 0o600), ("readable.json", 0o644)):
        (made / "inside" / name).touch(mode=mode)
    (made / "link").symlink_to("nowhere")
    rights_share(made, like=shared)
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in (made, *made.glob("inside/*"))
    }
    assert modes == {"made": 0o2770, "model.safetensors": 0o660, "readable.json": 0o664}
    assert stat.S_IMODE((made / "inside").stat().st_mode) == 0o770
