"""What an export is asked to hold, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from annotation.comparisons.uses import LEARNED_FROM, USES
from annotation.contracts import AnnotationError

CONTENTS: Mapping[str, str] = {
    "training": "labels that may train, for this and other trainers",
    "everything": "every judgment and skip, with all that is known of it",
}
SHAPES: Mapping[str, str] = {
    "conversational": "lists of messages",
    "plain": "texts",
}
LAYOUTS: Mapping[str, str] = {
    "explicit": "prompt, chosen and rejected",
    "implicit": "chosen and rejected as whole conversations",
    "unpaired": "one row a completion: prompt, completion, label",
}
CONTAINERS: Mapping[str, str] = {
    "jsonl": "JSON lines",
    "csv": "CSV, for spreadsheets",
    "parquet": "Parquet",
    "dataset": "Hugging Face dataset folder",
}
# Ending of a file -> its container and whether it is packed. A name without an ending is a folder.
ENDINGS: Mapping[str, tuple[str, bool]] = {
    ".jsonl": ("jsonl", False),
    ".jsonl.gz": ("jsonl", True),
    ".csv": ("csv", False),
    ".csv.gz": ("csv", True),
    ".parquet": ("parquet", False),
    ".zip": ("dataset", True),
    "": ("dataset", False),
}
# What a job's file is called; a folder travels as one archive.
JOB_ENDINGS: Mapping[str, str] = {
    "jsonl": ".jsonl.gz",
    "csv": ".csv.gz",
    "parquet": ".parquet",
    "dataset": ".zip",
}


@dataclass(frozen=True)
class ExportOptions:
    """`content` is a key of `CONTENTS`, `container` of `CONTAINERS`. The others shape the training export:
    `shape` (of `SHAPES`), `layout` (of `LAYOUTS`); `ties` adds tied judgments, marked, which the formats of
    other trainers have no place for. No `campaigns`: all of the line."""

    shape: str = "conversational"
    ties: bool = False
    campaigns: tuple[str, ...] = ()
    content: str = "training"
    layout: str = "explicit"
    container: str = "jsonl"

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise AnnotationError(
                    f"There is no {name} {getattr(self, name)!r}: use {' or '.join(choices)}."
                )
        if self.ties and self.layout == "unpaired":
            raise AnnotationError(
                "A tie has no completion that is right or wrong: leave ties out of the unpaired layout."
            )

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> ExportOptions:
        """Raises `AnnotationError` for a choice that there is not."""
        return cls(**{**stored, "campaigns": tuple(stored.get("campaigns", ()))})

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "campaigns": list(self.campaigns)}


_CHOICES: Mapping[str, Mapping[str, str]] = {
    "content": CONTENTS,
    "shape": SHAPES,
    "layout": LAYOUTS,
    "container": CONTAINERS,
}


@dataclass
class ExportCounts:
    """`rows` were written. `left_out` counts the labels that were not, by what becomes of them (a key of
    `USES`, or "ties")."""

    rows: int = 0
    left_out: dict[str, int] = field(default_factory=dict)

    def leave_out(self, why: str, number: int = 1) -> None:
        self.left_out[why] = self.left_out.get(why, 0) + number

    def to_json(self) -> dict[str, int]:
        return {
            "rows": self.rows,
            **{f"left_out_{why}": n for why, n in self.left_out.items() if n},
        }


EXPORT_COUNT_NAMES: Mapping[str, str] = {
    "rows": "Rows written",
    "left_out_ties": "Left out: ties",
    **{
        f"left_out_{use}": f"Left out: {words}"
        for use, words in USES.items()
        if use not in LEARNED_FROM
    },
}


def container_of(path: Path) -> tuple[str, bool]:
    """The container that a file's name asks for, and whether it is packed."""
    ending = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    if ending not in ENDINGS:
        known = ", ".join(name for name in ENDINGS if name)
        raise AnnotationError(
            f"{path.name} ends in {ending}: let it end in {known}, or in nothing for a dataset folder."
        )
    return ENDINGS[ending]
