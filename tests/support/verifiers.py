"""Functions that check completions, one of them in every way in which such a function goes wrong."""

from __future__ import annotations

import os
import time


def says_blue(messages: list[dict[str, str]], text: str) -> float:
    """2 where the text says blue, else 0; a text can also ask it to fail."""
    print("A word of its own.")
    if text == "hang":
        time.sleep(60)
    if text == "swallow":
        return len(bytearray(1 << 30))
    if text == "die":
        os._exit(3)
    if text == "raise":
        raise ValueError(text)
    if text == "nan":
        return float("nan")
    return 2.0 * ("blue" in text) * len(messages)


def always_wrong(messages: list[dict[str, str]], text: str) -> float:
    raise RuntimeError("no tests found")
