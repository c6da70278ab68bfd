"""`manage.py selftest overoptimisation`: does this installation's gate hold back what it is there for?"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self
from uuid import UUID

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from evaluation import facade as evaluation
from outerloop.processes.sharing import SharedLock, mine
from outerloop.rounds.models import PolicyLine
from outerloop.selftest.acceptance import AcceptanceLine, acceptance, run_summary
from outerloop.selftest.bench import LearningFailed
from outerloop.selftest.results import ArmResult
from outerloop.selftest.running import Order, seeds_from, selftest_run
from outerloop.selftest.sizes import ARMS, SINGLE, Arm

MEANING = {"met": "green", "not met": "red", "not measured": "yellow"}


class Command(BaseCommand):
    help = (
        "Over-optimise tiny policies on purpose, in a simulated world, and see what the gate makes of"
        " them. Can be stopped with Ctrl-C; the same command goes on from there."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("test", help="which self-test: overoptimisation")
        parser.add_argument(
            "--arm",
            action="append",
            default=[],
            metavar="ARM",
            help=f"run this arm only, again for more: {', '.join(ARMS)} (default: all)",
        )
        parser.add_argument("--seeds", type=int, default=5, help="how many seeds (default: 5)")
        parser.add_argument(
            "--line",
            default="",
            help="slug of a line whose gate policy is tested (default: the installation's default)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        order = order_from(options)
        console = Console()
        lock = SharedLock("selftest")
        if not lock.take():
            raise CommandError(
                "A self-test runs already; wait for it, or end it with Ctrl-C where it was started."
            )
        lock.say(mine())
        pieces = len(order.pieces())
        done = 0
        try:
            with Telling(console, order) as telling:
                for result, known in selftest_run(order, telling):
                    done = telling.done = done + 1
                    console.print(
                        _result_words(result, known, done, pieces), highlight=False, soft_wrap=True
                    )
        except KeyboardInterrupt:
            console.print(
                f"Stopped after {done} of {pieces}. What is finished is kept; the same command goes on from"
                " there.",
                highlight=False,
                soft_wrap=True,
            )
            raise SystemExit(130) from None
        except LearningFailed as error:
            raise CommandError(
                f"{error} What is finished is kept; try the same command again."
            ) from error
        results = [order.known(arm, seed) for arm, seed in order.pieces()]
        console.print(_table(acceptance([r for r in results if r is not None])))
        console.print("Leads and engineers see it with its curves on the page /selftest/.")


def order_from(options: dict[str, Any]) -> Order:
    """CommandError names what is unknown, and what there is."""
    if options["test"] != "overoptimisation":
        raise CommandError(
            f"There is no self-test {options['test']!r}; there is: overoptimisation."
        )
    if options["seeds"] < 1:
        raise CommandError(f"--seeds is {options['seeds']}; ask for 1 or more.")
    return Order(
        arms=_arms(options["arm"]),
        seeds=seeds_from(options["seeds"]),
        policy=options["line"],
        gate=evaluation.gate_in_force(_line_id(options["line"])),
        root=Path(settings.VAR_DIR) / "selftest",
    )


def _arms(names: list[str]) -> tuple[Arm, ...]:
    for name in names:
        if name not in ARMS:
            raise CommandError(f"There is no arm {name!r}; there are: {', '.join(ARMS)}.")
    return tuple(arm for arm in ARMS.values() if arm.name in names or not names)


def _line_id(slug: str) -> UUID | None:
    if not slug:
        return None
    line = PolicyLine.objects.filter(slug=slug).first()
    if line is None:
        known = ", ".join(PolicyLine.objects.order_by("slug").values_list("slug", flat=True))
        raise CommandError(f"There is no line {slug!r}; there are: {known or 'none yet'}.")
    return line.id


class Telling:
    """What is being done: one line that changes on a terminal, else a line whenever something begins."""

    def __init__(self, console: Console, order: Order) -> None:
        self._console, self._pieces = console, order.pieces()
        self._status = console.status("starting")
        self._last = ""
        self.done = 0

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def __call__(self, text: str) -> None:
        arm, seed = self._pieces[self.done]
        where = f"{self.done + 1}/{len(self._pieces)} {arm.name}, seed {seed}:"
        if self._console.is_terminal:
            self._status.update(f"{where} {text}")
            return
        begun = f"{where} {text.split(',')[0]}"
        if begun != self._last:
            self._console.print(f"    {begun}", highlight=False, soft_wrap=True)
            self._last = begun


def _result_words(result: ArmResult, known: bool, done: int, pieces: int) -> str:
    head = f"{done}/{pieces} {result.arm}, seed {result.seed}"
    spent = "known already" if known else f"{result.seconds:.0f} s"
    words = []
    if SINGLE in result.runs:
        run = run_summary(result.runs[SINGLE])
        words.append(
            f"proxy {run.proxy:+.2f}, gold peak {run.peak:+.2f}, at the end {run.end:+.2f}"
        )
    if result.trial is not None:
        words.append(f"gate passed {result.trial.promoted} of {result.trial.redraws} redraws")
    return f"{head} ({spent}): {'; '.join(words)}"


def _table(lines: list[AcceptanceLine]) -> Table:
    table = Table(title="Over-optimisation self-test", show_lines=True)
    for column in ("accepted where", "measured", "verdict"):
        table.add_column(column)
    for line in lines:
        colour = MEANING[line.verdict] if line.required else "default"
        table.add_row(line.asks, line.measured, f"[{colour}]{line.word}[/]")
    return table
