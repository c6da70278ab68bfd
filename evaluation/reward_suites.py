"""Suites for reward models: from a file of better and worse answers to one plain form."""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from annotation import facade as annotation
from annotation.contracts import AnnotationError, BetterAnswers
from evaluation.contracts import RewardSuite, RewardSuiteItem
from evaluation.suite_files import ITEMS_MOST, SuiteError

TEXT_MOST = 60_000_000  # characters of a suite's answers


def reward_suite_read(content: bytes, *, name: str) -> RewardSuite:
    """The suite that somebody uploads; `SuiteError` names the first line that does not fit."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "The file"
        path.write_bytes(content)
        try:
            items = tuple(_items(annotation.better_answers_read(path)))
        except AnnotationError as error:
            raise SuiteError(str(error)) from error
    if len(items) < 2:
        raise SuiteError(f"A suite needs at least 2 prompts; the file has {len(items)}.")
    _subsets_check(items)
    return RewardSuite(name, items)


def _items(rows: Iterable[BetterAnswers]) -> Iterator[RewardSuiteItem]:
    characters = 0
    for number, row in enumerate(rows, start=1):
        characters += sum(map(len, (*row.chosen, *row.rejected)))
        if number > ITEMS_MOST:
            raise SuiteError(f"A suite has at most {ITEMS_MOST:,} items; take a part of the file.")
        if characters > TEXT_MOST:
            raise SuiteError(f"The answers have more than {TEXT_MOST:,} characters together.")
        yield RewardSuiteItem(
            messages=tuple(dict(message) for message in row.messages),
            chosen=row.chosen,
            rejected=row.rejected,
            subset=row.subset,
            by_style=row.by_style,
        )


def _subsets_check(items: Iterable[RewardSuiteItem]) -> None:
    """An accuracy has an interval only where two prompts speak to it."""
    prompts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for item in items:
        prompts[item.subset][str(item.messages)] += 1
    alone = [subset for subset, found in prompts.items() if len(found) < 2]
    if alone and len(prompts) == 1:
        raise SuiteError("All rows have the same prompt; a suite needs at least 2.")
    if alone:
        rows = "rows without a subset have" if not alone[0] else f"subset {alone[0]!r} has"
        raise SuiteError(
            f"The {rows} only one prompt; an accuracy needs at least 2. Name the rows otherwise, or"
            " leave them out."
        )
