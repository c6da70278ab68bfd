from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from web.files import file_write, file_written


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
