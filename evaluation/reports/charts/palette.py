"""The few colours of the charts and the look they share.

Every colour stands for a meaning and appears in a specification as the value below. The renderer
adds a class for it, so that the stylesheet can give another tone in the dark; the value itself is
what a viewer without the stylesheet sees.
"""

from __future__ import annotations

from typing import Any

TRAIN = "#b3590b"  # what PPO optimises
HELD_OUT = "#2a6fb4"  # the reward model that the training never saw
PEOPLE = "#7d4fc1"  # labels
TRUTH = "#5b7f1e"  # the hidden gold of a simulated world
MARK = "#4a4f57"  # one series of its own
TEXT = "#50565f"
RULE = "#878d96"  # thresholds and what a perfect model would show
GRID = "#d9dce1"

CLASSES = {
    TRAIN: "train",
    HELD_OUT: "held-out",
    PEOPLE: "people",
    TRUTH: "truth",
    MARK: "mark",
    TEXT: "text",
    RULE: "rule",
    GRID: "grid",
}

FONT = "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', sans-serif"

CONFIG: dict[str, Any] = {
    "font": FONT,
    "background": "transparent",
    "view": {"stroke": None},
    "axis": {
        "labelColor": TEXT,
        "titleColor": TEXT,
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "gridColor": GRID,
        "domainColor": GRID,
        "tickColor": GRID,
        "tickCount": 5,
    },
    "axisX": {"grid": False},
    "axisY": {"domain": False, "ticks": False},
    "legend": {
        "labelColor": TEXT,
        "labelFontSize": 11,
        "title": None,
        "orient": "top",
        "symbolStrokeWidth": 2,
        "offset": 6,
        "columnPadding": 48,  # text is measured here and drawn with another machine's fonts
    },
    "line": {"strokeWidth": 2},
    "rule": {"strokeWidth": 1},
}
