"""Who holds what, whatever was killed or left behind."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command

from outerloop.operations.management.commands.doctor import findings
from outerloop.processes.lines import process_lines
from outerloop.processes.preparing import port_problem
from outerloop.processes.sharing import Holder, SharedLock, mine
from tests.support.documented import assert_said
from tests.support.postgres import free_port


@pytest.fixture(autouse=True)
def own_place(settings, tmp_path):
    settings.VAR_DIR = tmp_path


@pytest.fixture
def held():
    """Every process of an installation runs, as the locks say."""
    locks = [SharedLock(line.name) for line in process_lines()]
    for lock in locks:
        assert lock.take()
        lock.say(Holder(4711, os.getpid(), "http://127.0.0.1:9/"))
    yield locks
    for lock in locks:
        lock.release()


def test_one_at_a_time_holds_a_lock():
    first, second = SharedLock("beat"), SharedLock("beat")
    assert first.take()
    first.say(mine())
    assert not second.take()
    assert second.holder() == Holder(os.getpid(), os.getpid())
    first.release()
    assert second.holder() is None
    assert second.take()
    second.release()


def test_installations_on_other_databases_do_not_meet(settings):
    here = SharedLock("beat")
    assert here.take()
    settings.DATABASE_URL = "postgresql:///another"
    there = SharedLock("beat")
    assert there.take()
    there.release()
    here.release()


def test_a_child_keeps_the_lock_of_a_holder_that_is_gone():
    lock = SharedLock("worker")
    assert lock.take()
    lock.say(mine())
    child = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lock.descriptor]
    )
    lock.release()
    assert SharedLock("worker").holder() == Holder(os.getpid(), os.getpid())
    child.communicate(b"\n")
    assert SharedLock("worker").holder() is None


def test_up_beside_a_running_installation_ends_in_a_sentence(held, capsys):
    call_command("up")
    said = capsys.readouterr().out
    assert said.startswith("This installation runs already at http://127.0.0.1:9/;")
    assert "site 4711, worker 4711" in said
    assert f"End process {os.getpid()}, and they end with it." in said


def test_up_names_what_a_killed_one_left_behind(held, capsys):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for lock in held:
        lock.say(Holder(4711, ended.pid))
    call_command("up")
    assert "`kill 4711 4711 4711 4711 4711 4711 4711` ends them." in capsys.readouterr().out


def test_a_port_that_another_program_has_is_named(live_port):
    with pytest.raises(CommandError, match=f"Port {live_port} of 127.0.0.1 is taken"):
        call_command("up", port=live_port)


@pytest.fixture
def live_port():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert "is taken by another program" in port_problem("127.0.0.1", port)
        yield port
    assert port_problem("127.0.0.1", free_port()) == ""


@pytest.mark.parametrize("host", ["no such host", "192.0.2.1", "::zz"])
def test_an_address_of_another_machine_is_not_called_taken(host):
    assert_said("address of another machine", port_problem(host, 8000))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("up", ("--port", "99999")),
        ("up", ("--port", "0")),
        ("demo", ("--port", "-1")),
        ("demo", ("--rounds", "-1")),
        ("demo", ("--seed", "-1")),
        ("retention", ("--days", "99999999999")),
        ("retention", ("--rounds", "99999999999999999999999")),
        ("retention", ("--rounds", "0")),
    ],
)
def test_numbers_that_cannot_be_meant_are_refused_before_anything_starts(command, words):
    with pytest.raises(CommandError) as refusal:
        call_command(command, *words)
    assert_said("number that cannot be meant", str(refusal.value))


@pytest.mark.django_db
def test_the_doctor_says_what_runs(held):
    said = {finding.name: finding.says for finding in findings()}["Processes"]
    assert "gpu (4711)" in said
    assert said.endswith("run, the site at http://127.0.0.1:9/")
    for lock in held:
        lock.release()
    assert "`make up` starts them" in {f.name: f.says for f in findings()}["Processes"]
