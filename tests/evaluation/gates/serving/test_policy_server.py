"""The real server on real (tiny) weights: deploy, ask, switch, ask again, crash, stop."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import urlopen
from uuid import UUID

import pytest
from django.conf import settings as site
from django.db import connection

from evaluation import facade
from evaluation.gates.canary_models import Canary
from evaluation.gates.canary_pages import canary_shown
from evaluation.gates.records import LineDeployment
from evaluation.gates.serving.client import (
    CHAT,
    VERSION,
    PolicyUnavailable,
    ReplicasUp,
    policy_ask,
    policy_replicas,
)
from evaluation.gates.serving.engine import free_port
from tests.evaluation.gates.world import LineWorld, deployment_get
from tests.support.people import person_create
from tests.support.recipe_processes import forked_call
from training import facade as training
from web.models import Notice
from web.voices import policy_asked

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).resolve().parents[4]
QUESTION = [{"role": "user", "content": "What is 7 plus 5?"}]
PATIENCE = 180.0


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two tiny Llamas with different weights, made outside this process: the site has no torch."""
    root = tmp_path_factory.mktemp("weights")
    paths = root / "first", root / "second"
    forked_call("tests.support.tiny_models", "tiny_policy_artifacts", *paths)
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
    """Of all its threads: each replica is the child of the one that looks after it."""
    found = [
        path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children") if path.exists()
    ]
    return [int(child) for text in found for child in text.split()]


def asked_at_once(child: int) -> int:
    """How many connections to this server there are, by its port."""
    words = Path(f"/proc/{child}/cmdline").read_text().split("\0")
    port = f":{int(words[words.index('--port') + 1]):04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(port) and row[3] == "01" for row in rows)


