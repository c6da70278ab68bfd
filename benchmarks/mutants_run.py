"""The mutants of one room, in mutmut's environment: make them, then run the chosen in one process.

    python -m benchmarks.mutants_run FILE

Started by `benchmarks.mutants` in its copy of the checkout; FILE says what is asked (`Asked`). mutmut makes the
mutants: a function that is changed asks at every call which of its forms is under test. So one pytest with one
database can run them all: for each mutant the tests of its module, in turn, to the first that fails. That
test must then pass without the mutant, in one of two tries; else it is no judge of this one, its failure is
printed, and the next test is asked. Each mutant is written down as it is done, so that a run that ends early
says which it has tried.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mutmut.__main__ as mutmut
import pytest
from _pytest.runner import runtestprotocol

MADE, DONE = Path("mutants"), Path("done.json")
# A test that takes more of the processor, or of the day, no longer ends.
MOST_CPU_SECONDS, MOST_SECONDS = 60, 1200


@dataclass(frozen=True)
class Asked:
    """`names`, or `sample` drawn by `seed` (0: all), by the tests at `paths`, and of those by the test modules
    of a mutated one in `narrow` alone."""

    names: list[str]
    sample: int
    seed: int
    paths: list[str]
    narrow: dict[str, list[str]]


def mutants_make() -> list[str]:
    """The names of all mutants; files that have not changed since are left as they are."""
    mutmut.set_mutant_under_test("mutant_generation")
    MADE.mkdir(exist_ok=True)
    mutmut.copy_src_dir()
    mutmut.copy_also_copy_files()
    mutmut.create_mutants(1)
    mutmut.setup_source_paths()
    return sorted(
        name
        for path in MADE.rglob("*.meta")
        for name in json.loads(path.read_text())["exit_code_by_key"]
    )


class Turns:
    """In place of pytest's one run of all tests: the mutants, one after another."""

    def __init__(self, chosen: list[str], narrow: dict[str, list[str]], done: Path) -> None:
        self.chosen, self.narrow, self.done = chosen, narrow, done

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        found: dict[str, str] = {}
        for mutant in self.chosen:
            found[mutant] = self._noticed_by(session.items, mutant)
            self.done.write_text(json.dumps(found, indent=1))
            print(
                f"{len(found)}/{len(self.chosen)} {mutant}: {found[mutant] or 'SURVIVED'}",
                flush=True,
            )
        return True

    def _noticed_by(self, items: list[pytest.Item], mutant: str) -> str:
        """The test that fails, or nothing."""
        for item in self._tests_of(items, mutant.rpartition(".")[0].rpartition(".")[2]):
            mutmut.set_mutant_under_test(mutant)
            if failure_of(item, items):
                mutmut.set_mutant_under_test("")
                if failure_of(item, items) and (failure := failure_of(item, items)):
                    print(f"{item.nodeid} fails without {mutant} too:\n{failure}", flush=True)
                    continue
                return item.nodeid
        return ""

    def _tests_of(self, items: list[pytest.Item], module: str) -> list[pytest.Item]:
        """Those of the test module of the same name first; where the room is narrow, of those named alone."""
        names = self.narrow.get(module)
        if names is not None:
            return [item for name in names for item in items if item.path.stem == f"test_{name}"]
        return sorted(items, key=lambda item: item.path.stem != f"test_{module}")


def failure_of(item: Any, items: list[pytest.Item]) -> str:
    """Run the test; what failed, or nothing."""
    item.session._setupstate.teardown_exact(item)  # the module of the test before may be another
    following = next(other for other in items if other is not item)  # what both share stays set up
    item._initrequest()
    signal.setitimer(signal.ITIMER_PROF, MOST_CPU_SECONDS)
    signal.alarm(MOST_SECONDS)
    try:
        reports = runtestprotocol(item, nextitem=following, log=False)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
    return "\n".join(report.longreprtext for report in reports if report.failed)


def _too_long(*_: object) -> None:
    raise TimeoutError("the test no longer ends")


def main() -> None:
    asked = Asked(**json.loads(Path(sys.argv[1]).read_text()))
    made = mutants_make()
    chosen = asked.names or made
    if asked.sample:
        chosen = random.Random(asked.seed).sample(made, min(asked.sample, len(made)))
    Path("chosen.json").write_text(json.dumps({"made": len(made), "chosen": chosen}))
    for kind in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(kind, _too_long)
    turns = Turns(chosen, asked.narrow, DONE.absolute())
    mutmut.set_mutant_under_test("")
    os.chdir(MADE)
    options = ["-q", "-p", "no:cacheprovider", "--reuse-db", "-m", "not slow and not browser"]
    sys.exit(pytest.main(["--rootdir=.", *options, *asked.paths], plugins=[turns]))


if __name__ == "__main__":
    main()
