"""What an LLM judge is asked to do, and what is known of its verdicts once people's labels are beside them."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.contracts.intervals import Interval
from training.contracts import ContractError, JsonContract

# Pairs that people and the judge both compared; with fewer nothing is said of how far they agree.
LEAST_LABELS = 50

# Field -> (lowest, highest) of a judge's settings.
JUDGE_BOUNDS: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 2.0),
    "max_tokens": (1, 16_384),
    "connect_seconds": (0.1, 60.0),
    "seconds": (0.1, 600.0),
    "attempts": (1, 10),
    "at_once": (1, 16),
    "max_pairs": (1, 20_000),
    "minutes": (0.05, 1_440.0),
}


@dataclass(frozen=True)
class JudgeSettings(JsonContract):
    """Which model judges, by which rubric, and how long it is waited for.

    `url` is the base address of an OpenAI-compatible server, to which `/chat/completions` is added. An
    empty `rubric` means the guidelines of the line's campaign. A question is asked `attempts` times at
    most, each time for `seconds`, of which `connect_seconds` are for the connection; `at_once` questions
    are under way together. A round asks about `max_pairs` pairs, for `minutes` at most.
    """

    url: str
    model: str
    rubric: str = ""
    temperature: float = 0.0
    max_tokens: int = 512
    connect_seconds: float = 5.0
    seconds: float = 60.0
    attempts: int = 3
    at_once: int = 4
    max_pairs: int = 400
    minutes: float = 60.0

    def __post_init__(self) -> None:
        if not self.model.strip():
            raise ContractError(
                "JudgeSettings.model is empty; give the name that the server knows."
            )
        for name, (low, high) in JUDGE_BOUNDS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ContractError(
                    f"JudgeSettings.{name} is {value:g}; it must lie between {low:g} and {high:g}."
                )

    @property
    def chat_url(self) -> str:
        return f"{self.url.rstrip('/')}/chat/completions"


@dataclass(frozen=True)
class JudgeMeasurements(JsonContract):
    """What a judge said of candidate against incumbent on pairs of the round, and what that is worth.

    Of `asked` pairs it compared `pairs` in both orders; `unreadable` of its answers gave no verdict and
    `unanswered` questions got no answer. `reason` says why some are missing, or all. A verdict that
    changes with the order counts as a tie: `inconsistent` is the share of such pairs, `first` how often
    an answer that prefers a side prefers the text shown first, `longer` how often a pair's verdict
    prefers the longer text. `seconds` is the median time of an answer; `answers_sha256` the digest of
    all questions and answers that these figures were worked out from.

    People compared `labels` of the pairs as well, `annotators` of them; on `decided` both prefer a side.
    `agreement` is how often it is the same one, `ceiling` how often two people prefer the same one.
    `corrected` is the judge's win rate put right by people's labels. None under `LEAST_LABELS`.
    """

    model: str
    host: str
    rubric_source: str
    rubric_sha256: str
    temperature: float
    asked: int
    pairs: int
    unreadable: int
    unanswered: int
    reason: str = ""
    seconds: float | None = None
    answers_sha256: str = ""
    win_rate: Interval | None = None
    inconsistent: Interval | None = None
    first: Interval | None = None
    longer: Interval | None = None
    labels: int = 0
    decided: int = 0
    annotators: int = 0
    agreement: Interval | None = None
    ceiling: Interval | None = None
    people: Interval | None = None
    corrected: Interval | None = None
    longer_by_people: Interval | None = None
    longer_excess: Interval | None = None
