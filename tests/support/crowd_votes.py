"""The real crowd votes on convincing arguments: counted from their file alone, and looked for after an import.

The suite imports a part (the pairs among the first ten arguments of each stance), and
`python -m benchmarks.real_votes` all of them, with the same questions.
"""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from django.db.models import Count

from annotation import facade
from annotation.accounts.models import Rater
from annotation.comparisons.models import Assignment, Comparison, Judgment, JudgmentValue, Prompt
from annotation.contracts import SnapshotRecipe
from annotation.quality.selectors import agreement_of

CHECKOUT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("OUTERLOOP_REAL_DATA") or CHECKOUT.parent / "shared" / "data")
VOTES = DATA / "convincing_arguments.jsonl.gz"
ARGUMENTS = 10  # of each stance, in the part

Row = dict[str, Any]
Pair = tuple[str, str, frozenset[str]]


def rows_read(path: Path) -> list[Row]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def part_of(rows: Sequence[Row]) -> list[Row]:
    """Every row between two of the first arguments of its stance: every debate, and what is twice among them."""
    first: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows:
        known = first[row["debate_title"], row["stance"]]
        known += [a for a in dict.fromkeys((row["a1"], row["a2"])) if a not in known]
    kept = {stance: set(known[:ARGUMENTS]) for stance, known in first.items()}
    return [r for r in rows if {r["a1"], r["a2"]} <= kept[r["debate_title"], r["stance"]]]


def part_write(path: Path) -> list[Row]:
    rows = part_of(rows_read(VOTES))
    _write(path, rows)
    return rows


def rows_write(rows: Sequence[Row], folder: Path) -> Path:
    """The same in a folder, under the file's own name, by which its shape is known."""
    path = folder / VOTES.name
    _write(path, rows)
    return path


def _write(path: Path, rows: Sequence[Row]) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


@dataclass(frozen=True)
class Counted:
    """What is in the file: pairs are sets of two texts under one stance."""

    rows: int
    votes: int
    pairs: int
    revised: int
    reversed: int
    repeated: int
    of_one_text: int
    raters: int
    debates: int
    stances: int


def last_votes(rows: Sequence[Row]) -> dict[tuple[Pair, str], str | None]:
    """The winning text of each rater's last word on each pair; None for a tie."""
    found: dict[tuple[Pair, str], str | None] = {}
    for row in rows:
        winner = {"a1": row["a1"], "a2": row["a2"], "equal": None}
        for vote in row["votes"]:
            found[_pair(row), vote["worker"]] = winner[vote["value"]]
    return found


def _pair(row: Row) -> Pair:
    return row["debate_title"], row["stance"], frozenset((row["a1"], row["a2"]))


def counted(rows: Sequence[Row]) -> Counted:
    shown: dict[Pair, list[tuple[str, str]]] = defaultdict(list)
    for row in rows:
        shown[_pair(row)].append((row["a1"], row["a2"]))
    turned = sum(
        (second, first) == places[0]
        for places in shown.values()
        for first, second in places[1:]
        if first != second
    )
    votes = sum(len(row["votes"]) for row in rows)
    return Counted(
        rows=len(rows),
        votes=votes,
        pairs=len(shown),
        revised=votes - len(last_votes(rows)),
        reversed=turned,
        repeated=len(rows) - len(shown) - turned,
        of_one_text=sum(row["a1"] == row["a2"] for row in rows),
        raters=len({vote["worker"] for row in rows for vote in row["votes"]}),
        debates=len({pair[0] for pair in shown}),
        stances=len({pair[:2] for pair in shown}),
    )


def assert_all_is_in(rows: Sequence[Row], counts: dict[str, int], line: UUID) -> None:
    """What the import says it took, what is in the tables, and what the facade gives out."""
    file = counted(rows)
    assert (counts["rows"], counts["rows_rejected"]) == (file.rows, 0)
    votes = counts["votes_new"], counts["votes_revised"], counts["votes_known"]
    assert votes == (file.votes, file.revised, 0)
    pairs = counts["pairs_new"], counts["pairs_reversed"], counts["pairs_repeated"]
    assert pairs == (file.pairs, file.reversed, file.repeated)
    assert counts["pairs_of_one_text"] == file.of_one_text
    assert counts["raters_new"] == Rater.objects.count() == file.raters
    assert Comparison.objects.count() == file.pairs
    assert Assignment.objects.count() == file.votes - file.revised
    assert Judgment.objects.filter(active=True).count() == file.votes - file.revised
    assert Judgment.objects.filter(active=False).count() == file.revised
    assert JudgmentValue.objects.count() == file.votes
    assert_same_opinions(rows, line)
    assert_debates_held_together(file)
    assert_agreement(rows, line)


