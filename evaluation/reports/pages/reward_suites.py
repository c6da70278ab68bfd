"""The section on reward-model suites: which answers the reward model tells apart, and whether by length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evaluation.contracts import (
    EarlierSuites,
    RewardSuiteMeasurements,
    RoundRecord,
    SuiteAccuracy,
)
from evaluation.formatting import count, share, signed_points
from evaluation.reports.pages.parts import Row, Table
from evaluation.reports.pages.suite_sections import SuiteSection
from evaluation.statistics.intervals import independent_difference

NOT_BEFORE = "not before"
MODELS = {"reward_model": "reward model", "held_out_reward_model": "held-out model"}
READING = (
    "A question counts as right where every better answer scores above every worse one; a tie counts by how "
    "many share it, half for a pair. No check rests on these figures."
)


def reward_suites_section(record: RoundRecord) -> SuiteSection:
    if record.reward_model is None:
        return SuiteSection("The reward model has not been evaluated, so nothing is known of it.")
    suites = record.reward_model.suites
    if not suites:
        return SuiteSection(
            "No suite of preferences is attached: the reward model was measured on the line's own labels "
            "alone."
        )
    tables = tuple(t for suite in suites for t in _tables(suite, record.suites_before))
    folded = tuple(_subsets_table(s, record.suites_before) for s in suites if _many(s))
    return SuiteSection(_says(suites, record.suites_before), tables, folded)


def _says(suites: tuple[RewardSuiteMeasurements, ...], before: EarlierSuites | None) -> str:
    said = [READING]
    if any(suite.sections for suite in suites):
        said.append("RewardBench's mean is over its four sections, each by its numbers of prompts.")
    if before:
        said.append(
            f"The interval of a change since round {before.number} takes the two figures for independent; "
            "on the same questions it is wider than need be."
        )
    said += [
        f"{suite.cut:,} of the {count(suite.texts, 'answer')} of {suite.suite} were cut to what the reward "
        "model reads."
        for suite in suites
        if suite.cut
    ]
    return " ".join(said)


def _many(suite: RewardSuiteMeasurements) -> bool:
    """Whether the subsets take a table of their own, that opens on demand."""
    return len(suite.subsets) > 8


def _tables(suite: RewardSuiteMeasurements, before: EarlierSuites | None) -> Iterator[Table]:
    rows = [] if _many(suite) else list(suite.subsets)
    if len(suite.subsets) > 1:
        rows.append(suite.mean)
    yield _accuracy_table(suite, before, rows, f"{suite.suite}: accuracy")
    if suite.bias:
        yield _bias_table(suite)


def _subsets_table(suite: RewardSuiteMeasurements, before: EarlierSuites | None) -> Table:
    return _accuracy_table(suite, before, suite.subsets, f"{suite.suite}: accuracy by subset")


def _accuracy_table(
    suite: RewardSuiteMeasurements,
    before: EarlierSuites | None,
    shown: Sequence[SuiteAccuracy],
    title: str,
) -> Table:
    """Guessing has a column of its own only where it is not the same everywhere."""
    chances = {f"{found.chance:.0%}" for found in (*suite.subsets, suite.mean)}
    guessing = f" Guessing gets {next(iter(chances))}." if len(chances) == 1 else ""
    headings = (
        "reward model",
        *((f"points since round {before.number}",) if before else ()),
        *(("held-out model",) if suite.mean.held_out else ()),
        "length alone",
        *(("by guessing",) if len(chances) > 1 else ()),
    )
    rows = (_row(suite, found, before, guessing=len(chances) > 1) for found in shown)
    caption = f"{title} on {count(suite.prompts, 'prompt')}; questions in brackets.{guessing}"
    return Table(caption, headings, tuple(rows))


def _row(
    suite: RewardSuiteMeasurements,
    found: SuiteAccuracy,
    before: EarlierSuites | None,
    *,
    guessing: bool,
) -> Row:
    change = NOT_BEFORE
    if earlier := _earlier(suite, found, before):
        change = signed_points(independent_difference(found.accuracy, earlier.accuracy))
    cells = (
        share(found.accuracy),
        *((change,) if before else ()),
        *((share(found.held_out),) if found.held_out else ()),
        share(found.length),
        *((f"{found.chance:.0%}",) if guessing else ()),
    )
    return Row(f"{_name(suite, found)} ({found.questions:,})", cells)


def _name(suite: RewardSuiteMeasurements, found: SuiteAccuracy) -> str:
    if found is suite.mean:
        return "Mean of the four sections" if suite.sections else "Mean of the subsets"
    rest = "Without a subset" if len(suite.subsets) > 1 else "All"
    return found.subset.replace("_", " ") or rest


def _earlier(
    suite: RewardSuiteMeasurements, found: SuiteAccuracy, before: EarlierSuites | None
) -> SuiteAccuracy | None:
    """The same row of the same suite, as it was measured before."""
    for same in before.suites if before else ():
        if same.sha256 == suite.sha256:
            if found is suite.mean:
                return same.mean
            return next((s for s in same.subsets if s.subset == found.subset), None)
    return None


def _bias_table(suite: RewardSuiteMeasurements) -> Table:
    """A scorer that pays for length is right where the better answer is the longer, and wrong elsewhere."""
    sides = {side: name for side, name in MODELS.items() if side in suite.bias}
    rows = (
        Row("The better answer is the shorter", tuple(share(suite.bias[s].shorter) for s in sides)),
        Row("The better answer is the longer", tuple(share(suite.bias[s].longer) for s in sides)),
    )
    return Table(f"{suite.suite}: accuracy by length, pair by pair.", tuple(sides.values()), rows)
