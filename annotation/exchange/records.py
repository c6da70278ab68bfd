"""What an import or export is asked to do, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from annotation.contracts import AnnotationError

COUNT_NAMES: Mapping[str, str] = {
    "rows": "Rows read",
    "rows_rejected": "Rows turned away",
    "prompts_new": "New prompts",
    "pairs_new": "New pairs",
    "pairs_repeated": "Rows on a known pair, in the same order",
    "pairs_reversed": "Rows on a known pair, in the other order",
    "pairs_of_one_text": "Rows whose two texts are the same",
    "votes_new": "New votes",
    "votes_known": "Votes that were known",
    "votes_revised": "Votes revised by a later one",
    "votes_tied": "Votes for a tie",
    "raters_new": "New raters",
    "ties_left_out": "Ties left out",
    "rows_train": "Rows for training",
    "rows_validation": "Rows for validation",
    "rows_test": "Rows for the test",
    "rows_evaluation": "Rows for evaluation",
}

ExportShape = Literal["conversational", "plain"]


def printable(text: str) -> str:
    """The text with everything that is not to be seen spelled out: control characters, which PostgreSQL
    and terminals take amiss, halves of surrogate pairs, and marks that turn the direction of a line."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


class ImportFailed(AnnotationError):
    """The file as a whole cannot be taken in; the message names it, the reason and the fix."""


class RowRejected(ValueError):
    """One row that cannot be taken in; the message is the reason, for people."""


@dataclass(frozen=True)
class ImportOptions:
    """`format` is a shape's key or "auto"; `split_by` a field whose value keeps rows together.

    `source` defaults to the name of the file, `campaign` (found or made in the line) to the source.

    `strict` takes in nothing when a single row is bad. `shares` divides new roots over the splits;
    left empty it is 70/10/10/10 (train, validation, test, evaluation) for prompts and pairs, and
    80/10/10/0 for rows that come with their judgments.
    """

    format: str = "auto"
    strict: bool = False
    split_by: str = ""
    source: str = ""
    campaign: str = ""
    shares: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "shares": dict(self.shares)}


@dataclass(frozen=True)
class Vote:
    """`value` is on the scale of 1..7 in the order of the row's two texts."""

    rater: str
    value: int


@dataclass(frozen=True)
class ImportRow:
    """A row of any shape: a prompt, no text or two, and what raters said of them.

    `ordered` is false when the first text is first only because it won (chosen, rejected): then its
    slot is drawn, so that the slot tells nothing.
    """

    messages: tuple[dict[str, str], ...]
    texts: tuple[str, str] | None = None
    votes: tuple[Vote, ...] = ()
    ordered: bool = True
    external_id: str = ""
    group: str = ""
    split: str = ""
    tags: tuple[str, ...] = ()


@dataclass
class ImportCounts:
    """What an import did. Rows are lines that are not blank.

    `pairs_repeated` and `pairs_reversed`: rows whose two texts, in the same or the other order, were
    a pair already. `votes_revised`: a rater's later vote on one pair, superseding the earlier.
    `rows_train` and so on: rows by the split of their prompt.
    """

    rows: int = 0
    rows_rejected: int = 0
    prompts_new: int = 0
    pairs_new: int = 0
    pairs_repeated: int = 0
    pairs_reversed: int = 0
    pairs_of_one_text: int = 0
    votes_new: int = 0
    votes_known: int = 0
    votes_revised: int = 0
    votes_tied: int = 0
    raters_new: int = 0
    rows_train: int = 0
    rows_validation: int = 0
    rows_test: int = 0
    rows_evaluation: int = 0

    def add(self, other: ImportCounts) -> None:
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)

    def to_json(self) -> dict[str, int]:
        return asdict(self)


@dataclass(frozen=True)
class ExportOptions:
    """`ties` adds tied judgments, marked, which the format has no place for otherwise."""

    shape: ExportShape = "conversational"
    ties: bool = False
    campaigns: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "campaigns": list(self.campaigns)}


@dataclass
class ExportCounts:
    rows: int = 0
    ties_left_out: int = 0

    def to_json(self) -> dict[str, int]:
        return asdict(self)
