"""Mutation tests: how many small faults, put into the code one at a time, its own tests notice.

    python -m benchmarks.mutants [--only policy,statistics] [--children 1] [--sample 200 --seed 1]

mutmut, in an environment of its own, changes one operator, constant, name or argument after another in a
copy of this checkout and runs the tests of the mutated room alone. A mutant that no test notices is
printed with its change; `EQUIVALENT` names those that cannot be noticed, with the reason, and a survivor
that is not named there counts against the aim. With `--sample` only so many, drawn at random, are run and
the share is an estimate. Prints a table and writes results/mutants.json.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from benchmarks.mutants_equivalent import EQUIVALENT
from benchmarks.peers import peer_python
from benchmarks.results_file import ROOT, result_head

REQUIREMENTS = ("mutmut==3.8.1",)
RESULT = ROOT / "benchmarks" / "results" / "mutants.json"
NO_MUTANT = "no.such.mutant"
SCRATCH = ROOT / "var" / "mutants"
AIM = 0.95
# mutmut's exit codes of a mutant: noticed by a failing test, or by a test that no longer ends.
KILLED, TIMED_OUT, NO_TESTS = (1, 3), (24, 36, 152, 255), (5, 33)


@dataclass(frozen=True)
class Room:
    """Files to mutate and the mirrored tests that ought to notice."""

    files: tuple[str, ...]
    tests: tuple[str, ...]


ROOMS = {
    "policy": Room(("evaluation/policy/*",), ("tests/evaluation/policy",)),
    "statistics": Room(("evaluation/statistics/*",), ("tests/evaluation/statistics",)),
    "ppo": Room(
        ("training/core/ppo/losses.py", "training/core/ppo/advantages.py"),
        ("tests/training/core/ppo",),
    ),
    "rounds": Room(
        ("evaluation/gates/measuring.py", "outerloop/rounds/steps/*"),
        ("tests/evaluation/gates/test_measuring.py", "tests/outerloop/rounds"),
    ),
    "comparisons": Room(("annotation/comparisons/services/*",), ("tests/annotation/comparisons",)),
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


def configure(folder: Path, room: Room) -> None:
    packages = ["outerloop", "evaluation", "training", "annotation", "web"]
    options = {
        "source_paths": packages,
        "only_mutate": room.files,
        "also_copy": ["manage.py", "docs", "README.md", "docker", "benchmarks"],
        "pytest_add_cli_args_test_selection": room.tests,
        "pytest_add_cli_args": ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:randomly"],
        "use_git_change_detection": ["false"],
        "track_dependencies": ["false"],
    }
    lines = (
        f"{name} =\n" + "".join(f"    {value}\n" for value in values)
        for name, values in options.items()
    )
    (folder / "setup.cfg").write_text("[mutmut]\n" + "".join(lines))


def outcomes(folder: Path) -> Iterator[tuple[str, int | None]]:
    """(mutant, exit code of its tests) of every mutant that was run."""
    for path in sorted((folder / "mutants").rglob("*.meta")):
        yield from json.loads(path.read_text())["exit_code_by_key"].items()


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


def mutmut_run(command: list[str], folder: Path, output: TextIO) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(
        command, cwd=folder, env=environment, check=False, stdout=output, stderr=subprocess.STDOUT
    )


def room_measure(
    name: str, room: Room, *, python: Path, children: int, sample: int, seed: int
) -> Outcome:
    folder = SCRATCH / name
    shutil.rmtree(folder, ignore_errors=True)
    copy_of_checkout(folder)
    configure(folder, room)
    log = folder / "mutmut.log"
    print(f"{name}: mutating; progress in {log}", flush=True)
    with log.open("w") as output:
        command = [str(python), "-m", "mutmut", "run", "--max-children", str(children)]
        chosen: list[str] = []
        if sample:
            mutmut_run([*command, NO_MUTANT], folder, output)  # makes all, runs none
            made = sorted(name for name, _ in outcomes(folder))
            chosen = random.Random(seed).sample(made, min(sample, len(made)))
        mutmut_run([*command, *chosen], folder, output)
    found = [(mutant, code) for mutant, code in outcomes(folder) if code is not None]
    if not found:
        sys.exit(f"mutmut ran no mutant of {name}; see {log}")
    return outcome_of(found, python=python, folder=folder)


def outcome_of(found: list[tuple[str, int]], *, python: Path, folder: Path) -> Outcome:
    outcome = Outcome()
    for mutant, code in found:
        if code in KILLED or code in TIMED_OUT:
            outcome.killed += 1
            continue
        change = change_of(python, folder, mutant)
        if (mutant.rpartition("__mutmut_")[0], change) in EQUIVALENT:
            outcome.equivalent += 1
        else:
            reason = "no test reaches it" if code in NO_TESTS else f"exit code {code}"
            outcome.survived.append(f"{mutant} ({reason})\n{change}")
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description="Mutation tests of the rooms that decide.")
    parser.add_argument("--only", default=",".join(ROOMS), help="rooms, separated by commas")
    parser.add_argument("--children", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--sample", type=int, default=0, help="mutants of each room; 0: all")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    python = peer_python("mutmut", REQUIREMENTS)
    results = json.loads(RESULT.read_text())["rooms"] if RESULT.exists() else {}
    for name in chosen.only.split(","):
        outcome = room_measure(
            name,
            ROOMS[name],
            python=python,
            children=chosen.children,
            sample=chosen.sample,
            seed=chosen.seed,
        )
        for text in outcome.survived:
            print(f"\n[{name}] {text}")
        results[name] = {
            **result_head(), "mutants": outcome.total, "killed": outcome.killed,
            "equivalent": outcome.equivalent, "sampled": bool(chosen.sample), "share": round(outcome.share, 4),
            "survived": outcome.survived,
        }  # fmt: skip
    RESULT.write_text(json.dumps({"rooms": results}, indent=1) + "\n")
    print(f"\n{'room':<16}{'mutants':>9}{'killed':>8}{'share':>8}{'cannot be noticed':>19}")
    for name, row in results.items():
        mark = "" if row["share"] >= AIM else f"  under {AIM:.0%}"
        print(
            f"{name:<16}{row['mutants']:>9}{row['killed']:>8}{row['share']:>8.1%}{row['equivalent']:>19}{mark}"
        )


if __name__ == "__main__":
    main()
