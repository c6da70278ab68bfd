"""Everything that the round-over-round page shows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from evaluation.contracts import RoundRecord, RoundSummary, Verdict
from evaluation.formatting import NOT_MEASURED, count, number, share, short
from evaluation.reports import charts
from evaluation.reports.pages.parts import Figure, Mark, Row, Table, figure
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
    line_slug: str
    line_name: str
    simulated: bool
    summary: str
    charts: tuple[Figure, ...]
    rows: tuple[HistoryRow, ...]
    has_truth: bool
    optimizers: Table | None


def history_page(
    newest: RoundRecord,
    summaries: Sequence[RoundSummary],
    *,
    reported: Collection[int],
    overridden: int,
) -> HistoryPage:
    """`reported` are the rounds that have a report; `overridden` counts those with an override."""
    drawn = (
        figure(charts.ratings(summaries), wide=True),
        figure(charts.win_rates(summaries, simulated=newest.simulated), wide=True),
    )
    minimum, maximum = _axis(summaries)
    rows = [_row(s, s.number in reported, minimum, maximum) for s in reversed(summaries)]
    return HistoryPage(
        line_slug=newest.line,
        line_name=newest.line_name or newest.line,
        simulated=newest.simulated,
        summary=_summary(summaries, overridden),
        charts=tuple(found for found in drawn if found),
        rows=tuple(rows),
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
    caption = (
        "Optimisers compared: the latest candidate of each, against the incumbent of its round."
    )
    return Table(caption, headings + (("truth",) if has_truth else ()), tuple(rows))


def _summary(summaries: Sequence[RoundSummary], overridden: int) -> str:
    """7 rounds: 3 promoted, 4 rejected. 412 compute hours..."""
    verdicts = [s.verdict for s in summaries]
    parts = [f"{n} {word}" for verdict, word in WORDS.items() if (n := verdicts.count(verdict))]
    rounds = count(len(summaries), "round")
    hours = sum(s.compute_hours for s in summaries)
    said = f"{rounds}: {', '.join(parts) or 'none decided'}; {_hours(hours)} of compute time."
    if overridden:
        said += f" Checks were let through by two leads in {overridden} of {len(summaries)}."
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
