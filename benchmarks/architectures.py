"""Every family of the installed `transformers`, tiny and random, through the checks and the recipes.

    python -m benchmarks.architectures [--only bert llama ...] [--resume] [--write]

The families are those that the library itself lists for causal language modelling and for sequence
classification. Each is built in a process of its own and tried as a policy, as the backbone of a reward
model, and in two steps of every recipe. A step "works" where the program says so and independent numbers
agree: log-probabilities against plain passes, padded or not, sampled or not; scores in and out of a batch;
the artifact against what was in memory; tied weights tied. A process that dies, or takes too long, is a
crash, and the next step begins in a new one.

Rows are kept in WORK/rows.jsonl as they come, so that `--resume` goes on; `--write` puts them into the
table, benchmarks/results/architectures.json and docs/reference/architectures.md, beside the rows of other
families that are there. The status is 1 where a row says
crash, wrong or late.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import peft  # noqa: F401  before the fork, as every family asks for it
import torch

from benchmarks.architecture_models import causal_class, families, head_class, model_write
from benchmarks.architecture_steps import STEPS, Outcome, crash_sentence, step_try
from benchmarks.architecture_table import page_write, result_write
from benchmarks.results_file import result_head

__all__ = ["FAULTS", "family_try", "in_process", "main"]

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "var" / "architectures"
FAULTS = ("crash", "wrong", "late")
CPU_SECONDS, WALL_SECONDS = 60, 400
MEMORY = 4 << 30
BUILT = "built"
NOT_TRIED = {
    "gemma3n": "it needs the packages timm and pillow; its text part is gemma3n_text",
    "gemma4_assistant": "it drafts for another model, whose keys and values it reads",
    "gemma4_unified_assistant": "it drafts for another model, whose keys and values it reads",
    "layoutlmv2": "it needs the package detectron2, and reads pages, not texts",
}
Row = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=families(), metavar="FAMILY")
    parser.add_argument(
        "--resume", action="store_true", help="keep the rows that are there and have no fault"
    )
    parser.add_argument("--write", action="store_true", help="write results and reference page")
    parser.add_argument("--work", type=Path, default=WORK)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    names = arguments.only or families()
    rows = walk(names, arguments.work, resume=arguments.resume)
    if arguments.write:
        result_write(rows)
        page_write()
    return 1 if any(faults_of(row) for row in rows) else 0


def walk(names: Iterable[str], work: Path, *, resume: bool) -> list[Row]:
    """A row for each family, in the order given; rows are kept as they come."""
    work.mkdir(parents=True, exist_ok=True)
    kept = work / "rows.jsonl"
    rows = {row["family"]: row for row in _rows_read(kept)} if resume else {}
    known = {name: row for name, row in rows.items() if not faults_of(row)}
    left = [name for name in names if name not in known]
    began, commit = time.monotonic(), str(result_head()["commit"])
    with kept.open("a" if resume else "w") as stream:
        for number, name in enumerate(left, 1):
            known[name] = family_try(name, work / "now", commit=commit)
            stream.write(json.dumps(known[name]) + "\n")
            stream.flush()
            each = (time.monotonic() - began) / number
            told = ", ".join(faults_of(known[name])) or "no fault"
            more = f"{each * (len(left) - number) / 60:.0f} min left"
            print(f"{number}/{len(left)} {name}: {told}; {more}", file=sys.stderr, flush=True)
    return [known[name] for name in names]


def _rows_read(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def faults_of(row: Row) -> list[str]:
    """The steps that no row may have: "SFT crash" ..."""
    outcomes = row["steps"].items()
    return [f"{step} {found['state']}" for step, found in outcomes if found["state"] in FAULTS]


def family_try(family: str, folder: Path, *, commit: str) -> Row:
    """Build a family and try every step, in a process that is begun anew where it dies."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    row: Row = {
        "family": family, "causal": causal_class(family), "head": head_class(family),
        "commit": commit, "steps": {},
    }  # fmt: skip
    if family in NOT_TRIED:
        return row | {"not_tried": NOT_TRIED[family]}
    left = [BUILT, *STEPS]
    while left:
        steps = partial(_steps_try, family, tuple(left), folder)
        found = in_process(steps, folder / "child.log")
        for step, outcome in found.items():
            left.remove(step)
            row["steps"][step] = vars(outcome)
        if row["steps"][BUILT]["state"] != "works":
            break
    if row["steps"][BUILT]["state"] == "works":
        row["weights"] = int(row["steps"].pop(BUILT)["why"])
    shutil.rmtree(folder, ignore_errors=True)
    return row


def _steps_try(
    family: str, steps: Sequence[str], folder: Path
) -> Iterable[tuple[str, Outcome | None]]:
    """(step, None) as it begins, and (step, outcome) as it ends."""
    for step in steps:
        yield step, None
        if step != BUILT:
            yield step, step_try(step, folder, limit=CPU_SECONDS)
            continue
        built = _build(family, folder)
        yield step, built
        if built.state != "works":
            return


def _build(family: str, folder: Path) -> Outcome:
    try:
        return Outcome("works", str(model_write(family, folder / "model")))
    except Exception as error:
        return Outcome("crash", crash_sentence(error))


def in_process(
    steps: Callable[[], Iterable[tuple[str, Outcome | None]]], log: Path
) -> dict[str, Outcome]:
    """Outcomes of steps that are taken in a fork of this process, until they end or it dies.

    The step that it died of is a crash. The fork has a limit of memory, and one of time, and what it prints
    goes to `log`.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _child(steps, writing, log)
    os.close(writing)
    begun, found = "", dict[str, Outcome]()
    with os.fdopen(reading) as told:
        for line in told:
            begun, outcome = json.loads(line)
            if outcome is not None:
                found[begun] = Outcome(**outcome)
    status = os.waitpid(child, 0)[1]
    if begun not in found:
        signalled = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        how = f"signal {signalled}" if signalled else f"status {os.WEXITSTATUS(status)}"
        found[begun] = Outcome("crash", f"the process ended with {how}")
    return found


def _child(
    steps: Callable[[], Iterable[tuple[str, Outcome | None]]], writing: int, log: Path
) -> None:
    """The fork: never returns."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdin = open(os.devnull)  # noqa: SIM115
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with os.fdopen(writing, "w", buffering=1) as told:
            for step, outcome in steps():
                told.write(json.dumps([step, outcome and vars(outcome)]) + "\n")
    finally:
        os._exit(0)


if __name__ == "__main__":
    raise SystemExit(main())
