"""The lines of the data files that the site writes and the learning programs read (JSON lines, UTF-8).

Both sides use these classes: a field that one of them does not know is an error, not a silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from web.json_contract import JsonContract

__all__ = ["DemonstrationRow", "PreferenceRow", "PromptRow", "Split"]

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class PromptRow(JsonContract):
    """A line of `prompts`: `group` is the hash of the root conversation, never on two sides of a split."""

    id: str
    messages: tuple[dict[str, str], ...]
    group: str = ""


@dataclass(frozen=True)
class DemonstrationRow(JsonContract):
    """A line of `demonstrations`; the last message is the assistant's."""

    messages: tuple[dict[str, str], ...]


@dataclass(frozen=True)
class PreferenceRow(JsonContract):
    """A line of `preferences`: one label, and where it came from.

    `preference` is the probability that completion 0 is the better one, a tie 0.5; `strength` the raw step
    1..7 in slot order (1: completion 0 much better); `source` is people, simulated or import:NAME.
    """

    id: str
    group: str
    messages: tuple[dict[str, str], ...]
    completions: tuple[str, ...]
    preference: float
    strength: float = 4.0
    weight: float = 1.0
    split: Split = "train"
    rater: str = ""
    campaign: str = ""  # where the label came from: kept for people, read by no formula
    purpose: str = ""
    judged_at: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if len(self.completions) != 2:
            raise ValueError(f"'completions' must hold two texts, not {len(self.completions)}.")
        if not 0.0 <= self.preference <= 1.0:
            raise ValueError(f"'preference' must lie in [0, 1], not {self.preference}.")
        if not 1.0 <= self.strength <= 7.0:
            raise ValueError(f"'strength' must lie in 1..7, not {self.strength}.")
        if not 0.0 <= self.weight < float("inf"):
            raise ValueError(f"'weight' must be finite and not negative, not {self.weight}.")

    @property
    def tie(self) -> bool:
        return self.preference == 0.5
