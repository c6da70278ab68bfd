"""Starting and ending a server process, without the weight of a real one."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluation.gates.serving import engine
from evaluation.gates.serving.client import PolicyUnavailable, policy_ask
from evaluation.gates.serving.engine import EngineError, engine_start, free_port
from tests.support.fake_server import ANSWERS

CHECKOUT = Path(__file__).resolve().parents[4]
QUESTION = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a small program in the place of the server."""

    def put(source: str) -> None:
        def command(name: str, port: int) -> list[str]:
            return [sys.executable, "-c", source, name, str(port)]

        monkeypatch.setattr(engine, "_command", command)

    return put


def test_the_artifact_is_served_offline_under_a_stable_name(
    program: Callable[[str], None], tmp_path: Path
) -> None:
    program(ANSWERS)
    artifact = tmp_path / "artifact-1"
    artifact.mkdir()
    server = engine_start(artifact, name="help-desk", home=tmp_path / "home", timeout=30)
    assert policy_ask(QUESTION, port=server.port, host="127.0.0.1") == f"{artifact}1"
    server.stop()
    assert not server.alive()
    assert not list((tmp_path / "home").glob("port-*"))


def test_a_server_that_ends_says_why(program: Callable[[str], None], tmp_path: Path) -> None:
    program("raise SystemExit('no memory is left')")
    with pytest.raises(EngineError, match=r"(?s)ended with status 1.*no memory is left"):
        engine_start(tmp_path, name="policy", home=tmp_path / "home", timeout=30)
    assert not list((tmp_path / "home").glob("port-*"))


def test_a_server_that_does_not_come_up_in_time_is_stopped(
    program: Callable[[str], None], tmp_path: Path
) -> None:
    program("import time; time.sleep(600)")
    with pytest.raises(EngineError, match="not up in time"):
        engine_start(tmp_path, name="policy", home=tmp_path / "home", timeout=0.5)


def test_a_start_is_called_off_when_the_supervisor_stops(
    program: Callable[[str], None], tmp_path: Path
) -> None:
    program("import time; time.sleep(600)")
    started = time.monotonic()
    with pytest.raises(EngineError, match="called off"):
        engine_start(
            tmp_path, name="policy", home=tmp_path / "home", timeout=60, cancelled=lambda: True
        )
    assert time.monotonic() - started < 50


def test_a_port_that_nobody_listens_on_is_no_answer() -> None:
    with pytest.raises(PolicyUnavailable, match="No answer"):
        policy_ask(QUESTION, host="127.0.0.1", port=free_port(), timeout=2)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel must tell the child")
def test_a_child_ends_with_a_parent_that_is_killed_outright() -> None:
    sleeper = [sys.executable, "-c", "print('up', flush=True); import time; time.sleep(600)"]
    parent_source = (
        "import os, subprocess, sys, time\n"
        "child = [sys.executable, '-m', 'evaluation.gates.serving.child', str(os.getpid())]\n"
        f"print(subprocess.Popen([*child, *{sleeper!r}]).pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", parent_source], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    lines = {parent.stdout.readline().strip(), parent.stdout.readline().strip()}
    child = int((lines - {"up"}).pop())
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 20
    while _alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_the_engine_inherits_no_secret_and_asks_no_hub(monkeypatch, tmp_path):
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:word@host/loop")
    monkeypatch.setenv("OUTERLOOP_SECRET_KEY", "s" * 50)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    found = engine._environment(tmp_path)
    assert not {"DATABASE_URL", "OUTERLOOP_SECRET_KEY"} & found.keys()
    assert found["HF_HUB_OFFLINE"] == "1"


def test_a_replica_sees_its_own_gpus_and_has_a_log_of_its_own(program, monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    program("import os; raise SystemExit(os.environ.get('CUDA_VISIBLE_DEVICES', 'all of them'))")
    home = tmp_path / "home"
    for number, gpus, said in ((1, (), "all of them"), (2, ("1", "3"), "1,3")):
        with pytest.raises(EngineError, match=said):
            engine_start(tmp_path, name="p", home=home, timeout=30, number=number, gpus=gpus)
    assert sorted(path.name for path in home.glob("*.log")) == ["server-2.log", "server.log"]
    assert (home / "server-2.log").read_text().strip() == "1,3"
