from __future__ import annotations

import os
import shutil
import signal
import stat

import psycopg
import pytest

from outerloop.embedded_postgres import SOCKET_PATH_LIMIT, server_ensure, server_place, server_stop

pytestmark = pytest.mark.slow


@pytest.fixture
def checkout(tmp_path):
    """A checkout below a folder that only its owner may enter."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    place = private / "checkout"
    place.mkdir()
    yield place
    server_stop(place)
    shutil.rmtree(server_place(place).home, ignore_errors=True)


def modes(path):
    return {p: stat.S_IMODE(p.stat().st_mode) for p in [path, *path.parents]}


def test_it_starts_answers_and_stops_and_widens_no_folder(checkout):
    before = modes(checkout)
    place = server_ensure(checkout)
    with psycopg.connect(f"host={place.sockets} user=postgres dbname=outerloop") as connection:
        row = connection.execute("SHOW server_version").fetchone()
    assert row is not None
    assert row[0].startswith("18")
    assert modes(checkout) == before
    assert stat.S_IMODE(place.sockets.stat().st_mode) == 0o700
    assert server_stop(checkout)
    assert not server_place(checkout).running


def test_starting_twice_keeps_the_data(checkout):
    place = server_ensure(checkout)
    conninfo = f"host={place.sockets} user=postgres dbname=outerloop"
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (x int)")
    server_stop(checkout)
    server_ensure(checkout)
    with psycopg.connect(conninfo) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_a_killed_server_is_started_again_with_its_data(checkout):
    place = server_ensure(checkout)
    conninfo = f"host={place.sockets} user=postgres dbname=outerloop"
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (x int)")
        os.kill(place.pid or 0, signal.SIGKILL)  # its backend is still there
        server_ensure(checkout)
    with psycopg.connect(conninfo) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_a_number_that_another_program_has_by_now_is_no_server(checkout):
    place = server_ensure(checkout)
    server_stop(checkout)
    (place.data / "postmaster.pid").write_text(f"{os.getpid()}\n{place.data}\n")
    assert not place.running
    assert not server_stop(checkout)
    assert server_ensure(checkout).running


def test_two_checkouts_have_two_places(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    assert server_place(first).data != server_place(second).data
    assert len(str(server_place(first).sockets)) <= SOCKET_PATH_LIMIT
    assert server_place(first) == server_place(first)
    assert os.path.exists(first / "var" / "installation")
