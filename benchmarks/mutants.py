"""Mutation tests: how many small faults, put into the code one at a time, its own tests notice.

    python -m benchmarks.mutants [--only policy,statistics] [--sample 200 --seed 1]
    python -m benchmarks.mutants --only comparisons --again

mutmut, in an environment of its own, changes one operator, constant, name or argument after another in a
copy of this checkout; the quick tests of the mutated module run, and where it names none of its own those of
the room, to the first that fails. A mutant that no test notices is printed with its change;
`EQUIVALENT` names those that cannot be noticed, with the reason, and a survivor that is not named there
counts against the aim. With `--sample` only so many, drawn at random, are run and the share is an estimate.
`--again` runs those that the last run left, once more, with the tests of now. Prints a table and writes
results/mutants.json.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.mutants_equivalent import EQUIVALENT
from benchmarks.peers import peer_python
from benchmarks.results_file import ROOT, result_head

REQUIREMENTS = ("mutmut==3.8.1",)
RESULT = ROOT / "benchmarks" / "results" / "mutants.json"
TRANSACTION = "transaction.atomic"
SCRATCH = ROOT / "var" / "mutants"
AIM = 0.95


@dataclass(frozen=True)
class Room:
    """Files to mutate and the tests that ought to notice; where `narrow` names a module, its test modules
    alone, the first that ought to first."""

    files: tuple[str, ...]
    tests: tuple[str, ...]
    narrow: dict[str, str] = field(default_factory=dict)


COMPARISONS = {
    "admission": "refusals queue qualification opting",
    "asking": "refusals question_views",
    "budgets": "states queue",
    "gold": "refusals states gold",
    "conversing": "conversations conversation_api refusals",
    "judging": "judging refusals states rankings",
    "leases": "queue refusals states judging shares concurrency",
    "material": "queue refusals states shares roots releasing digests",
    "opting": "opting states",
    "overlap": "overlap",
    "qualifying": "qualification refusals states",
    "queue": "queue states shares gold rankings reopening concurrency",
    "releasing": "releasing refusals states",
    "reopening": "reopening refusals states",
    "returning": "answer_views refusals",
    "roots": "roots",
    "settling": "adjudication refusals states",
    "simulating": "simulating states opting",
}
STEPS = {
    "measuring": "measuring",
    "asking": "step_words offering releasing",
    "context": "step_words steps step_faults",
    "deploying": "step_words steps step_faults canaries",
    "judging": "step_words steps offering judge step_faults",
    "learning": "step_words steps optimisers suites reproduce signal_opinion",
    "past": "past",
}


def _mirrored(folder: str, narrow: dict[str, str]) -> tuple[str, ...]:
    """The test modules there that `narrow` names."""
    names = {name for names in narrow.values() for name in names.split()}
    return tuple(
        f"{folder}/test_{name}.py"
        for name in sorted(names)
        if (ROOT / folder / f"test_{name}.py").exists()
    )


ROOMS = {
    "policy": Room(("evaluation/policy/*",), ("tests/evaluation/policy",)),
    "statistics": Room(("evaluation/statistics/*",), ("tests/evaluation/statistics",)),
    "ppo": Room(
        ("training/core/ppo/losses.py", "training/core/ppo/advantages.py"),
        ("tests/training/core/ppo",),
    ),
    "rounds": Room(
        ("evaluation/gates/measuring.py", "outerloop/rounds/steps/*"),
        ("tests/evaluation/gates/test_measuring.py", *_mirrored("tests/outerloop/rounds", STEPS)),
        STEPS,
    ),
    "comparisons": Room(
        ("annotation/comparisons/services/*",),
        (
            *_mirrored("tests/annotation/comparisons", COMPARISONS),
            *_mirrored("tests/annotation/quality", COMPARISONS),
        ),
        COMPARISONS,
    ),
}


@dataclass
class Outcome:
    killed: int = 0
    equivalent: int = 0
    survived: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.killed + len(self.survived)

    @property
    def share(self) -> float:
        return self.killed / self.total if self.total else 1.0


def copy_of_checkout(target: Path) -> None:
    """The tracked files as they are in the working tree."""
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in filter(None, names):
        if (source := ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)


def transactions_moved(source: str) -> str:
    """The module with `@transaction.atomic` written as a call after its function: mutmut leaves decorated
    functions as they are."""
    lines = source.splitlines()
    for node in reversed(ast.parse(source).body):
        if isinstance(node, ast.FunctionDef) and len(node.decorator_list) == 1:
            (decorator,) = node.decorator_list
            if ast.unparse(decorator) == TRANSACTION and node.end_lineno:
                lines.insert(node.end_lineno, f"{node.name} = {TRANSACTION}({node.name})")
                del lines[decorator.lineno - 1]
    return "\n".join(lines) + "\n"


def open_to_mutmut(folder: Path, room: Room) -> None:
    for pattern in room.files:
        for path in folder.glob(pattern):
            if path.suffix == ".py":
                moved, times = transactions_moved(path.read_text()), path.stat()
                path.write_text(moved)
                os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def configure(folder: Path, room: Room) -> None:
    packages = ["outerloop", "evaluation", "training", "annotation", "web"]
    options = {
        "source_paths": packages,
        "only_mutate": room.files,
        "also_copy": ["manage.py", "docs", "README.md", "docker", "benchmarks"],
        "use_git_change_detection": ["false"],
        "track_dependencies": ["false"],
    }
    lines = (
        f"{name} =\n" + "".join(f"    {value}\n" for value in values)
        for name, values in options.items()
    )  # fmt: skip
    (folder / "setup.cfg").write_text("[mutmut]\n" + "".join(lines))


def change_of(python: Path, folder: Path, mutant: str) -> str:
    done = subprocess.run(
        [str(python), "-m", "mutmut", "show", mutant],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    changed = [
        line
        for line in done.stdout.splitlines()
        if line[:1] in "+-" and line[:3] not in ("+++", "---")
    ]
    return "\n".join(changed)


def room_measure(
    name: str, room: Room, *, python: Path, names: list[str], sample: int, seed: int
) -> tuple[Outcome, int]:
    """What became of the chosen mutants that were tried, and how many there are."""
    folder = SCRATCH / name
    shutil.rmtree(
        folder / "mutants" / "tests", ignore_errors=True
    )  # mutants of unchanged files stay
    copy_of_checkout(folder)
    open_to_mutmut(folder, room)
    configure(folder, room)
    (folder / "done.json").write_text("{}")
    narrow = {module: tests.split() for module, tests in room.narrow.items()}
    (folder / "asked.json").write_text(
        json.dumps(
            {"names": names, "sample": sample, "seed": seed, "paths": room.tests, "narrow": narrow}
        )
    )
    log = folder / "mutmut.log"
    print(f"{name}: mutating; progress in {log}", flush=True)
    command = [str(python), "-m", "benchmarks.mutants_run", "asked.json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("w") as output:
        subprocess.run(
            command, cwd=folder, env=environment, check=False, stdout=output, stderr=subprocess.STDOUT
        )  # fmt: skip
    return outcome_read(folder, python=python), json.loads((folder / "chosen.json").read_text())[
        "made"
    ]


def outcome_read(folder: Path, *, python: Path) -> Outcome:
    """Of the mutants that were tried: one that was not, since the run ended, says nothing."""
    done = json.loads((folder / "done.json").read_text())
    if not done:
        sys.exit(f"no mutant was run; see {folder / 'mutmut.log'}")
    outcome = Outcome(killed=sum(bool(test) for test in done.values()))
    for mutant in (mutant for mutant, test in done.items() if not test):
        change = change_of(python, folder, mutant)
        if (mutant.rpartition("__mutmut_")[0], change) in EQUIVALENT:
            outcome.equivalent += 1
        else:
            outcome.survived.append(f"{mutant}\n{change}")
    return outcome


def again(row: dict[str, Any], outcome: Outcome) -> Outcome:
    """The last run, with what became of the mutants that it left."""
    return Outcome(
        row["killed"] + outcome.killed, row["equivalent"] + outcome.equivalent, outcome.survived
    )


def row_of(outcome: Outcome, *, made: int, sample: int, seed: int) -> dict[str, Any]:
    drawn: dict[str, int] = {"of": made, "seed": seed} if sample else {}
    return {
        **result_head(), "mutants": outcome.total, "killed": outcome.killed,
        "equivalent": outcome.equivalent, "sampled": bool(sample), **drawn,
        "share": round(outcome.share, 4), "survived": outcome.survived,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Mutation tests of the rooms that decide.")
    parser.add_argument("--only", default=",".join(ROOMS), help="rooms, separated by commas")
    parser.add_argument("--sample", type=int, default=0, help="mutants of each room; 0: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--again", action="store_true", help="those that the last run left")
    chosen = parser.parse_args()
    python = peer_python("mutmut", REQUIREMENTS)
    results = json.loads(RESULT.read_text())["rooms"] if RESULT.exists() else {}
    for name in chosen.only.split(","):
        row, names, sample, seed = results.get(name, {}), list[str](), chosen.sample, chosen.seed
        if chosen.again:
            names, sample = [text.split()[0] for text in row["survived"]], 0
        outcome, made = room_measure(
            name, ROOMS[name], python=python, names=names, sample=sample, seed=seed
        )
        for text in outcome.survived:
            print(f"\n[{name}] {text}")
        if chosen.again:
            outcome, sample, seed = again(row, outcome), row["sampled"], row.get("seed", 1)
        results[name] = row_of(outcome, made=made, sample=sample, seed=seed)
        RESULT.write_text(json.dumps({"rooms": results}, indent=1) + "\n")
    print(f"\n{'room':<16}{'mutants':>9}{'killed':>8}{'share':>8}{'cannot be noticed':>19}")
    for name, row in results.items():
        mark = "" if row["share"] >= AIM else f"  under {AIM:.0%}"
        print(
            f"{name:<16}{row['mutants']:>9}{row['killed']:>8}{row['share']:>8.1%}{row['equivalent']:>19}{mark}"
        )


if __name__ == "__main__":
    main()
