"""Small line charts of a run while it goes on: inline SVG from plain Python, cheap enough to poll.

A strict page may hold them: colours are classes, and nothing in them is a script or a style.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from training.contracts import RunEvent

WIDTH, HEIGHT = 320, 130
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 8, 18
POINTS = 160  # most points of one line; more are thinned, the last one always stays
COLOURS = ("train", "held-out", "people", "truth", "mark")

# Title, unit, the metrics of one chart with their names in it.
GROUPS: tuple[tuple[str, str, Mapping[str, str]], ...] = (
    ("Reward", "z", {"reward_train": "training", "reward_held_out": "held-out"}),
    ("KL to the reference", "nats a reply", {"kl_k1": "k1", "kl_exact": "exact"}),
    ("Texts outside the reference's", "share", {"outlier_share": "outside"}),
    ("Entropy", "nats a token", {"entropy": "entropy"}),
    ("Reply length", "tokens", {"response_length": "length"}),
    ("Loss", "", {"loss": "loss", "policy_loss": "policy", "value_loss": "value"}),
    ("Accuracy", "share", {"accuracy": "accuracy"}),
    ("Gradient norm", "", {"grad_norm": "gradient", "value_grad_norm": "value gradient"}),
    ("Clipped tokens", "share", {"clip_fraction": "clipped"}),
    ("Validation loss", "nats a token", {"validation_loss": "loss"}),
    (
        "Tokens a second",
        "",
        {
            "tokens_per_second": "training",
            "tokens_per_second_rollout": "sampling",
            "tokens_per_second_score": "scoring",
            "tokens_per_second_train": "training",
        },
    ),
)


@dataclass(frozen=True)
class Line:
    """One series: (step, value) in order of step."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class RunChart:
    """`legend` holds (name, colour class, last value) of each line."""

    title: str
    unit: str
    svg: SafeString
    legend: tuple[tuple[str, str, str], ...]


def run_charts(events: Sequence[RunEvent]) -> list[RunChart]:
    """A chart for every group of metrics of which at least two steps are known."""
    charts = []
    for title, unit, names in GROUPS:
        lines = _lines(events, names)[: len(COLOURS)]
        if lines:
            charts.append(curve_chart(title, unit, lines))
    return charts


def _lines(events: Sequence[RunEvent], names: Mapping[str, str]) -> list[Line]:
    """One line a metric and phase; a step that was reported twice (after a kill) counts once."""
    found: dict[tuple[str, str], dict[int, float]] = {}
    for event in events:
        for metric, value in event.metrics.items():
            if metric in names and value is not None and math.isfinite(value):
                found.setdefault((metric, event.phase), {})[event.step] = value
    kept = {key: points for key, points in found.items() if len(points) > 1}
    many_phases = len({phase for _, phase in kept}) > 1
    many_metrics = len({metric for metric, _ in kept}) > 1
    return [
        Line(_name(names[metric], phase, many_metrics, many_phases), _thinned(points))
        for (metric, phase), points in kept.items()
    ]


def _name(metric: str, phase: str, many_metrics: bool, many_phases: bool) -> str:
    short = phase.removeprefix("train ").replace("_", " ")
    return (
        f"{short}: {metric}" if many_metrics and many_phases else short if many_phases else metric
    )


def _thinned(points: Mapping[int, float]) -> list[tuple[float, float]]:
    ordered = [(float(step), points[step]) for step in sorted(points)]
    every = -(-len(ordered) // POINTS)
    return [point for i, point in enumerate(ordered) if (len(ordered) - 1 - i) % every == 0]


# -------------------------------------------------------------------------- drawing


def curve_chart(
    title: str,
    unit: str,
    lines: Sequence[Line],
    *,
    across: str = "step",
    colours: Sequence[str] = COLOURS,
) -> RunChart:
    """The lines on one pair of axes; `across` is what the horizontal one counts, `colours` some of `COLOURS`."""
    return RunChart(
        title=title,
        unit=unit,
        svg=_svg(title, unit, lines, across, colours),
        legend=tuple(
            (line.name, colours[i], number(line.points[-1][1])) for i, line in enumerate(lines)
        ),
    )


def _svg(
    title: str, unit: str, lines: Sequence[Line], across: str, colours: Sequence[str]
) -> SafeString:
    xs = [x for line in lines for x, _ in line.points]
    low, high, ticks = value_axis([y for line in lines for _, y in line.points])
    first, last = min(xs), max(xs)

    def at(x: float, y: float) -> tuple[float, float]:
        across = (x - first) / (last - first) if last > first else 0.5
        up = (y - low) / (high - low)
        return (
            round(LEFT + across * (WIDTH - LEFT - RIGHT), 1),
            round(HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM), 1),
        )

    grid = format_html_join(
        "",
        '<line class="stroke-grid" x1="{}" x2="{}" y1="{}" y2="{}"/>'
        '<text class="fill-text" x="{}" y="{}" text-anchor="end" font-size="11">{}</text>',
        [
            (LEFT, WIDTH - RIGHT, at(first, y)[1], at(first, y)[1], LEFT - 6, at(first, y)[1] + 4,
             number(y))
            for y in ticks
        ],
    )  # fmt: skip
    steps = format_html_join(
        "",
        '<text class="fill-text" x="{}" y="{}" text-anchor="{}" font-size="11">{}</text>',
        [
            (LEFT, HEIGHT - 4, "start", number(first)),
            (WIDTH - RIGHT, HEIGHT - 4, "end", f"{across} {number(last)}"),
        ],
    )
    drawn = format_html_join(
        "",
        '<polyline class="stroke-{}" fill="none" stroke-width="2" points="{}"/>',
        [
            (colours[i], " ".join("{},{}".format(*at(*point)) for point in line.points))
            for i, line in enumerate(lines)
        ],
    )
    return format_html(
        '<svg class="plot" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">'
        "{}{}{}</svg>",
        WIDTH, HEIGHT, WIDTH, HEIGHT, _says(title, unit, lines, across), grid, steps, drawn,
    )  # fmt: skip


def value_axis(values: Sequence[float]) -> tuple[float, float, list[float]]:
    """Lowest and highest value of the axis, and three to six round ticks between them."""
    low, high = min(values), max(values)
    if high - low < 1e-12 * max(1.0, abs(high)):
        low, high = low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first = math.ceil(low / step - 1e-9)
    ticks = [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]
    return low, high, ticks


def number(value: float) -> str:
    """Three digits, and whole numbers in full up to a million."""
    if 100 <= abs(value) < 1e6:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value == 0 or 1e-3 <= abs(value) < 1e6 else f"{value:.1e}"


def _says(title: str, unit: str, lines: Sequence[Line], across: str) -> str:
    words = [
        f"{line.name} from {number(line.points[0][1])} at {across} {number(line.points[0][0])}"
        f" to {number(line.points[-1][1])} at {across} {number(line.points[-1][0])}"
        for line in lines
    ]
    return f"{title}{f' in {unit}' if unit else ''}: {'; '.join(words)}."