class Server:
    """`manage.py policy_server` on the test database, as `make up` runs it."""

    def __init__(self, line: UUID, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.log = folder / "command.log"
        command = [
            sys.executable, "manage.py", "policy_server", "--line", str(line),
            "--name", "help-desk", "--port", str(self.port), *options,
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
        return policy_ask(QUESTION, port=self.port, max_tokens=12, **options)

    def said(self, user: str) -> UUID:
        """Which version answered this user; a call that is not answered is an error."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        body = json.dumps({"messages": QUESTION, "max_tokens": 12, "user": user})
        connection.request("POST", CHAT, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        document = json.loads(response.read())
        assert response.status == 200, document
        assert isinstance(document["choices"][0]["message"]["content"], str)
        return UUID(response.headers[VERSION])

    def health(self) -> dict[str, Any]:
        with urlopen(f"http://127.0.0.1:{self.port}/health", timeout=20) as response:
            return dict(json.load(response))

    def answers(self) -> bool:
        try:
            self.ask(timeout=20)
        except PolicyUnavailable:
            return False
        return True

    def served(self, deployment: LineDeployment) -> None:
        eventually(lambda: deployment_get(deployment.id).served_at, self.process, self.log)


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


def test_deploy_ask_switch_crash_and_stop(world: LineWorld, server: Server, settings: Any) -> None:
    server.served(world.deploy_first())
    first = server.ask()
    world.decide()
    server.served(world.deploy())
    second = server.ask()
    assert first != second  # other weights answer otherwise
    settings.POLICY_SERVER_HOST, settings.POLICY_SERVER_PORT = "127.0.0.1", server.port
    written = [
        each.by for each in policy_asked(line_id=world.line, messages=QUESTION, seeds=[1, 2])
    ]
    writers = [by for by in written if by is not None]
    assert [by.model_version for by in writers] == [world.candidate.id] * 2
    assert all(by.sampling["max_new_tokens"] > 0 for by in writers)
    # the old one goes once its requests have ended
    eventually(lambda: len(children_of(server.process.pid)) == 1, server.process, server.log)
    (child,) = children_of(server.process.pid)
    os.kill(child, signal.SIGKILL)
    eventually(lambda: not alive(child), server.process, server.log)
    eventually(server.answers, server.process, server.log)
    assert server.ask() == second  # greedy: the same again
    (child,) = children_of(server.process.pid)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0
    assert not alive(child)
    with pytest.raises(PolicyUnavailable):
        server.ask()


def test_a_canary_is_killed_while_it_is_asked_comes_back_and_cannot_start_again(
    world: LineWorld, server: Server
) -> None:
    """None of the calls is lost, and the deployed policy's server is the same all the time."""
    engineer = person_create("engineer", "engineer", line=world.line)
    server.served(world.deploy_first())
    (deployed,) = children_of(server.process.pid)
    world.decide()
    facade.canary_start(
        line_id=world.line, version_id=world.candidate.id, round_id=world.round, share=50,
        actor="round",
    )  # fmt: skip

    def canary_answers() -> bool:
        return Canary.objects.get().served_at is not None and not Canary.objects.get().served_error

    def killed(child: int) -> None:
        os.kill(child, signal.SIGKILL)
        eventually(lambda: Canary.objects.get().served_error, server.process, server.log)
        shown = canary_shown(world.line)
        assert shown is not None
        assert shown.state == "failing"

    eventually(canary_answers, server.process, server.log)
    assert server.health()["canary"] == {"up": 1, "of": 1}
    (child,) = set(children_of(server.process.pid)) - {deployed}
    sides = {user: server.said(user) for user in (f"user {n}" for n in range(16))}
    assert set(sides.values()) == {world.incumbent.id, world.candidate.id}
    mine = [user for user, version in sides.items() if version == world.candidate.id]
    os.kill(child, signal.SIGSTOP)  # so that all of the calls are under way when it is killed
    with ThreadPoolExecutor(len(mine)) as pool:
        under_way = [pool.submit(server.said, user) for user in mine]
        eventually(lambda: asked_at_once(child) >= len(mine), server.process, server.log)
        killed(child)
        assert {call.result(PATIENCE) for call in under_way} == {world.incumbent.id}
    crash = Notice.objects.filter(user=engineer, text__contains="SIGKILL")
    eventually(crash.exists, server.process, server.log)
    assert server.health()["canary"] == {"up": 0, "of": 1}

    def back() -> bool:
        """Every call is answered meanwhile, by a version that may."""
        said = {user: server.said(user) for user in sides}
        assert all(said[user] in (version, world.incumbent.id) for user, version in sides.items())
        return said == sides

    eventually(back, server.process, server.log)
    assert canary_answers()
    assert Canary.objects.get().crashes == 1
    (child,) = set(children_of(server.process.pid)) - {deployed}
    shutil.rmtree(world.candidate.path)
    killed(child)
    told = Notice.objects.filter(user=engineer, text__contains="The canary cannot be served")
    eventually(told.exists, server.process, server.log)
    assert {server.said(user) for user in sides} == {world.incumbent.id}
    assert children_of(server.process.pid) == [deployed]


def test_of_two_replicas_one_is_killed_and_a_switch_replaces_both(
    world: LineWorld, artifacts: Path
) -> None:
    server = Server(world.line, artifacts, "--replicas", "2")
    where: Any = {"host": "127.0.0.1", "port": server.port}
    both = ReplicasUp(2, 2)
    try:
        server.served(world.deploy_first())
        first = server.ask()
        assert policy_replicas(**where) == both
        killed, other = children_of(server.process.pid)
        os.kill(killed, signal.SIGKILL)
        assert [server.ask() for _ in range(4)] == [first] * 4
        eventually(lambda: policy_replicas(**where) == both, server.process, server.log)
        assert killed not in (children := children_of(server.process.pid))
        assert other in children
        world.decide()
        server.served(world.deploy())
        assert len({server.ask() for _ in range(4)} | {first}) == 2
        eventually(lambda: len(children_of(server.process.pid)) == 2, server.process, server.log)
        assert not set(children) & set(children_of(server.process.pid))
    finally:
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(20)
