"""What an import is asked to do, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from annotation.contracts import AnnotationError

COUNT_NAMES: Mapping[str, str] = {
    "rows": "Rows read",
    "rows_rejected": "Rows turned away",
    "prompts_new": "New prompts",
    "pairs_new": "New pairs",
    "rankings_new": "New sets of answers to rank, or ranked",
    "pairs_repeated": "Rows on a known pair, in the same order",
    "pairs_reversed": "Rows on a known pair, in the other order",
    "pairs_of_one_text": "Rows whose two texts are the same",
    "votes_new": "New votes",
    "votes_known": "Votes that were known",
    "votes_revised": "Votes revised by a later one",
    "votes_tied": "Votes for a tie",
    "raters_new": "New raters",
    "gold_new": "New gold items",
    "gold_known": "Gold items that were known",
    "pairs_aside": "New pairs kept aside: on evaluation prompts, so that nobody is asked about them",
    "votes_aside": "New votes kept aside: on evaluation prompts, so that they never train",
    "rows_train": "Rows for training",
    "rows_validation": "Rows for validation",
    "rows_test": "Rows for the test",
    "rows_evaluation": "Rows for evaluation",
}


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

    `source` names whose raters they are: one rater is one name within one source. Without it, raters are
    those of the campaign. `campaign` is found or made in the line by its name; without one it is that of
    the source, or one for all imports of judgments, or one for all of prompts and pairs.

    `strict` takes in nothing when a single row is bad. `shares` divides new roots over the splits;
    left empty it is 70/10/10/10 (train, validation, test, evaluation) for prompts, and 80/10/10/0 for
    pairs, judged or not: a label on an evaluation prompt never trains.
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
class MarkedSpan:
    """A marked part of the row's text `slot` (from 1), from `start` up to `end` in code points; `label` a key."""

    label: str
    slot: int
    start: int
    end: int


@dataclass(frozen=True)
class Vote:
    """`value` is on the scale of 1..7 in the order of the row's two texts, as are the `criteria` (key,
    step); of ranked texts `levels` say it in its place, 1 the best and equal ones a tie.
    `flags` are keys of ours, alone or with ":left" or ":right". `at` is when it was given; without
    it, the time of the import."""

    rater: str
    value: int
    criteria: tuple[tuple[str, int], ...] = ()
    both_bad: bool = False
    flags: tuple[str, ...] = ()
    rationale: str = ""
    seconds: float | None = None
    at: datetime | None = None
    reasons: tuple[str, ...] = ()
    levels: tuple[int, ...] = ()
    spans: tuple[MarkedSpan, ...] = ()

    def with_more(self, **fields: Any) -> Vote:
        """The vote with these fields too, where they say something."""
        return replace(self, **{name: value for name, value in fields.items() if value})


@dataclass(frozen=True)
class Gold:
    """The right answer to a row's pair: `value` on the scale of 1..7 in the order of its two texts, right
    within `accept` steps; None: on its side."""

    value: int
    accept: int | None = None
    explanation: str = ""


@dataclass(frozen=True)
class Ranked:
    """Three to nine texts as one whole, in the order of the file, and the orders that raters put them in (none:
    they are to be ranked here)."""

    texts: tuple[str, ...]
    votes: tuple[Vote, ...] = ()


@dataclass(frozen=True)
class ImportRow:
    """A row of any shape: a prompt, no text or two, and what raters said of them.

    `ordered` is false when the first text is first only because it won (chosen, rejected): then its
    slot is drawn, so that the slot tells nothing. `lines` is how many rows of the file it stands for: 0
    for all but the first of the pairs that one row becomes. `ranked` is the whole of which these are the
    pairs, on the first of them: a campaign that ranks takes it in their place.
    """

    messages: tuple[dict[str, str], ...]
    texts: tuple[str, str] | None = None
    votes: tuple[Vote, ...] = ()
    ordered: bool = True
    external_id: str = ""
    group: str = ""
    split: str = ""
    tags: tuple[str, ...] = ()
    lines: int = 1
    gold: Gold | None = None
    ranked: Ranked | None = None

    def of_lines(self, lines: int) -> ImportRow:
        return replace(self, lines=lines)


# So many names of fields that were not used are kept; a file with a new name in every row has no end.
MOST_UNUSED = 200
OTHERS = "other fields"


@dataclass
class ImportCounts:
    """What an import did. Rows are those of the file: lines that are not blank, or items.

    `pairs_repeated` and `pairs_reversed`: pairs whose two texts, in the same or the other order, were
    there already. `votes_revised`: a rater's later vote on one pair, superseding the earlier.
    `pairs_aside` and `votes_aside`: new ones on evaluation prompts, which nothing learns from.
    `gold_new` and `gold_known`: rows that are gold items, made now or there already. `rows_train` and so on:
    rows by the split of their prompt. `unused`: in how many of the rows that went in a field held something
    that no part of the import reads.
    """

    rows: int = 0
    rows_rejected: int = 0
    prompts_new: int = 0
    pairs_new: int = 0
    rankings_new: int = 0
    pairs_repeated: int = 0
    pairs_reversed: int = 0
    pairs_of_one_text: int = 0
    votes_new: int = 0
    votes_known: int = 0
    votes_revised: int = 0
    votes_tied: int = 0
    raters_new: int = 0
    gold_new: int = 0
    gold_known: int = 0
    pairs_aside: int = 0
    votes_aside: int = 0
    rows_train: int = 0
    rows_validation: int = 0
    rows_test: int = 0
    rows_evaluation: int = 0
    unused: Counter[str] = field(default_factory=Counter)

    def add(self, other: ImportCounts) -> None:
        for name, value in vars(other).items():
            if name == "unused":
                self.unused.update(value)
            else:
                setattr(self, name, getattr(self, name) + value)

    def leave(self, names: Iterable[str]) -> None:
        """Count fields that one row has and the import does not use."""
        for name in set(names):
            known = name in self.unused or len(self.unused) < MOST_UNUSED
            self.unused[printable(name)[:100] if known else OTHERS] += 1

    def to_json(self) -> dict[str, Any]:
        numbers = {name: value for name, value in vars(self).items() if name != "unused"}
        return {**numbers, "unused": dict(self.unused.most_common())}
