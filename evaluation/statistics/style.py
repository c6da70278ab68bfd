"""How two texts differ in length and in markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from evaluation.statistics.intervals import FloatArray

__all__ = [
    "STYLES",
    "length_differences",
    "markdown_count",
    "style_differences",
    "text_length",
]

STYLES: dict[str, re.Pattern[str]] = {
    "headings": re.compile(r"^ {0,3}#{1,6}\s+\S", re.MULTILINE),
    "list items": re.compile(r"^\s*(?:[-*+]|\d{1,3}[.)])\s+\S", re.MULTILINE),
    "bold": re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__"),
}


def text_length(text: str) -> int:
    """Characters, each run of white space counted as one: needs no tokenizer and holds in scripts
    that put no spaces between words."""
    return len(" ".join(text.split()))


def markdown_count(text: str, style: str) -> int:
    """How many times a text uses one of `STYLES`."""
    return len(STYLES[style].findall(text))


def style_differences(pairs: Sequence[tuple[str, str]]) -> dict[str, FloatArray]:
    """First text less second, by what is compared; [pairs] each, 0 where the two texts are equal.

    "length" is tanh(difference / its root mean square), which bounds the pull of a few very long
    replies (length-controlled AlpacaEval, Dubois 2024); "relative length" and the counts of markdown
    are (a - b) / (a + b) (style control of Chatbot Arena, Li 2024). People may go by either length:
    with one alone, some of what length does would stay in the rest. None is centred: 0 has to mean
    no difference.
    """
    lengths = np.array([[text_length(t) for t in pair] for pair in pairs], dtype=np.float64)
    return length_differences(lengths) | {
        style: _relative(np.array([[markdown_count(t, style) for t in p] for p in pairs], float))
        for style in STYLES
    }


def length_differences(lengths: FloatArray) -> dict[str, FloatArray]:
    """The two differences in length of `style_differences`, from lengths [pairs, 2]."""
    longer = lengths[:, 0] - lengths[:, 1]
    spread = float(np.sqrt((longer**2).mean())) or 1.0
    return {"length": np.tanh(longer / spread), "relative length": _relative(lengths)}


def _relative(amounts: FloatArray) -> FloatArray:
    return np.asarray((amounts[:, 0] - amounts[:, 1]) / np.maximum(amounts.sum(1), 1.0))