def assert_same_opinions(rows: Sequence[Row], line: UUID) -> None:
    """Each rater's last word on each pair, by the winning text, is what the stream gives out."""
    names = dict(Rater.objects.values_list("pseudonym", "external_id"))
    expected = Counter(
        (worker, pair[2], winner)
        for (pair, worker), winner in last_votes(rows).items()
        if len(pair[2]) == 2
    )
    streamed: Counter[Any] = Counter()
    for row in facade.preferences_stream(line_id=line, recipe=SnapshotRecipe()):
        first, second = row.completions
        winner = {1.0: first, 0.0: second, 0.5: None}[row.preference]
        streamed[names[row.rater], frozenset((first, second)), winner] += 1
    assert streamed == expected


def assert_debates_held_together(file: Counted) -> None:
    prompts = Prompt.objects.all()
    assert prompts.count() == file.stances
    splits = defaultdict(set)
    for prompt in prompts:
        splits[prompt.messages[0]["content"].split("\n\nArgue for:")[0]].add(prompt.split)
    assert len(splits) == file.debates
    assert all(len(found) == 1 for found in splits.values())
    assert set.union(*splits.values()) == {"train", "validation", "test"}


def assert_agreement(rows: Sequence[Row], line: UUID) -> None:
    """Raw agreement of decided votes on two different texts, once more from the file."""
    by_pair: dict[Pair, Counter[str]] = defaultdict(Counter)
    for (pair, _), winner in last_votes(rows).items():
        if winner is not None and len(pair[2]) == 2:
            by_pair[pair][winner] += 1
    agreeing = sum(n * (n - 1) // 2 for votes in by_pair.values() for n in votes.values())
    both = sum(votes.total() * (votes.total() - 1) // 2 for votes in by_pair.values())
    texts = Comparison.objects.annotate(n=Count("slots__completion", distinct=True))
    of_two_texts = set(texts.filter(n=2).values_list("pk", flat=True))
    votes = facade.overlap_votes(line_id=line)
    found = agreement_of(vote for vote in votes if vote.comparison_id in of_two_texts)
    assert (found.agreeing, found.pairs) == (agreeing, both)


@dataclass(frozen=True)
class Ballots:
    """Each rater's last word on each pair of two texts, as arrays [n]: codes of pair and rater, and
    whether the text that stood first in the file is better (0), neither (1) or the other (2)."""

    pair: Any
    rater: Any
    answer: Any
    gold: Any  # [pairs]: 0 or 2 where the file's aggregated choice is a text, else -1

    def matrix(self) -> Any:
        """[raters, pairs] with NaN where there is no vote: what the krippendorff package reads."""
        found = np.full((self.rater.max() + 1, self.pair.max() + 1), np.nan)
        found[self.rater, self.pair] = self.answer
        return found


def ballots(rows: Sequence[Row]) -> Ballots:
    first: dict[Pair, str] = {}
    gold: dict[Pair, str | None] = {}
    for row in rows:
        if row["a1"] != row["a2"]:
            first.setdefault(_pair(row), row["a1"])
            gold.setdefault(_pair(row), row.get(row["gold"] or ""))
    pairs = {pair: code for code, pair in enumerate(first)}
    raters: dict[str, int] = {}
    votes = [
        (pairs[pair], raters.setdefault(rater, len(raters)), _answer(winner, first[pair]))
        for (pair, rater), winner in last_votes(rows).items()
        if pair in pairs
    ]
    pair, rater, answer = (np.array(column) for column in zip(*votes, strict=True))
    known = [-1 if gold[pair] is None else _answer(gold[pair], first[pair]) for pair in pairs]
    return Ballots(pair, rater, answer, np.array(known))


def _answer(winner: str | None, first: str) -> int:
    return 1 if winner is None else 0 if winner == first else 2
