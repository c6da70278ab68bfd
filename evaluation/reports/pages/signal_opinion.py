"""The section on the second opinion: what a reward head says that learned from users' signals, and what it is not."""

from __future__ import annotations

from collections.abc import Iterator

from evaluation.contracts import Interval, RoundRecord, SignalOpinion
from evaluation.formatting import count, share
from evaluation.reports.pages.parts import Row, Table
from evaluation.reports.pages.suite_sections import SuiteSection

WHAT_IT_IS = (
    "A reward head on the frozen reward model learned from users' edits, second tries and thumbs alone. Anybody who"
    " may ask the policy server may give these: it is an opinion beside people's labels, and no gate, round or"
    " snapshot reads it."
)
COLUMNS = ("head of users' signals", "people's reward model")


def signal_opinion_section(record: RoundRecord) -> SuiteSection:
    found = record.signal_opinion
    if found is None:
        return SuiteSection(
            "Not asked for: a lead switches it on at Lines → the line → Signals, or the round ended before its"
            " reward model was measured."
        )
    if found.problem:
        return SuiteSection(found.problem, head=WHAT_IT_IS)
    return SuiteSection(_learned(found), (signal_opinion_table(found),), head=WHAT_IT_IS)


def signal_opinion_table(found: SignalOpinion) -> Table:
    return Table(
        "What it tells, on signals and labels it did not learn from.", COLUMNS, tuple(_rows(found))
    )


def _rows(found: SignalOpinion) -> Iterator[Row]:
    yield _row(
        "Edits and second tries ordered as the user did",
        found.pairs_right,
        found.pairs_right_people,
    )
    yield _row("A thumb up scored above a thumb down", found.thumbs_told, found.thumbs_told_people)
    on = count(found.judged, "judged pair")
    yield _row(
        f"Orders a pair as people's labels do ({on})", found.labels_right, found.labels_right_people
    )
    yield Row("Orders it as the other of the two does", (share(found.agreement),) * 2)


def _row(name: str, head: Interval | None, people: Interval | None) -> Row:
    return Row(name, tuple("too few" if each is None else share(each) for each in (head, people)))


def _learned(found: SignalOpinion) -> str:
    given = f"{count(found.pairs, 'pair')} and {count(found.votes, 'single thumb')}"
    return (
        f"From {given} of {count(found.users, 'user')}, of whom none weighs more than"
        f" {found.largest_share:.1%}; {found.held_out:,} of them, whole conversations, were held out. Chance is 50%."
        " Intervals (95%) are over users, those of pairs that people judged over prompts."
    )
