"""Serve the deployed policy of a line on the OpenAI chat API, following every switch."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, close_old_connections
from django.utils.text import slugify

from evaluation.gates.selectors import lines_deployed
from evaluation.gates.serving.engine import EngineProcess, engine_start, gpus_of
from evaluation.gates.serving.feedback import Journal
from evaluation.gates.serving.fleet import Fleet
from evaluation.gates.serving.pair import ServingPair
from evaluation.gates.serving.relay import Relay
from evaluation.gates.serving.shadowing import Shadowing
from evaluation.gates.serving.supervisor import STOP_DRAIN_SECONDS
from web.arguments import whole_number

POLL_SECONDS = 1.0


class Command(BaseCommand):
    help = (
        "Serve the deployed policy of a line at http://HOST:PORT/v1 (OpenAI chat API). The server "
        "is restarted on the new artifact and asked whenever the deployment changes; the old one "
        "answers until then. With --replicas several answer for each version. A canary or a shadow has "
        "servers of its own beside them. Clients send "
        "the model name given by --name, or none."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--line", type=UUID, help="The line's id; default: deployed last.")
        parser.add_argument("--name", default="policy", help="The model name that clients see.")
        parser.add_argument("--host", default=settings.POLICY_SERVER_HOST)
        parser.add_argument(
            "--port", type=whole_number(0, 65_535), default=settings.POLICY_SERVER_PORT
        )
        parser.add_argument(
            "--replicas",
            type=int,
            default=settings.POLICY_SERVER_REPLICAS,
            metavar="NUMBER",
            help="How many servers answer for each version (default: %(default)d).",
        )
        parser.add_argument(
            "--no-overlap",
            action="store_true",
            help=(
                "Stop the old server before starting the new one, where memory holds one model; a canary "
                "or a shadow is then not served."
            ),
        )
        parser.add_argument(
            "--drain",
            type=float,
            default=STOP_DRAIN_SECONDS,
            metavar="SECONDS",
            help=(
                "How long answers under way may take when this process is told to end (default: "
                "%(default)g); a few seconds less than its supervisor gives it."
            ),
        )

    def handle(self, *args: Any, **options: Any) -> None:
        name: str = options["name"]
        if slugify(name) != name or not name:
            raise CommandError(f"--name {name!r}: use small letters, digits, hyphens.")
        if options["replicas"] < 1:
            raise CommandError("--replicas must be at least 1.")
        stopped = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
        relay = self._listen(options["host"], options["port"], name)
        try:
            line = options["line"] or self._line_wait(stopped)
            if line is not None:
                relay.journal = Journal(line)
                relay.shadowing = Shadowing(relay.routes, name=name, busy=relay.busy)
                relay.shadowing.start()
                home = Path(settings.VAR_DIR) / "policy_server" / str(line)
                pair = ServingPair(
                    line,
                    partial(_start, stopped, name, home, options["replicas"]),
                    relay,
                    overlap=not options["no_overlap"],
                )
                self._supervise(pair, stopped, options["drain"])
        finally:
            relay.stop()
        self.stdout.write("The policy server has stopped.")

    def _listen(self, host: str, port: int, name: str) -> Relay:
        relay = Relay(host, port, name=name, hosts=settings.POLICY_SERVER_HOSTS)
        try:
            relay.start()
        except OSError as error:
            raise CommandError(
                f"Cannot listen on {host}:{port} ({error.strerror}); end what uses it, or choose "
                "another with --port or POLICY_SERVER_PORT."
            ) from error
        self.stdout.write(f"Listening on http://{relay.host}:{relay.port}/v1")
        return relay

    def _line_wait(self, stopped: threading.Event) -> UUID | None:
        """The line that was deployed last; waits for a first deployment."""
        lines = lines_deployed()
        if not lines:
            self.stdout.write("Nothing is deployed yet; waiting for the first deployment.")
        while not lines and not stopped.wait(POLL_SECONDS):
            close_old_connections()
            lines = lines_deployed()
        if len(lines) > 1:
            self.stdout.write(f"Several lines are deployed; serving {lines[0]} (choose by --line).")
        return lines[0] if lines else None

    def _supervise(self, pair: ServingPair, stopped: threading.Event, drain: float) -> None:
        try:
            while not stopped.is_set():
                try:
                    pair.step()
                except OperationalError as error:
                    self.stderr.write(f"The database does not answer; trying again: {error}")
                close_old_connections()
                stopped.wait(POLL_SECONDS)
        finally:
            pair.stop(drain)


def _start(
    stopped: threading.Event,
    name: str,
    home: Path,
    replicas: int,
    artifact: Path,
    given_up: Callable[[], bool],
) -> Fleet:
    def start(number: int, cancelled: Callable[[], bool]) -> EngineProcess:
        return engine_start(
            artifact,
            name=name,
            home=home,
            cancelled=lambda: stopped.is_set() or cancelled(),
            number=number,
            gpus=gpus_of(number, replicas, settings.POLICY_SERVER_GPUS),
        )

    return Fleet(start, replicas).begin(given_up)
