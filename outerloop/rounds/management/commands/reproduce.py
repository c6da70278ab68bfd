"""`manage.py reproduce LINE ROUND`: carry out a past round's programs again and compare the bytes."""

from __future__ import annotations

import shutil
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from outerloop.rounds.models import Round, RoundStep
from training import facade as training
from training.contracts import RECIPE_MODULES
from training.digests import file_sha256

WIDTH = 112


class Command(BaseCommand):
    help = (
        "Run a past round's learning programs again from their stored orders, and compare hashes."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("line", help="slug of the line")
        parser.add_argument("round", type=int, help="number of the round")
        parser.add_argument(
            "--step",
            action="append",
            choices=sorted(RECIPE_MODULES),
            help="only this program; may be given more than once",
        )
        parser.add_argument(
            "--directory", type=Path, help="where to work (default: reproductions in OUTERLOOP_VAR)"
        )
        parser.add_argument("--keep", action="store_true", help="keep what was made")

    def handle(self, *args: Any, **options: Any) -> None:
        round_ = _round(options["line"], options["round"])
        runs = _runs(round_, options["step"])
        place = options["directory"] or (
            Path(settings.VAR_DIR) / "reproductions" / f"{round_.line.slug}-{round_.number}"
        )
        if place.exists() and not place.is_dir():
            raise CommandError(f"{place} is a file; name a folder with --directory.")
        table, console = _table(round_), _console()
        equal = _snapshot_row(round_, table)
        differences: set[tuple[str, str, str]] = set()
        folders = [place / f"{run.kind}-{str(run.id)[:8]}" for run in runs]
        for run, folder in zip(runs, folders, strict=True):
            found = _reproduce(run, folder, console)
            _rows(found, table)
            equal &= found.equal
            differences |= set(found.differences)
        console.print(table)
        _explain(console, equal, sorted(differences))
        if not options["keep"]:
            _clear(place, folders)
        if not equal:
            sys.exit(1)


def _clear(place: Path, folders: Sequence[Path]) -> None:
    """What was made here goes; the place itself only where nothing else lies in it."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        place.rmdir()


def _round(slug: str, number: int) -> Round:
    round_ = Round.objects.select_related("line").filter(line__slug=slug, number=number).first()
    if round_ is None:
        raise CommandError(f"There is no round {number} on a line {slug!r}.")
    return round_


def _runs(round_: Round, steps: Sequence[str] | None) -> list[training.RunRecord]:
    """The finished runs of the round's steps, in order; `steps` picks some by their recipe."""
    ids = (
        RoundStep.objects.filter(round=round_, run__isnull=False)
        .order_by("position")
        .values_list("run", flat=True)
    )
    runs = [training.run_get(run_id) for run_id in ids if run_id is not None]
    chosen = [run for run in runs if run.state == "succeeded" and (not steps or run.kind in steps)]
    if not chosen:
        there = ", ".join(run.kind for run in runs if run.state == "succeeded") or "none"
        raise CommandError(f"{round_} has no such finished program; it has: {there}.")
    return chosen


def _reproduce(run: training.RunRecord, place: Path, console: Console) -> training.Reproduction:
    try:
        with console.status(f"{run.kind}: the first time it took {run.seconds:.0f} s"):
            return training.run_reproduce(run_id=run.id, directory=place)
    except training.ReproductionFailed as error:
        raise CommandError(f"{run.kind}: {error}") from error


def _console() -> Console:
    """Wide enough that no hash and no name is cut, in a file too."""
    return Console(width=max(WIDTH, Console().width))


def _table(round_: Round) -> Table:
    table = Table(title=f"{escape(round_.line.name)}, round {round_.number}, once more")
    for column in ("program", "artifact", "then", "now", "same", "seconds"):
        table.add_column(column)
    return table


def _snapshot_row(round_: Round, table: Table) -> bool:
    """The snapshot is stored, not made again: its file must still have its hash."""
    if round_.snapshot is None:
        return True
    snapshot = training.snapshot_get(round_.snapshot)
    try:
        path = training.input_local(training.input_from_snapshot(snapshot))
    except training.ArtifactMismatch as error:
        raise CommandError(str(error)) from error
    now = file_sha256(path) if path.exists() else ""
    same = now == snapshot.sha256
    table.add_row("", "snapshot (its file)", snapshot.sha256[:12], now[:12], _word(same), "")
    return same


def _rows(found: training.Reproduction, table: Table) -> None:
    for i, artifact in enumerate(found.artifacts):
        table.add_row(
            found.kind if i == 0 else "",
            escape(artifact.name),
            artifact.recorded[:12] or "none",
            artifact.again[:12] or "none",
            _word(artifact.equal),
            f"{found.seconds:.1f}" if i == 0 else "",
        )


def _word(same: bool) -> str:
    return "yes" if same else "NO"


def _explain(console: Console, equal: bool, differences: list[tuple[str, str, str]]) -> None:
    for name, then, now in differences:
        console.print(f"differs: {name} was {then}, is {now}", markup=False)
    if equal:
        console.print("Every artifact has the same bytes as then.")
    elif differences:
        console.print("Some bytes differ; what differs in software or machine may be why.")
    else:
        console.print("Some bytes differ, although software and machine are the recorded ones.")
