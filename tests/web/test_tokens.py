"""The colours of the stylesheet keep the contrast that WCAG 2.2 AA asks for, in light and in dark."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CSS = Path(__file__).parents[2] / "web/static/web/outerloop.css"
TEXT = 4.5
EDGE = 3.0  # of the borders by which a control is known
PAIRS = [
    *((ink, ground, TEXT) for ink in ("ink", "muted", "accent") for ground in ("ground", "paper", "sunken")),
    *((m, ground, TEXT) for m in ("good", "attention", "bad") for ground in ("ground", "paper")),
    *((meaning, f"{meaning}-tint", TEXT) for meaning in ("good", "attention", "bad")),
    *((f"code-{kind}", "sunken", TEXT) for kind in ("comment", "keyword", "string", "number", "name")),
    ("on-accent", "accent", TEXT),
    ("on-accent", "accent-strong", TEXT),
    ("ink", "accent-tint", TEXT),
    ("ink", "attention-tint", TEXT),
    ("line-strong", "paper", EDGE),
    ("line-strong", "ground", EDGE),
    ("focus", "ground", EDGE),
]  # fmt: skip


def _tokens(scheme: str) -> dict[str, str]:
    light, _, rest = CSS.read_text().partition("@media (prefers-color-scheme: dark)")
    dark = rest.split("/* ---------- ground")[0]
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", light))
    return (
        found | dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", dark)) if scheme == "dark" else found
    )


def _luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance of an sRGB colour."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("front", "back", "least"), PAIRS)
def test_contrast_is_enough(scheme, front, back, least):
    tokens = _tokens(scheme)
    bright, dim = sorted((_luminance(tokens[front]), _luminance(tokens[back])), reverse=True)
    assert (bright + 0.05) / (dim + 0.05) >= least
