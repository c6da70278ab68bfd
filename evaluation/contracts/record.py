"""The frozen record of one round: the only thing that a report reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Literal

from evaluation.contracts.gate import (
    GatePolicySettings,
    GateVerdict,
    Verdict,
)
from evaluation.contracts.intervals import Interval
from evaluation.contracts.judge import JudgeMeasurements
from evaluation.contracts.measurements import (
    HumanLabels,
    JudgedPromptWear,
    KlOptimum,
    PolicyMeasurements,
    RewardMismatch,
    RewardModelMeasurements,
    RewardSuiteMeasurements,
)
from evaluation.contracts.remarks import RoundRemarks
from evaluation.contracts.signal_opinion import SignalOpinion
from training.contracts import JsonContract


@dataclass(frozen=True)
class StateEntry(JsonContract):
    """One step of a round, as its page follows it and its report keeps it.

    `name` is the state that the round was in, `label` what people call it; `run` is the id of the
    program that worked on it. Moments are ISO 8601; `entered_at` is empty for a step still to come.
    """

    name: str
    entered_at: str
    left_at: str = ""
    note: str = ""
    read: tuple[str, ...] = ()
    wrote: tuple[str, ...] = ()
    label: str = ""
    run: str = ""

    @property
    def title(self) -> str:
        """What people call the step; records of earlier releases carry no label."""
        return self.label or self.name.replace("_", " ").capitalize()

    @property
    def entered(self) -> datetime | None:
        return datetime.fromisoformat(self.entered_at) if self.entered_at else None

    @property
    def seconds(self) -> float | None:
        """How long the step took; None until it is done."""
        if self.entered is None or not self.left_at:
            return None
        return (datetime.fromisoformat(self.left_at) - self.entered).total_seconds()


@dataclass(frozen=True)
class SettingChange(JsonContract):
    """A setting that differs from the previous round; `path` is dotted, values are as shown."""

    path: str
    before: str
    after: str


@dataclass(frozen=True)
class RaterLabels(JsonContract):
    """`rater` is a pseudonym; `agreement` is with other raters on shared items. `rankings` count one each, and stand
    beside the `labels` of pairs, of which all else is; records of earlier releases have none."""

    rater: str
    labels: int
    agreement: Interval | None = None
    position_bias: Interval | None = None
    median_seconds: float | None = None
    rankings: int = 0


@dataclass(frozen=True)
class RaterVerdict(JsonContract):
    """How often one rater, by pseudonym, preferred the candidate in the gate; `ties` count half."""

    rater: str
    labels: int
    ties: int
    win_rate: Interval


@dataclass(frozen=True)
class RankedLabels(JsonContract):
    """Labels that were rankings of so many answers; each is answers * (answers - 1) / 2 pairs to learn from."""

    answers: int
    rankings: int
    raters: int

    @property
    def pairs(self) -> int:
        return self.rankings * self.answers * (self.answers - 1) // 2


@dataclass(frozen=True)
class RoundLabels(JsonContract):
    """The preferences that the round learned from; `released` of them are labels of earlier gates. `training`
    counts a ranking as its pairs, `fresh` as one label; agreement and habits are of pairs that were compared."""

    training: int
    fresh: int  # since the previous round
    gate: int = 0
    ties: int = 0
    both_bad: int = 0
    released: int = 0
    raters: tuple[RaterLabels, ...] = ()
    agreement: Interval | None = None
    krippendorff_alpha: Interval | None = None
    human_ceiling: Interval | None = None
    position_bias: Interval | None = None
    rankings: tuple[RankedLabels, ...] = ()


@dataclass(frozen=True)
class EProcessPoint(JsonContract):
    """The gate's evidence after `labels` labels; low and high are the confidence sequence."""

    labels: int
    win_rate: float
    low: float
    high: float
    e_value: float


@dataclass(frozen=True)
class SampleSide(JsonContract):
    text: str
    tokens: int
    train_score: float
    held_out_score: float
    kl: float | None = None


@dataclass(frozen=True)
class SamplePair(JsonContract):
    """Candidate beside incumbent on one prompt; `kind` says why it is shown."""

    kind: Literal["best_win", "worst_loss", "largest_gap", "ordinary"]
    prompt_id: str
    messages: tuple[dict[str, str], ...]
    candidate: SampleSide
    incumbent: SampleSide
    human_preference: float | None = None  # 1: people preferred the candidate


@dataclass(frozen=True)
class LineageItem(JsonContract):
    """Something that the round read or wrote: `kind` is "artifact", "snapshot" or "spec"."""

    former_fields: ClassVar = frozenset({"link"})

    name: str
    kind: str
    sha256: str
    identity: str = ""  # a model version's, snapshot's or run's id


