"""`manage.py demo`: the whole loop in the demo world, then the site."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from outerloop.demo.building import DemoFailed, people_ensure
from outerloop.demo.loop import DemoOrder, Narrator, demo_run
from outerloop.demo.settings import (
    DEFAULT,
    OVEROPTIMISED,
    OVEROPTIMISED_CHANGES,
    QUICK,
    with_optimizer,
)
from outerloop.rounds.models import PolicyLine
from outerloop.rounds.processes import ProcessLine, beat_line, worker_line
from outerloop.rounds.schedule import sweeper_ensure
from outerloop.rounds.services import RoundRefused
from training import facade as training


class Command(BaseCommand):
    help = "Run the whole loop in the demo world (simulated annotators), then serve the site."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seed", type=int, default=7)
        parser.add_argument(
            "--rounds", type=int, help="number of rounds (default: by the settings)"
        )
        parser.add_argument("--no-serve", action="store_true", help="end after the loop")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument(
            "--labels",
            choices=["simulated", "shuffled"],
            default="simulated",
            help="shuffled: the training labels carry nothing; the gate's stay honest",
        )
        parser.add_argument(
            "--candidate",
            choices=["trained", "incumbent"],
            default="trained",
            help="incumbent: an A/A round, the incumbent against itself",
        )
        parser.add_argument(
            "--overoptimise",
            action="store_true",
            help="few labels and no KL control: what the gate is for",
        )
        parser.add_argument(
            "--optimizer",
            choices=["ppo", "dpo", "best_of_n"],
            default="ppo",
            help="what trains the policy: PPO, DPO on the preferences, or best-of-n fine-tuning",
        )
        parser.add_argument(
            "--adapter",
            choices=["none", "lora"],
            default="none",
            help="lora: train a low-rank adapter, merged in at the end",
        )
        parser.add_argument("--quick", action="store_true", help="one short round")
        parser.add_argument(
            "--fresh", action="store_true", help="a new line, not the one of before"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        # The demo's models are so small that a second thread costs more than it gives.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        call_command("migrate", verbosity=0)
        sweeper_ensure()
        console = Console()
        sign_ins = people_ensure()
        order = order_from(options)
        console.print(
            f"[bold]{order.name}[/bold]  (a simulated world: made-up questions, programs as annotators)"
        )
        with workers() as started, bars(console, started) as narrator:
            try:
                summary = demo_run(order, narrator)
            except (DemoFailed, RoundRefused, training.RunFailed, training.RunCancelled) as error:
                raise CommandError(str(error)) from error
        console.print_json(json.dumps(summary))
        console.print(f"Written to {Path(settings.VAR_DIR) / 'demo' / 'summary.json'}")
        if options["no_serve"]:
            return
        console.print(f"\n[bold]http://127.0.0.1:{options['port']}/[/bold]")
        for sign_in in sign_ins:
            console.print(f"  {sign_in.role:<10} {sign_in.username:<12} {sign_in.password}")
        call_command("up", port=options["port"])


def order_from(options: dict[str, Any]) -> DemoOrder:
    if options["quick"] and options["overoptimise"]:
        raise CommandError("--quick and --overoptimise are two demos; choose one.")
    if options["overoptimise"] and options["optimizer"] != "ppo":
        raise CommandError("--overoptimise shows PPO without KL control; leave --optimizer out.")
    demo = OVEROPTIMISED if options["overoptimise"] else QUICK if options["quick"] else DEFAULT
    arm, title = ("quick" if options["quick"] else ""), ""
    changes: dict[str, Any] | None = None
    if options["overoptimise"]:
        arm, title, changes = "overoptimised", "over-optimised on purpose", OVEROPTIMISED_CHANGES
    if options["labels"] == "shuffled":
        arm, title = "shuffled", "shuffled labels"
    if options["candidate"] == "incumbent":
        arm, title, changes = "a-a", "the incumbent against itself", {"candidate": "incumbent"}
    if arm in ("shuffled", "a-a"):  # controls: nothing is to be learned, so half the labels do
        demo = replace(demo, rounds=1, labels_per_round=demo.labels_per_round // 2)
    if options["rounds"]:
        demo = replace(demo, rounds=options["rounds"])
    demo = with_optimizer(demo, options["optimizer"], lora=options["adapter"] == "lora")
    trained = _optimizer_parts(options)
    arm = "-".join(filter(None, [arm, *trained])).replace("_", "-")
    title = ", ".join(filter(None, [title, "by " + " with ".join(trained) if trained else ""]))
    slug = "-".join(part for part in ("help-desk", arm, f"seed-{options['seed']}") if part)
    if options["fresh"]:
        taken = PolicyLine.objects.filter(slug__startswith=slug).count()
        slug = f"{slug}-{taken + 1}" if taken else slug
    return DemoOrder(
        seed=options["seed"],
        demo=demo,
        slug=slug,
        name=f"Help desk (demo, seed {options['seed']}{', ' + title if title else ''})",
        shuffled=options["labels"] == "shuffled",
        changes=changes,
        title=title,
    )


def _optimizer_parts(options: dict[str, Any]) -> list[str]:
    """What departs from PPO on all weights: an arm of its own, with a line of its own."""
    lora = options["adapter"] == "lora"
    named = [options["optimizer"]] if lora or options["optimizer"] != "ppo" else []
    return [*named, *(["lora"] if lora else [])]


@dataclass(frozen=True)
class Worker:
    name: str
    process: subprocess.Popen[bytes]
    log: Path


@contextmanager
def workers() -> Iterator[list[Worker]]:
    """The two workers and the schedule as processes of their own, ended with the demo."""
    folder = Path(settings.VAR_DIR) / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, _end)  # so that the workers are ended with us
    lines = [worker_line("worker", "default"), worker_line("gpu", "gpu"), beat_line()]
    started: list[Worker] = []
    try:
        started.extend(_started(line, folder / f"{line.name}.log") for line in lines)
        yield started
    finally:
        for worker in started:
            worker.process.send_signal(signal.SIGTERM)
        for worker in started:
            try:
                worker.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                worker.process.kill()


def _started(line: ProcessLine, log: Path) -> Worker:
    with log.open("ab") as out:
        process = subprocess.Popen(
            line.command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=settings.BASE_DIR,
            env={**os.environ, **line.environment},
        )
    return Worker(line.name, process, log)


def _end(number: int, frame: Any) -> None:
    raise SystemExit(128 + number)


class _Bars(Narrator):
    def __init__(self, progress: Progress, workers: Sequence[Worker]) -> None:
        self.progress = progress
        self.workers = workers
        self.tasks: dict[str, TaskID] = {}

    def say(self, text: str) -> None:
        self.progress.console.print(f"  {text}")

    def step(self, key: str, text: str, done: int, total: int) -> None:
        if key not in self.tasks:
            for task in self.tasks.values():
                self.progress.update(task, visible=False)
            self.tasks[key] = self.progress.add_task(text, total=None)
            if not self.progress.console.is_terminal:
                self.progress.console.print(f"  {text} ...")
        self.progress.update(self.tasks[key], completed=done, total=total or None)

    def waiting(self) -> None:
        for worker in self.workers:
            if worker.process.poll() is not None:
                raise DemoFailed(
                    f"The process {worker.name} ended (exit code {worker.process.returncode}), so that "
                    f"nothing goes on. {worker.log} says why; start the demo again and it goes on from here."
                )


@contextmanager
def bars(console: Console, workers: Sequence[Worker]) -> Iterator[Narrator]:
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bars(progress, workers)
