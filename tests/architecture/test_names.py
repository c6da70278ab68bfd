"""One name, one thing: a reader who meets a class need not ask which of two it is."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

from tests.architecture.packages import PACKAGES

ROOT = Path(__file__).parents[2]
# Django finds these by name; a run is the same thing on both sides of the process boundary.
SHARED = {"Command", "Migration", "Run", "RunCancelled"}


def test_no_two_classes_have_one_name():
    places: dict[str, list[str]] = defaultdict(list)
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places[node.name].append(str(path.relative_to(ROOT)))
    twice = {name: found for name, found in places.items() if len(found) > 1}
    assert len(places) > 300
    assert {name: found for name, found in twice.items() if name not in SHARED} == {}
    assert twice.keys() == SHARED
