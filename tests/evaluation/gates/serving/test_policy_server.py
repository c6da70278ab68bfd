"""The real server on real (tiny) weights: deploy, ask, switch, ask again, roll back, stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings as site
from django.db import connection

from evaluation import facade
from evaluation.gates.serving.engine import EngineError, engine_start, free_port
from tests.evaluation.gates.world import LineWorld
from training import facade as training

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).resolve().parents[4]
QUESTION = [{"role": "user", "content": "What is 7 plus 5?"}]
PATIENCE = 180.0

MAKE = "from pathlib import Path; import sys\n" + (
    "from tests.support.tiny_models import tiny_policy_artifact\n"
    "for i, path in enumerate(sys.argv[1:]): tiny_policy_artifact(Path(path), seed=i)\n"
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two tiny Llamas with different weights, made outside this process: the site has no torch."""
    root = tmp_path_factory.mktemp("weights")
    paths = root / "first", root / "second"
    command = [sys.executable, "-c", MAKE, *map(str, paths)]
    subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, timeout=PATIENCE)
    return paths


def eventually(holds: Callable[[], Any], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.3)


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def children_of(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


class Server:
    """`manage.py policy_server` on the test database, as `make up` runs it."""

    def __init__(self, line: UUID, folder: Path) -> None:
        self.port = free_port()
        self.log = folder / "command.log"
        command = [
            sys.executable, "manage.py", "policy_server", "--line", str(line),
            "--name", "help-desk", "--port", str(self.port),
        ]  # fmt: skip
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                command, cwd=CHECKOUT, env=self._environment(folder), stdout=out, stderr=out
            )

    def _environment(self, folder: Path) -> dict[str, str]:
        database = connection.settings_dict
        host = str(database["HOST"]).replace("/", "%2F")
        where = f"{host}:{database['PORT']}" if database["PORT"] else host
        secret = f":{database['PASSWORD']}" if database["PASSWORD"] else ""
        return {
            **os.environ,
            "DATABASE_URL": f"postgresql://{database['USER']}{secret}@{where}/{database['NAME']}",
            "DJANGO_SETTINGS_MODULE": "outerloop.settings.dev",
            "OUTERLOOP_VAR": str(folder / "var"),
            "OUTERLOOP_ARTIFACTS": str(site.ARTIFACT_ROOT),
            "OMP_NUM_THREADS": "1",
        }

    def ask(self, **options: Any) -> str:
        return facade.policy_ask(QUESTION, port=self.port, max_tokens=12, **options)

    def served(self, deployment: facade.LineDeployment) -> None:
        eventually(lambda: facade.deployment_get(deployment.id).served_at, self.process, self.log)


@pytest.fixture
def world(artifacts: Path, weights: tuple[Path, Path], transactional_db: None) -> LineWorld:
    made = LineWorld(artifacts)
    made.incumbent, made.candidate = (
        training.model_version_import(line_id=made.line, kind="policy", path=path, name=path.name)
        for path in weights
    )
    return made


@pytest.fixture
def server(world: LineWorld, artifacts: Path) -> Iterator[Server]:
    made = Server(world.line, artifacts)
    yield made
    made.process.kill()
    made.process.wait()


def test_deploy_ask_switch_ask_roll_back_and_stop(world: LineWorld, server: Server) -> None:
    server.served(world.deploy_first())
    first = server.ask()
    world.decide()
    server.served(world.deploy())
    second = server.ask()
    assert first != second  # other weights answer otherwise
    assert second == server.ask()  # greedy: the same again
    back = facade.rollback(
        line_id=world.line, to_version=world.incumbent.id, actor="ada", reason="To try it out."
    )
    server.served(back)
    assert server.ask() == first
    (child,) = children_of(server.process.pid)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0
    assert not alive(child)
    with pytest.raises(facade.PolicyUnavailable):
        server.ask()


def test_a_killed_child_is_replaced_and_a_killed_supervisor_leaves_no_child(
    world: LineWorld, server: Server
) -> None:
    server.served(world.deploy_first())
    before = server.ask()
    (child,) = children_of(server.process.pid)
    os.kill(child, signal.SIGKILL)

    def answers_again() -> bool:
        try:
            return server.ask(timeout=5) == before
        except facade.PolicyUnavailable:
            return False

    eventually(answers_again, server.process, server.log)
    (child,) = children_of(server.process.pid)
    server.process.kill()
    server.process.wait()
    deadline = time.monotonic() + 30
    while alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_an_artifact_that_cannot_be_loaded_says_why(artifacts: Path) -> None:
    broken = artifacts / "broken"
    broken.mkdir()
    (broken / "config.json").write_text('{"model_type": "no-such-model"}')
    with pytest.raises(EngineError, match="ended with status") as caught:
        engine_start(broken, name="policy", home=artifacts / "home", timeout=PATIENCE)
    assert "Its last lines" in str(caught.value)
    assert not list((artifacts / "home").glob("port-*"))


def test_nothing_is_asked_of_a_port_nobody_listens_on() -> None:
    with pytest.raises(facade.PolicyUnavailable, match="No answer"):
        facade.policy_ask(QUESTION, port=free_port(), timeout=2)
