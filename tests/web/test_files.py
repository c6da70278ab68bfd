"""Files that are there whole or not at all."""

from __future__ import annotations

import pytest

from web.files import file_written


@pytest.mark.parametrize("durable", [True, False])
def test_a_file_appears_when_the_block_has_ended(tmp_path, durable):
    path = tmp_path / "new" / "file.txt"
    with file_written(path, durable=durable) as file:
        file.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_what_was_there_and_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    path.write_bytes(b"before")

    def broken_off() -> None:
        with file_written(path) as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken_off()
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_do_not_meet_in_one_half_file(tmp_path):
    path = tmp_path / "file.txt"
    with file_written(path) as first, file_written(path) as second:
        first.write(b"first")
        second.write(b"second")
    assert path.read_bytes() == b"first"
