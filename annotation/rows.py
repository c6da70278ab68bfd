"""The lines of the data files that the site writes and the learning programs read (JSON lines, UTF-8).

Both sides use these classes: a field that one of them does not know is an error, not a silence.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from web.json_contract import JsonContract

__all__ = [
    "OVERALL",
    "DemonstrationRow",
    "PreferenceRow",
    "PromptRow",
    "RankingPart",
    "Split",
    "Writer",
]

Split = Literal["train", "validation", "test"]
OVERALL, TIE = "overall", 4.0


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
class RankingPart(JsonContract):
    """Of which ranking a pair is a part: the judgment's id, how many answers it put in order, and the levels
    of the pair's two completions in it, 1 the best and equal ones a tie."""

    ranking: str
    answers: int
    levels: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.answers < 3:
            raise ValueError(f"'answers' of a ranking must be 3 or more, not {self.answers}.")
        if len(self.levels) != 2 or not all(1 <= level <= self.answers for level in self.levels):
            raise ValueError(
                f"'levels' must hold two levels from 1 to {self.answers}, not {list(self.levels)}."
            )


@dataclass(frozen=True)
class Writer(JsonContract):
    """Which model version drew a completion, and how; `model` is empty where nobody knows, or a person wrote.

    `ended` is false where the text was cut off at the token limit.
    """

    model: str = ""
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    ended: bool = True

    @property
    def whole(self) -> bool:
        """Whether it was drawn from the model's whole distribution, so that its probability is the model's own."""
        return self.temperature > 0 and self.top_k == 0 and self.top_p == 1.0


@dataclass(frozen=True)
class PreferenceRow(JsonContract):
    """A line of `preferences`: one label, and where it came from.

    `preference` is the probability that completion 0 is the better one, a tie 0.5; `strength` the raw step
    1..7 in slot order (1: completion 0 much better); `source` is people, simulated or import:NAME; `strategy`
    is what chose the pair, "random" being the arm from which figures speak for all pairs. A ranking
    of K answers is K (K - 1) / 2 rows, each `part` of it and with 1 / (K - 1) of its weight. `both_bad` says that
    neither completion is good, whichever is the better one. `criteria` are the steps 1..7 that the same person
    chose on the campaign's other criteria, in slot order.
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
    strategy: str = ""
    part: RankingPart | None = None
    both_bad: bool = False
    writers: tuple[Writer, ...] = ()  # of the two completions, where a snapshot was asked for them
    criteria: dict[str, float] = field(default_factory=dict)  # where a snapshot was asked for them

    def to_json(self) -> dict[str, Any]:
        """Without `part`, `writers`, `both_bad` and `criteria` where there are none: other labels keep the file, and
        the hash, that they had."""
        document = super().to_json()
        if self.part is None:
            del document["part"]
        if not self.writers:
            del document["writers"]
        if not self.both_bad:
            del document["both_bad"]
        if not self.criteria:
            del document["criteria"]
        return document

    def __post_init__(self) -> None:
        if len(self.completions) != 2:
            raise ValueError(f"'completions' must hold two texts, not {len(self.completions)}.")
        if len(self.writers) not in (0, 2):
            raise ValueError(f"'writers' must hold two or none, not {len(self.writers)}.")
        if not 0.0 <= self.preference <= 1.0:
            raise ValueError(f"'preference' must lie in [0, 1], not {self.preference}.")
        if not 1.0 <= self.strength <= 7.0:
            raise ValueError(f"'strength' must lie in 1..7, not {self.strength}.")
        for key, step in self.criteria.items():
            if not 1.0 <= step <= 7.0:
                raise ValueError(f"'criteria' must hold steps in 1..7, not {step} for {key!r}.")
        if not 0.0 <= self.weight < float("inf"):
            raise ValueError(f"'weight' must be finite and not negative, not {self.weight}.")

    @property
    def tie(self) -> bool:
        return self.preference == 0.5

    def of_criterion(self, key: str) -> PreferenceRow | None:
        """The row as it was judged on one criterion, itself for "overall"; None where it was not."""
        if key == OVERALL:
            return self
        step = self.criteria.get(key)
        if step is None:
            return None
        return replace(self, preference=0.5 + ((step < TIE) - (step > TIE)) / 2, strength=step)
