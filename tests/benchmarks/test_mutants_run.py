"""Mutants in turn in one pytest: the first test that fails, what stays set up, and a test that is no judge."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.results_file import ROOT

# In place of mutmut, which only the benchmark's own environment has: the name of the mutant under test.
PROGRAM = """
import os, sys, types
from pathlib import Path
fake = types.ModuleType("mutmut.__main__")
fake.set_mutant_under_test = lambda name: os.environ.__setitem__("MUTANT", name)
package = types.ModuleType("mutmut")
package.__main__ = fake
sys.modules |= {"mutmut": package, "mutmut.__main__": fake}
import pytest
from benchmarks.mutants_run import Turns
mutants, narrow = eval(sys.argv[1])
os.environ["MUTANT"] = ""
turns = Turns(mutants, narrow, Path("done.json").absolute())
options = ["-q", "-p", "no:cacheprovider", "-p", "no:django", "--rootdir=.", "-c", "/dev/null"]
sys.exit(pytest.main([*options, "."], plugins=[turns]))
"""
CONFTEST = """
import pytest
@pytest.fixture(scope="session")
def once():
    with open("set_up.txt", "a") as file:
        file.write("x")
"""
DOUBLE = """
import os
MUTANT = "pack.double.x_double__mutmut_"
def test_small(once):
    assert os.environ["MUTANT"] != MUTANT + "1"
def test_large(once):
    assert os.environ["MUTANT"] not in (MUTANT + "1", MUTANT + "2")
"""
OTHER = """
import os
def test_elsewhere(once):
    assert os.environ["MUTANT"] != "pack.double.x_double__mutmut_3"
"""
SPOILT = """
import os
SPOILT = []
def test_keeps():
    if os.environ["MUTANT"]:
        SPOILT.append(1)
    assert not SPOILT
"""


def in_turn(folder: Path, mutants: list[str], narrow: dict[str, list[str]], **tests: str) -> str:
    (folder / "conftest.py").write_text(CONFTEST)
    for name, text in tests.items():
        (folder / f"test_{name}.py").write_text(text)
    (folder / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "program.py", repr((mutants, narrow))],
        cwd=folder, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_each_mutant_meets_the_tests_of_its_module_first_and_ends_at_the_first_that_fails(
    tmp_path: Path,
) -> None:
    names = [f"pack.double.x_double__mutmut_{n}" for n in (1, 2, 3, 4)]
    said = in_turn(tmp_path, names, {}, double=DOUBLE, alone=OTHER)
    assert list(json.loads((tmp_path / "done.json").read_text()).items()) == [
        (names[0], "test_double.py::test_small"),
        (names[1], "test_double.py::test_large"),
        (names[2], "test_alone.py::test_elsewhere"),
        (names[3], ""),
    ]
    assert (tmp_path / "set_up.txt").read_text() == "x"  # what they share is set up once
    assert "4/4 pack.double.x_double__mutmut_4: SURVIVED" in said


def test_a_module_with_tests_of_its_own_meets_no_others(tmp_path: Path) -> None:
    names = [f"pack.double.x_double__mutmut_{n}" for n in (2, 3)]
    in_turn(tmp_path, names, {"double": ["double"]}, double=DOUBLE, alone=OTHER)
    assert list(json.loads((tmp_path / "done.json").read_text()).values()) == [
        "test_double.py::test_large", "",
    ]  # fmt: skip


def test_a_test_that_fails_without_the_mutant_too_is_no_judge_of_it(tmp_path: Path) -> None:
    said = in_turn(tmp_path, ["pack.spoilt.x_f__mutmut_1"], {}, spoilt=SPOILT, double=DOUBLE)
    assert "test_spoilt.py::test_keeps fails without pack.spoilt.x_f__mutmut_1 too" in said
    assert "assert not [1]" in said
    done = json.loads((tmp_path / "done.json").read_text())
    assert done == {"pack.spoilt.x_f__mutmut_1": ""}
