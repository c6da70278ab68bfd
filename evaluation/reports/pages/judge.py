"""The section on the LLM judge: what it said, what that is worth beside people's labels, and what it is not."""

from __future__ import annotations

from collections.abc import Iterator

from evaluation.contracts import Interval, JudgeMeasurements, RoundRecord
from evaluation.formatting import count, points, share
from evaluation.policy.judge_checks import not_calibrated
from evaluation.reports.pages.parts import Row, Table
from evaluation.reports.pages.suite_sections import SuiteSection

WHAT_IT_IS = (
    "A language model compared the two texts, each pair in both orders. Its verdict is that model's opinion"
    " and no label of a person: it advises, and decides nothing."
)
RUBRICS = {
    "setting": "by the line's own rubric",
    "guidelines": "by the campaign's guidelines",
    "none": "without a rubric of its own",
}


def judge_section(record: RoundRecord) -> SuiteSection:
    found = record.judge
    if found is None:
        return SuiteSection("No LLM judge was asked in this round.")
    if found.win_rate is None:
        why = found.reason or "too few of its answers could be read."
        return SuiteSection(f"Not measured: {why} {_asked(found)}")
    calibrated = found.corrected is not None
    head = WHAT_IT_IS if calibrated else f"{WHAT_IT_IS} {not_calibrated(found)}"
    tables = [Table("What the judge says.", ("value",), tuple(_win_rates(found)))]
    if calibrated:
        tables.append(Table("Beside people's labels.", ("value",), tuple(_agreement(found))))
    tables.append(Table("Its leanings.", ("value",), tuple(_leanings(found))))
    return SuiteSection(_asked(found), tuple(tables), head=head)


def _asked(found: JudgeMeasurements) -> str:
    how = f"{found.model} at {found.host}, temperature {found.temperature:g}"
    counts = f"{count(found.pairs, 'pair')} of {found.asked:,} compared in both orders"
    said = f"Asked was {how}, {RUBRICS[found.rubric_source]}: {counts}"
    if found.unreadable:
        said += f"; {count(found.unreadable, 'answer')} gave no verdict that could be read"
    if found.unanswered:
        said += f"; {count(found.unanswered, 'question')} had no answer"
    seconds = f" An answer took {found.seconds:.1f} s in the median." if found.seconds else ""
    why = f" {found.reason}" if found.reason and found.win_rate is not None else ""
    digests = f" Digests: answers {found.answers_sha256[:12]}, rubric {found.rubric_sha256[:12]}."
    return f"{said}.{seconds}{why}{digests}"


def _win_rates(found: JudgeMeasurements) -> Iterator[Row]:
    yield _row(
        f"Candidate preferred by the judge, as it says ({found.pairs:,} pairs)", found.win_rate
    )
    if found.corrected is not None:
        labels = count(found.labels, "label")
        people = count(found.annotators, "annotator")
        yield _row(f"The same, put right by {labels} of {people}", found.corrected)
        yield _row("Candidate preferred by people, on the pairs that both compared", found.people)


def _agreement(found: JudgeMeasurements) -> Iterator[Row]:
    on = f"{count(found.decided, 'pair')} on which both prefer a side"
    yield _row(f"Judge and people prefer the same text ({on})", found.agreement)
    yield _row("Two people prefer the same text", found.ceiling)
    yield _row(
        "People prefer the longer text, on the pairs that both compared", found.longer_by_people
    )
    if found.longer_excess is not None:
        yield Row("The judge prefers it more often by", (points(found.longer_excess),))


def _leanings(found: JudgeMeasurements) -> Iterator[Row]:
    yield _row("Its verdict changes with the order (counted as a tie)", found.inconsistent)
    yield _row("It prefers the text shown first, of answers that prefer one", found.first)
    yield _row("It prefers the longer text, of pairs that differ in length", found.longer)


def _row(name: str, found: Interval | None) -> Row:
    return Row(name, (share(found),))