@dataclass(frozen=True)
class OverrideRecord(JsonContract):
    check_id: str
    reason: str
    requested_by: str
    confirmed_by: str
    expires_at: str
    evidence_sha256: str
    outcome: str = ""  # how the overridden candidate did in the next round


@dataclass(frozen=True)
class WeakerSetting(JsonContract):
    """A setting of the round's gate policy that is weaker than the built-in default.

    `version` made it so last; `confirmed_by` is the second lead, empty where an earlier release asked
    for none.
    """

    says: str
    version: int
    at: str
    requested_by: str
    confirmed_by: str
    reason: str


@dataclass(frozen=True)
class ApprovalRecord(JsonContract):
    person: str
    approved: bool
    at: str
    reason: str = ""


@dataclass(frozen=True)
class DeploymentRecord(JsonContract):
    """`act` is "deploy" or "rollback"; `version` and `previous` are names of model versions."""

    act: Literal["deploy", "rollback"]
    version: str
    previous: str
    at: str
    served_at: str = ""
    by: str = "schedule"


@dataclass(frozen=True)
class TruthColumn(JsonContract):
    """What is really so of candidate against incumbent, by the hidden gold; used by no decision."""

    former_fields: ClassVar = frozenset(
        {"win_rate_against_first", "label_accuracy", "reward_model_accuracy"}
    )

    win_rate: Interval
    gain: Interval


@dataclass(frozen=True)
class EarlierSuites(JsonContract):
    """What the reward model of round `number` did on reward-model suites, the last round that measured any."""

    number: int
    suites: tuple[RewardSuiteMeasurements, ...]


@dataclass(frozen=True)
class RoundSummary(JsonContract):
    """One line of the round-over-round page."""

    number: int
    verdict: Verdict | None
    state: str
    win_rate: Interval | None = None
    kl: float | None = None
    reward_gap: float | None = None
    labels: int = 0
    compute_hours: float = 0.0
    rating: Interval | None = None
    deployed_version: str = ""
    truth_win_rate: Interval | None = None
    optimizer: str = ""  # "ppo", "dpo" or "best_of_n"; empty where no policy was trained
    adapter: str = ""  # "lora", or empty
    held_out_gain: Interval | None = None
    policy_seconds: float | None = None


@dataclass(frozen=True)
class RoundRecord(JsonContract):
    """A round, frozen: the only thing that a report reads.

    `training_curves` maps a run kind ("reward_model", and "ppo", "dpo" or "best_of_n") to its metric
    rows in order, each with "step". `simulated` is true where the annotators are programs; only then
    may `truth` be set.
    `history` lists the last of the line's rounds, up to and including this one, oldest first. `line` is the slug
    in addresses, `line_name` what people call it; `round_id` and `line_id` are UUIDs, asked for when
    the record is stored.
    """

    former_fields: ClassVar = frozenset({"curve_fits", "fresh_agreement", "win_matrix", "schema"})

    line: str
    number: int
    state: str
    created_at: str
    simulated: bool = False
    candidate_version: str = ""
    incumbent_version: str = ""
    states: tuple[StateEntry, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    settings_changed: tuple[SettingChange, ...] = ()
    gate_settings: GatePolicySettings | None = None
    labels: RoundLabels | None = None
    reward_model: RewardModelMeasurements | None = None
    training_curves: dict[str, tuple[dict[str, float | None], ...]] = field(default_factory=dict)
    policy: PolicyMeasurements | None = None
    human: HumanLabels | None = None
    fresh_discrimination: Interval | None = None
    trajectory: tuple[EProcessPoint, ...] = ()
    mismatch: RewardMismatch | None = None
    kl_optimum: KlOptimum | None = None
    gate: GateVerdict | None = None
    gate_policy_version: int | None = None
    decided_at: str = ""
    weaker: tuple[WeakerSetting, ...] = ()
    overrides: tuple[OverrideRecord, ...] = ()
    approvals: tuple[ApprovalRecord, ...] = ()
    deployments: tuple[DeploymentRecord, ...] = ()
    samples: tuple[SamplePair, ...] = ()
    lineage: tuple[LineageItem, ...] = ()
    truth: TruthColumn | None = None
    history: tuple[RoundSummary, ...] = ()
    limits: tuple[str, ...] = ()
    round_id: str = ""
    line_id: str = ""
    line_name: str = ""
    trigger: str = ""  # what started the round: "by schedule", "by a person"
    identical_pairs: int = 0
    wear: JudgedPromptWear | None = None
    verdicts: tuple[RaterVerdict, ...] = ()  # of the gate's raters, the one with most labels first
    suites_before: EarlierSuites | None = None
    judge: JudgeMeasurements | None = None
    remarks: RoundRemarks | None = None
    signal_opinion: SignalOpinion | None = None

    def __post_init__(self) -> None:
        if self.truth is not None and not self.simulated:
            raise ValueError("a truth column exists in simulated worlds only; set simulated=True.")
