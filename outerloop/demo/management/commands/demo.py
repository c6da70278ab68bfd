"""`manage.py demo`: the whole loop in the demo world, then the site."""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from annotation.contracts import AnnotationError
from outerloop.demo.building import DemoFailed, line_ensure
from outerloop.demo.loop import Narrator, demo_run
from outerloop.demo.people import SignIn, people_ensure
from outerloop.demo.settings import (
    DEFAULT,
    OVEROPTIMISED,
    OVEROPTIMISED_CHANGES,
    QUICK,
    DemoOrder,
    with_optimizer,
)
from outerloop.processes.attached import AttachedProcesses
from outerloop.processes.preparing import answers, preparing
from outerloop.processes.sharing import SharedLock, database_used, mine
from outerloop.rounds.locking import RoundRefused
from outerloop.rounds.models import PolicyLine
from training import facade as training
from web.arguments import port, whole_number

SITE_PATIENCE_SECONDS = 120.0
LOOK_SECONDS = 0.2
STOPS = (
    DemoFailed,
    RoundRefused,
    AnnotationError,
    training.ArtifactMismatch,
    training.LeaseLost,
    training.RunCancelled,
    training.RunFailed,
)


class Command(BaseCommand):
    help = "Run the whole loop in the demo world (simulated annotators), then serve the site."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seed", type=whole_number(0, 2**31 - 1), default=7)
        parser.add_argument(
            "--rounds",
            type=whole_number(1, 1_000),
            help="number of rounds (default: by the settings)",
        )
        parser.add_argument("--no-serve", action="store_true", help="end after the loop")
        parser.add_argument("--port", type=port, default=8000)
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
        logging.disable(logging.INFO)  # the bars say what happens
        for number in (signal.SIGTERM, signal.SIGHUP):  # so that what was started is ended with us
            signal.signal(number, _end)
        console = Console()
        try:
            with database_used(stops=not options["no_serve"]):
                _demo(console, options)
        except KeyboardInterrupt:
            console.print("Ended. Start the demo again, and it goes on from here.")
            raise SystemExit(128 + signal.SIGINT) from None


def _demo(console: Console, options: dict[str, Any]) -> None:
    with preparing():
        sign_ins = people_ensure()
        order = order_from(options)
    lock = SharedLock(f"demo-{order.slug}")
    if not lock.take():
        raise CommandError(
            f"A demo of {order.name} runs already (process {getattr(lock.holder(), 'process', '?')})."
            " Watch that one, or choose another seed, as in `make demo SEED=8`."
        )
    lock.say(mine())
    line_ensure(slug=order.slug, name=order.name, demo=order.demo, seed=order.seed)
    console.print(f"[bold]{order.name}[/bold]", highlight=False)
    console.print("  a simulated world: made-up questions, programs as annotators")
    served_elsewhere = SharedLock("site").holder() is not None
    log = Path(settings.VAR_DIR) / "demo" / "processes.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    without = ["--without", "site", "--without", "policy"] if options["no_serve"] else []
    with AttachedProcesses(
        ["--port", str(options["port"]), *without],
        log=log,
        say=lambda text: console.print(f"  {text}", highlight=False, markup=False),
    ) as processes:
        if not options["no_serve"]:
            _site_tell(console, order, sign_ins, processes)
        stopped = _loop_tell(console, order, processes)
        if stopped and options["no_serve"]:
            raise CommandError(stopped)
        if stopped:
            console.print(stopped, style="bold red", markup=False, highlight=False)
            console.print("The next `make demo` goes on from here.")
        if options["no_serve"] or (served_elsewhere and not stopped):
            return
        console.print("The site stays up. Ctrl-C ends it; `make up` starts it again.")
        while not (failure := processes.failure()):
            time.sleep(LOOK_SECONDS)
        raise CommandError(failure)


def _site_tell(
    console: Console, order: DemoOrder, sign_ins: Sequence[SignIn], processes: AttachedProcesses
) -> None:
    """Wait until the site answers, then say where and for whom; the loop begins after that."""
    patience = time.monotonic() + SITE_PATIENCE_SECONDS
    while True:
        if failure := processes.failure():
            raise CommandError(failure)
        holder = SharedLock("site").holder()
        if holder is not None and holder.address and answers(f"{holder.address}health/live"):
            break
        if time.monotonic() > patience:
            raise CommandError(f"The site does not answer; {processes.log} says why.")
        time.sleep(LOOK_SECONDS)
    console.print(f"\n  The site is up: [bold]{holder.address}[/bold]", highlight=False)
    for sign_in in sign_ins:
        console.print(
            f"    {sign_in.role:<10} {sign_in.username:<12} {sign_in.password}", highlight=False
        )
    console.print(
        f"  Sign in as engineer and watch it learn: {holder.address}lines/{order.slug}/\n",
        highlight=False,
    )


def _loop_tell(console: Console, order: DemoOrder, processes: AttachedProcesses) -> str:
    """Run the loop and print its summary; why it stopped, or nothing."""
    try:
        with bars(console, processes.failure) as narrator:
            summary = demo_run(order, narrator)
    except STOPS as error:
        return str(error)
    console.print_json(json.dumps(summary))
    console.print(f"Written to {Path(settings.VAR_DIR) / 'demo' / 'summary.json'}")
    return ""


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


def _end(number: int, frame: Any) -> None:
    raise SystemExit(128 + number)


class _Bars(Narrator):
    """A bar for the step at hand where there is a terminal, else a line for each step."""

    def __init__(self, progress: Progress, failure: Callable[[], str]) -> None:
        self.progress = progress
        self.failure = failure
        self.tasks: dict[str, TaskID] = {}

    def say(self, text: str) -> None:
        self.progress.console.print(f"  {text}", markup=False)

    def step(self, key: str, text: str, done: int, total: int) -> None:
        self.waiting()
        if key not in self.tasks:
            for task in self.tasks.values():
                self.progress.update(task, visible=False)
            self.tasks[key] = self.progress.add_task(text, total=None)
            if not self.progress.console.is_terminal:
                self.progress.console.print(f"  {text} ...")
        self.progress.update(self.tasks[key], completed=done, total=total or None)

    def waiting(self) -> None:
        if failed := self.failure():
            raise DemoFailed(f"{failed} Start the demo again and it goes on from here.")


@contextmanager
def bars(console: Console, failure: Callable[[], str]) -> Iterator[Narrator]:
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bars(progress, failure)
