"""Everything that the round-over-round page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.contracts import RoundSummary, Verdict
from evaluation.formatting import NOT_MEASURED, count, number, share, short
from evaluation.reports import charts
from evaluation.reports.models import ListedRound
from evaluation.reports.pages.parts import Figure, Mark, Row, Table, figure
from evaluation.reports.selectors import HistoryTotals, ReportedLine
from evaluation.reports.wording import VERDICT_MEANING, optimizer_name

WORDS: dict[Verdict, str] = {
    "PROMOTE": "promoted",
    "REJECT": "rejected",
    "INCONCLUSIVE": "inconclusive",
}


@dataclass(frozen=True)
class HistoryRow:
    """One round; a number that was not measured is an empty string."""

    number: int
    reported: bool
    word: str
    meaning: str
    mark: Mark | None
    win_rate: str
    kl: str
    gap: str
    labels: str
    hours: str
    deployed: str
    truth: str
    optimizer: str


@dataclass(frozen=True)
class HistoryPage:
    """`summary` is of all rounds of the line, the rest of those on this page."""

    line_slug: str
    line_name: str
    simulated: bool
    summary: str
    charts: tuple[Figure, ...]
    rows: tuple[HistoryRow, ...]
    has_truth: bool
    optimizers: Table | None

    @property
    def first(self) -> int:
        """The earliest round on the page, and below the latest."""
        return self.rows[-1].number

    @property
    def last(self) -> int:
        return self.rows[0].number


def history_page(
    line: ReportedLine, rows: Sequence[ListedRound], totals: HistoryTotals
) -> HistoryPage:
    """`rows` are those of the page, newest first."""
    summaries = [row.frozen for row in reversed(rows)]
    drawn = (
        figure(charts.ratings(summaries), wide=True),
        figure(charts.win_rates(summaries, simulated=line.simulated), wide=True),
    )
    minimum, maximum = _axis(summaries)
    shown = [
        _row(summary, row.reported, minimum, maximum)
        for row, summary in zip(rows, reversed(summaries), strict=True)
    ]
    return HistoryPage(
        line_slug=line.slug,
        line_name=line.name,
        simulated=line.simulated,
        summary=_summary(totals),
        charts=tuple(found for found in drawn if found),
        rows=tuple(shown),
        has_truth=any(s.truth_win_rate for s in summaries),
        optimizers=optimizer_table(summaries),
    )


def optimizer_table(summaries: Sequence[RoundSummary]) -> Table | None:
    """The last measured candidate of each optimiser side by side; None while there is but one."""
    latest: dict[str, RoundSummary] = {}
    for s in sorted(summaries, key=lambda summary: summary.number):
        name = optimizer_name(s.optimizer, s.adapter)
        if name and s.kl is not None:
            latest[name] = s
    if len(latest) < 2:
        return None
    headings = ("round", "win rate by labels", "KL (nats)", "held-out gain (z)", "training time")
    has_truth = any(s.truth_win_rate for s in latest.values())
    rows = [
        Row(
            name,
            (
                str(s.number),
                share(s.win_rate),
                f"{s.kl:.1f}",
                number(s.held_out_gain),
                NOT_MEASURED if s.policy_seconds is None else _hours(s.policy_seconds / 3600),
                *([share(s.truth_win_rate)] if has_truth else []),
            ),
        )
        for name, s in latest.items()
    ]
    caption = "Optimisers compared: the latest candidate of each above, against the incumbent of its round."
    return Table(caption, headings + (("truth",) if has_truth else ()), tuple(rows))


def _summary(totals: HistoryTotals) -> str:
    """7 rounds: 3 promoted, 4 rejected. 412 compute hours..."""
    parts = [f"{n:,} {WORDS[verdict]}" for verdict, n in totals.verdicts.items() if n]
    rounds, hours = count(totals.rounds, "round"), _hours(totals.compute_hours)
    said = f"{rounds}: {', '.join(parts) or 'none decided'}; {hours} of compute time."
    if totals.overridden:
        said += (
            f" Checks were let through by two leads in {totals.overridden:,} of {totals.rounds:,}."
        )
    return said


def _axis(summaries: Sequence[RoundSummary]) -> tuple[float, float]:
    """One axis for every row, so that the marks can be compared down the column."""
    found = [s.win_rate for s in summaries if s.win_rate]
    low = min([0.4, *(i.low for i in found)])
    high = max([0.6, *(i.high for i in found)])
    return max(0.0, low - 0.02), min(1.0, high + 0.02)


def _row(s: RoundSummary, reported: bool, minimum: float, maximum: float) -> HistoryRow:
    meaning = VERDICT_MEANING[s.verdict] if s.verdict else "neutral"
    rate = s.win_rate
    drawn = None
    if rate is not None:
        drawn = Mark(
            rate.low, rate.estimate, rate.high, 0.5, minimum, maximum, meaning, share(rate)
        )
    return HistoryRow(
        number=s.number,
        reported=reported,
        word=s.verdict or s.state.replace("_", " ").lower(),
        meaning=meaning,
        mark=drawn,
        win_rate=share(rate) if rate else "",
        kl="" if s.kl is None else f"{s.kl:.1f}",
        gap="" if s.reward_gap is None else f"{s.reward_gap:.2f}",
        labels=f"{s.labels:,}",
        hours=_hours(s.compute_hours),
        deployed=short(s.deployed_version) if s.deployed_version else "",
        truth=share(s.truth_win_rate) if s.truth_win_rate else "",
        optimizer=optimizer_name(s.optimizer, s.adapter),
    )


def _hours(hours: float) -> str:
    """Minutes below two hours: a round of a small world takes some."""
    return f"{hours * 60:.0f} min" if hours < 2 else f"{hours:.1f} h"
