"""The gate's settings and its verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from evaluation.contracts.intervals import Interval
from training.contracts import JsonContract

CheckStatus = Literal["PASS", "FAIL", "UNRESOLVED"]
Wants = Literal["labels", "samples", "nothing"]
Verdict = Literal["PROMOTE", "REJECT", "INCONCLUSIVE"]
Hypothesis = Literal["population", "panel"]
Outcomes = Literal["strength", "side"]
Predictions = Literal["none", "held_out"]


@dataclass(frozen=True)
class CheckSettings(JsonContract):
    """How one check is used. An advisory check (`required` false) warns and never blocks;
    None keeps the default of `evaluation.policy.DEFAULT_CHECKS`."""

    enabled: bool = True
    required: bool | None = None
    thresholds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class GatePolicySettings(JsonContract):
    """The declarative, versioned gate policy of a line.

    `checks` holds only what departs from `evaluation.policy.DEFAULT_CHECKS` (thresholds too: the
    ones not named keep their default). `max_labels` and `max_age_hours` end the wait for labels.
    `hypothesis` says of whom a preference is to be shown: of people like those who judged
    ("population") or of those alone ("panel"). `outcomes` says what counts: how strongly a text is
    preferred on the scale of seven, or only which. The bets are aimed at `smallest_effect`, the win
    rate that is worth finding: a smaller one costs more labels than it is worth. `predictions` says
    whether those of the held-out reward model are taken from the outcomes before they are evidence.
    """

    version: int = 1
    alpha: float = 0.05
    max_labels: int = 1000
    max_age_hours: float = 168.0
    hypothesis: Hypothesis = "population"
    outcomes: Outcomes = "strength"
    smallest_effect: float = 0.55
    predictions: Predictions = "none"
    checks: dict[str, CheckSettings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 1.0:
            raise ValueError(f"alpha must lie between 0 and 1, got {self.alpha!r}.")
        if self.max_labels < 1:
            raise ValueError(f"max_labels must be at least 1, got {self.max_labels!r}.")
        if not self.max_age_hours > 0:
            raise ValueError(f"max_age_hours must be above 0, got {self.max_age_hours!r}.")
        if not 0.5 < self.smallest_effect < 1:
            raise ValueError(
                f"smallest_effect must lie between 0.5 and 1, got {self.smallest_effect!r}."
            )


@dataclass(frozen=True)
class CheckResult(JsonContract):
    """One row of the gate table, in words for people.

    `link` is the link of the loop that the check watches. `interval` and `thresholds` are drawn on
    one axis. `advisory` is a warning that does not change the status. `overridden` is true where
    two leads let a check through that did not pass. A check that is not `in_force` had nothing to rest
    on, no suite say: it is no longer required, and its sentence says what was not watched.
    """

    id: str
    name: str
    question: str
    link: str
    required: bool
    status: CheckStatus
    measured: str
    sentence: str
    wants: Wants = "nothing"
    interval: Interval | None = None
    thresholds: dict[str, float] = field(default_factory=dict)
    advisory: str = ""
    overridden: bool = False
    overridable: bool = True
    in_force: bool = True


@dataclass(frozen=True)
class GateVerdict(JsonContract):
    """The decision, why, and the hash of exactly what it was made from."""

    verdict: Verdict
    checks: tuple[CheckResult, ...]
    reasons: tuple[str, ...]
    evidence_sha256: str
    wants: tuple[Wants, ...] = ()

    @property
    def labels_wanted(self) -> bool:
        """Nothing is decided yet, and people can still decide it."""
        return self.verdict == "INCONCLUSIVE" and "labels" in self.wants

    def check(self, check_id: str) -> CheckResult | None:
        return next((c for c in self.checks if c.id == check_id), None)
