"""What the other side takes as a name, and which files of a model are sent there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from .models import Destination

CARD = "README.md"
# As the hub takes names: an owner, and a repository of at most 96 characters in all.
REPOSITORY = re.compile(r"[A-Za-z0-9](?:[\w.-]*\w)?/[A-Za-z0-9](?:[\w.-]*\w)?", re.ASCII)
LONGEST_REPOSITORY = 96
MODEL = re.compile(r"[A-Za-z0-9][\w .-]*", re.ASCII)
LONGEST_MODEL = 200


def name_problem(destination: str, name: str) -> str:
    """Why this is no name over there, in a sentence; empty for one."""
    if destination == Destination.HUB:
        whole = REPOSITORY.fullmatch(name) and len(name) <= LONGEST_REPOSITORY
        if whole and not re.search(r"--|\.\.|\.git$", name):
            return ""
        return (
            "Write the repository as owner/name, in letters, digits, dots, dashes and underscores."
        )
    if MODEL.fullmatch(name) and len(name) <= LONGEST_MODEL:
        return ""
    return "Write the model's name in letters, digits, spaces, dots, dashes and underscores."


def files_of(folder: Path) -> Iterator[tuple[str, Path]]:
    """(place, file) of all that is sent, in the order of their names; our card takes the place of another."""
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder).as_posix()
        if path.is_file() and place != CARD:
            yield place, path
