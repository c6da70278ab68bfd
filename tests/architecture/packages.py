"""Which of the locked packages the site needs, which only learning needs, and which only the tests."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
# Ours, from the roof to the ground.
PACKAGES = ("outerloop", "evaluation", "training", "annotation", "web")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> set[str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return {canonical(line.split("==")[0]) for line in lines if "==" in line}


def declared() -> dict[str, list[str]]:
    """The groups of pyproject.toml by their comment: "the site", "jobs", "learning", "measuring"."""
    text = (ROOT / "pyproject.toml").read_text()
    block = text[text.index("\ndependencies = [") :].split("\n]")[0]
    groups: dict[str, list[str]] = {}
    for line in block.splitlines():
        if heading := re.match(r"\s+# (.+)", line):
            groups[heading[1]] = []
        elif requirement := re.match(r'\s+"(.+)"', line):
            groups[list(groups)[-1]].append(requirement[1])
    return groups


def closure(requirements: list[str]) -> set[str]:
    """The named packages and everything that they need, as installed here."""
    seen: set[tuple[str, tuple[str, ...]]] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        wanted = waiting.pop()
        key = (canonical(wanted.name), tuple(sorted(wanted.extras)))
        if key in seen:
            continue
        seen.add(key)
        for text in metadata.distribution(wanted.name).requires or []:
            needed = Requirement(text)
            extras = ["", *wanted.extras]
            if needed.marker is None or any(needed.marker.evaluate({"extra": e}) for e in extras):
                waiting.append(needed)
    return {name for name, _ in seen}


def learning_only() -> set[str]:
    groups = declared()
    site = [text for name, group in groups.items() if name != "learning" for text in group]
    return (closure(groups["learning"]) - closure(site)) & locked()


def testing_only() -> set[str]:
    return locked() - closure([text for group in declared().values() for text in group])
