"""`manage.py up`: site, workers, schedule and policy server in one terminal. What dies is started again;
Ctrl-C stops them all. What runs for this installation already is shared."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from threading import Thread
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from outerloop.processes.attached import ended_with_standard_input
from outerloop.processes.lines import process_lines
from outerloop.processes.preparing import port_problem, preparing
from outerloop.processes.sharing import Holder, SharedLock, database_used
from outerloop.processes.supervising import ProcessSupervisor
from web.arguments import port


class Command(BaseCommand):
    help = "Start site, workers, schedule and policy server on what is in the database."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=port, default=8000, help="port of the site")
        parser.add_argument("--host", default="127.0.0.1", help="address of the site")
        parser.add_argument(
            "--without",
            action="append",
            default=[],
            choices=[line.name for line in process_lines()],
            help="leave a process out (may be given more than once)",
        )
        parser.add_argument(
            "--attached",
            action="store_true",
            help="for a program that starts this one, as the demo does: end with standard input",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        host, number = options["host"], options["port"]
        address = f"http://{host}:{number}/"
        every = process_lines(host=host, port=number)
        lines = [p for p in every if p.name not in options["without"]]
        running = {p.name: found for p in lines if (found := SharedLock(p.name).holder())}
        if len(running) == len(lines) and not options["attached"]:
            self.stdout.write(_running_words(running))
            return
        site = running.get("site")
        if site is None and "site" not in options["without"]:
            if problem := port_problem(host, number):
                raise CommandError(problem)
            self.stdout.write(f"The site will be at {address}")
        self.stdout.write("Ctrl-C stops everything that is started here.")
        if options["attached"]:
            Thread(target=ended_with_standard_input, daemon=True).start()
        with database_used(stops=not options["attached"]):
            with preparing():
                pass
            supervisor = ProcessSupervisor(
                lines, say=self._say, show=self._show, addresses={"site": address}
            )
            code = supervisor.run()
        sys.exit(code)

    def _say(self, sentence: str) -> None:
        self.stderr.write(sentence)
        self.stderr.flush()

    def _show(self, name: str, line: str) -> None:
        self.stdout.write(f"{datetime.now():%H:%M:%S} {name:<6} | {line}")
        self.stdout.flush()


def _running_words(running: dict[str, Holder]) -> str:
    site = running.get("site")
    where = f" at {site.address}" if site and site.address else ""
    numbers = ", ".join(f"{name} {holder.process}" for name, holder in running.items())
    supervisors = {holder.supervisor for holder in running.values()}
    if any(_alive(number) for number in supervisors):
        end = f"End process {' and '.join(map(str, sorted(supervisors)))}, and they end with it."
    else:
        numbers_only = " ".join(str(holder.process) for holder in running.values())
        end = f"What had started them was killed; `kill {numbers_only}` ends them."
    return f"This installation runs already{where}; nothing is started twice. Processes: {numbers}. {end}"


def _alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return number > 0
