"""Round over round: how a line has fared."""

from __future__ import annotations

from collections.abc import Sequence

from evaluation.contracts import Interval, RoundSummary
from evaluation.formatting import count
from evaluation.formatting import number as interval_number
from evaluation.formatting import share as interval_share
from evaluation.reports.charts import layers
from evaluation.reports.charts.altair import alt
from evaluation.reports.charts.layers import Chart, Values
from evaluation.reports.charts.palette import MARK, PEOPLE, TRUTH

MOST_TICKS = 12


def _size(rounds: int) -> dict[str, int]:
    """As wide as its rounds need: a few fit a phone, many are scrolled there."""
    return {"width": min(960, max(230, 56 * rounds)), "height": 180}


def ratings(history: Sequence[RoundSummary]) -> Chart | None:
    """round -> Bradley-Terry rating of the round's candidate, with its interval."""
    rated = [(s.number, s.rating) for s in history if s.rating is not None]
    if len(rated) < 2:
        return None
    drawn = alt.layer(
        layers.level_rule(0.0),
        *_intervals(rated, "rating", MARK, [n for n, _ in rated], joined=True),
    )
    number, last = rated[-1]
    words = (
        f"{count(len(rated), 'round')}; the candidate of round {number} is rated "
        f"{interval_number(last)}, the first policy 0."
    )
    return Chart(
        "Rating by round",
        words,
        layers.specification(drawn, **_size(len(history))),
        Values(
            ("round", "rating", "from", "to"),
            tuple((float(n), r.estimate, r.low, r.high) for n, r in rated),
        ),
    )


def win_rates(history: Sequence[RoundSummary], *, simulated: bool) -> Chart | None:
    """round -> win rate against the incumbent by labels, and by the gold where a world has one."""
    labelled = [(s.number, s.win_rate) for s in history if s.win_rate is not None]
    if not labelled:
        return None
    said = "simulated annotators" if simulated else "people"
    true = [(s.number, s.truth_win_rate) for s in history if s.truth_win_rate is not None]
    rounds = sorted({number for number, _ in [*labelled, *true]})
    parts = _intervals(labelled, "win rate", PEOPLE, rounds, share=True)
    if true:
        parts += _intervals(true, "win rate", TRUTH, rounds, share=True, offset=0.18)
    drawn = alt.layer(layers.level_rule(0.5), *parts)
    number, last = labelled[-1]
    words = (
        f"{count(len(labelled), 'round')} with labels; in round {number} the candidate won "
        f"{interval_share(last)} by {said}."
    )
    if true:
        words += " The second mark of a round is the truth, by the hidden scorer."
    return Chart(
        "Win rate by round",
        words,
        layers.specification(drawn, **_size(len(history))),
        _rate_values(labelled, true),
    )


def _rate_values(
    labelled: Sequence[tuple[int, Interval]], true: Sequence[tuple[int, Interval]]
) -> Values:
    by_people = {number: (r.estimate, r.low, r.high) for number, r in labelled}
    if not true:
        rows = tuple((float(number), *found) for number, found in by_people.items())
        return Values(("round", "win rate", "from", "to"), rows)
    truth = {number: r.estimate for number, r in true}
    return Values(
        ("round", "win rate", "from", "to", "truth"),
        tuple(
            (float(number), *by_people.get(number, (None, None, None)), truth.get(number))
            for number in sorted({*by_people, *truth})
        ),
    )


def _intervals(
    points: Sequence[tuple[int, Interval]],
    title: str,
    colour: str,
    ends: Sequence[int],
    *,
    share: bool = False,
    joined: bool = False,
    offset: float = 0.0,
) -> list[alt.Chart]:
    rows = [
        {"x": number + offset, "y": found.estimate, "low": found.low, "high": found.high}
        for number, found in points
    ]
    scale = alt.Scale(domain=[min(ends) - 0.5, max(ends) + 0.5], nice=False)
    every = max(1, (max(ends) - min(ends)) // MOST_TICKS)
    ticks = list(range(min(ends), max(ends) + 1, every))  # a round is a whole number
    x = alt.X("x:Q", axis=alt.Axis(title="round", format="d", values=ticks), scale=scale)
    y = layers.axis_y(title, share=share)
    base = alt.Chart(layers.data(rows)).encode(x=x)
    bars = base.mark_rule(color=colour, strokeWidth=2, opacity=0.55).encode(
        y=alt.Y("low:Q", title=title), y2="high:Q"
    )
    dots = base.mark_point(color=colour, filled=True, size=44, opacity=1).encode(y=y)
    if joined:
        return [base.mark_line(color=colour, strokeWidth=1, opacity=0.6).encode(y=y), bars, dots]
    return [bars, dots]
