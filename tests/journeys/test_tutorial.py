"""The tutorial, done: its commands are read out of its text and run as they stand, and what it says is
looked for on the pages.

Only sizes, ports and learning programs are others (`QUICK=1`, `--quick`, `PORT`, `tests.support.fake_world`).
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fake_runs import eventually
from tests.support.postgres import free_port
from tests.support.visitor import Visitor

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).resolve().parents[2]
TUTORIAL = CHECKOUT / "docs" / "tutorial" / "first-round.md"
PATIENCE = 240
SECOND = "help-desk-quick-seed-8"


def commands() -> list[str]:
    """The tutorial's code blocks, in order, a line that goes on below as one."""
    blocks = re.findall(r"^```\n(.*?)^```$", TUTORIAL.read_text(), flags=re.M | re.S)
    return [block.strip().replace("\\\n", "") for block in blocks]


def answer(curl: str, port: str) -> str:
    """What the tutorial's question to the deployed policy is answered; "" while nobody listens."""
    address = "".join(re.findall(r"http://\S+", curl)).replace(":8001/", f":{port}/")
    (body,) = re.findall(r"-d '(.+)'", curl)
    asked = urllib.request.Request(address, body.encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=10) as found:
            return str(json.load(found)["choices"][0]["message"]["content"])
    except OSError:
        return ""


def _as_in_a_terminal() -> None:
    """Ctrl-C is heard there, also where the tests run in the background of a shell, which ignores it."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Terminal:
    """A terminal in which somebody types one command."""

    def __init__(self, command: str, folder: Path, name: str, environment: dict[str, str]) -> None:
        self.output = folder / f"{name}.out"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                shell=True,
                cwd=CHECKOUT,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_as_in_a_terminal,
            )

    @property
    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def says(self, pattern: str) -> str:
        """Wait until it does; what stands in the pattern's brackets."""

        def found() -> str | None:
            match = re.search(pattern, self.text)
            assert match or self.process.poll() is None, self.text
            return match.group(1) if match else None

        return str(eventually(found, seconds=PATIENCE))

    def control_c(self) -> int:
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(60)

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGHUP)
            self.process.wait(60)


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    database = f"tutorial_{os.getpid()}"
    yield {
        "DATABASE_URL": "",
        "OUTERLOOP_DATABASE": database,
        "OUTERLOOP_VAR": str(tmp_path / "var"),
        "DJANGO_SETTINGS_MODULE": "tests.support.fake_world.settings",
        "POLICY_SERVER_PORT": str(free_port()),
        "OUTERLOOP_HEARTBEAT_SECONDS": "1",
        "FAKE_RECIPE": json.dumps({"world": True}),
        "OUTERLOOP_CHILD_VARIABLES": "FAKE_RECIPE",
        "COLUMNS": "200",
    }
    import psycopg

    from outerloop.embedded_postgres import SUPERUSER, server_ensure

    host = server_ensure().sockets
    with psycopg.connect(f"host={host} user={SUPERUSER} dbname=postgres", autocommit=True) as it:
        it.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")


def test_the_tutorial_does_what_it_says(tmp_path: Path, environment: dict[str, str]) -> None:
    start, second, curl = commands()
    assert start == "make demo"
    port = free_port()
    # 1. the site is up before the loop turns, with four sign-ins
    make = f"make -o .venv/.installed demo QUICK=1 PORT={port}"
    first = Terminal(start.replace("make demo", make), tmp_path, "first", environment)
    terminals = [first]
    try:
        address = first.says(r"The site is up: (\S+)")
        assert address == f"http://127.0.0.1:{port}/"
        first.says(r"(Sign in as engineer)")
        signs = dict(re.findall(r"(?:\w+) +([\w-]+) +(\w+-\w+-\d\d)", first.text))
        assert signs.keys() == {"annotator", "engineer", "lead", "second-lead"}
        engineer = Visitor(address)
        engineer.sign_in("engineer", signs["engineer"])
        assert "Help desk (demo, seed 7)" in engineer.read("/lines/")

        # 3. a second demo beside it, on the same processes, that asks a lead
        assert second.startswith(".venv/bin/python manage.py demo --seed 8")
        other = Terminal(f"{second} --quick", tmp_path, "second", environment)
        terminals.append(other)
        lead = Visitor(address)
        lead.sign_in("lead", signs["lead"])
        eventually(lambda: "Help desk (demo, seed 8)" in lead.read("/lines/"), seconds=PATIENCE)
        promotions = f"/lines/{SECOND}/promotions/"
        assert "a lead reads the report and approves the deployment" in lead.read(promotions)
        assert "Saved. Approvals count from the next round on" in lead.press(
            promotions, promotions="wait", release_gate_labels="never"
        )
        other.says(r"(Running elsewhere already, and shared: worker, files, webhooks, gpu, beat)")

        # 2. an annotator has something to compare once the first policy has written its pairs
        first.says(r"(labels for round 1)")
        annotator = Visitor(address)
        annotator.sign_in("annotator", signs["annotator"])
        assert "Help desk (demo, seed 7)" in annotator.read("/")

        # 4. a lead is asked, reads, approves
        other.says(r"(round 1: waiting for approval)")
        assert "Help desk (demo, seed 8)" in lead.read("/")
        report = lead.read(f"/lines/{SECOND}/rounds/1/report/")
        assert "PROMOTE" in report
        assert "Approve and deploy" in report
        lead.press(f"/lines/{SECOND}/rounds/1/approve/", approve="1")
        assert other.process.wait(PATIENCE) == 0, other.text
        first.says(r"(The site stays up)")
        assert '"verdict": "PROMOTE"' in first.text

        # 6. what the gate is for
        pressed = engineer.press("/lines/help-desk-quick-seed-7/overoptimise/")
        assert "A round without KL control has started" in pressed
        port_served = environment["POLICY_SERVER_PORT"]
        assert "/artifacts/" in eventually(lambda: answer(curl, port_served), seconds=PATIENCE)
        assert first.control_c() in (130, 2, -signal.SIGINT)  # as make passes it on
        assert "Ended. Start the demo again" in first.text
    finally:
        for terminal in reversed(terminals):
            terminal.close()
