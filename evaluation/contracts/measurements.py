"""What the evaluation programs and the people measured, as the gate reads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from evaluation.contracts.best_of_n import BestOfNCurve
from evaluation.contracts.consistency import ConsistencyMeasurements
from evaluation.contracts.intervals import Interval
from evaluation.contracts.judge import JudgeMeasurements
from evaluation.contracts.reward_matrix import RewardMatrix
from training.contracts import JsonContract

RateName = Literal["benign_refusal", "unsafe_compliance", "accuracy"]


@dataclass(frozen=True)
class ReliabilityBin(JsonContract):
    """Pairs whose predicted probability lies in [low, high): what was said and what was so."""

    low: float
    high: float
    count: int
    predicted: float
    observed: float


@dataclass(frozen=True)
class SliceAccuracy(JsonContract):
    """Accuracy on one slice: `dimension` is "rater", "length", "strength" or "chosen"."""

    dimension: str
    value: str
    pairs: int
    accuracy: Interval


@dataclass(frozen=True)
class CriterionAccuracy(JsonContract):
    """On the pairs of a split that people told apart on `criterion`: how often the head that learned it agrees
    with them, and how often the mix does, in which it has `weight` of all. Of `pairs`, `ties` were none."""

    criterion: str
    weight: float
    pairs: int
    ties: int
    accuracy: Interval
    mix_accuracy: Interval


@dataclass(frozen=True)
class SplitMeasurements(JsonContract):
    """A reward model on one split. Ties count in the NLL and nowhere else.

    Everything is on raw Bradley-Terry scores, the mean of the members' differences; the two
    `calibrated` figures divide them by the temperature that training fitted on its validation pairs
    and stored, so on the test split they say what the stated win probabilities are worth.
    `held_out_correlation` is that of the two models' score differences, about 0 since the sides are
    random; None without a held-out model, where one scores all alike, and in earlier releases.
    """

    pairs: int
    ties: int
    groups: int
    accuracy: Interval
    held_out_accuracy: Interval | None
    length_baseline: Interval
    nll: float
    ece: float
    ece_null_95: (
        float  # 95th percentile of the ECE of a perfectly calibrated model with these scores
    )
    temperature: float
    length_correlation: float
    reliability: tuple[ReliabilityBin, ...] = ()
    slices: tuple[SliceAccuracy, ...] = ()
    nll_calibrated: float | None = None
    ece_calibrated: float | None = None
    held_out_correlation: Interval | None = None
    criteria: tuple[CriterionAccuracy, ...] = ()  # of a mix of criteria, each with pairs enough


@dataclass(frozen=True)
class SuiteAccuracy(JsonContract):
    """A reward model on `questions` of a suite; `subset` is empty where the suite has none.

    `length` is what always choosing by length gets, `chance` what scores that say nothing would.
    """

    subset: str
    questions: int
    accuracy: Interval
    held_out: Interval | None
    length: Interval
    chance: float


@dataclass(frozen=True)
class LengthBias(JsonContract):
    """A scorer on the pairs whose chosen answer is the shorter, and on those where it is the longer."""

    shorter: Interval | None
    longer: Interval | None


@dataclass(frozen=True)
class RewardSuiteMeasurements(JsonContract):
    """The reward model of a round on one suite, whose file is `sha256`.

    `mean` is over subsets; where `sections` is true over RewardBench's four sections, each with its
    prompts counted. `bias` maps "reward_model" and "held_out_reward_model" to theirs. `cut` of `texts`
    were longer than the reward model reads.
    """

    suite: str
    sha256: str
    prompts: int
    mean: SuiteAccuracy
    subsets: tuple[SuiteAccuracy, ...]
    bias: dict[str, LengthBias]
    sections: bool = False
    texts: int = 0
    cut: int = 0


@dataclass(frozen=True)
class RewardModelMeasurements(JsonContract):
    """What `evaluate_reward_model` found, by split, and on the suites of the line.

    `consistency` maps "reward_model" and "held_out_reward_model" to theirs; empty where it was not
    measured, as by earlier releases.
    """

    splits: dict[str, SplitMeasurements]
    members: int = 1
    suites: tuple[RewardSuiteMeasurements, ...] = ()
    consistency: dict[str, ConsistencyMeasurements] = field(default_factory=dict)

    def split(self, *names: str) -> SplitMeasurements | None:
        """The first of `names` that was measured."""
        return next((self.splits[n] for n in names if n in self.splits), None)

    @property
    def held_out_correlation(self) -> Interval | None:
        """Of the two models on judged pairs; None where it was not measured, as by earlier releases."""
        split = self.split("test", "validation")
        return split.held_out_correlation if split else None


@dataclass(frozen=True)
class SuiteExample(JsonContract):
    """An item on which the candidate does worse than the incumbent, with what both wrote."""

    prompt: str
    candidate: str
    incumbent: str


@dataclass(frozen=True)
class TypeRate(JsonContract):
    """A rate of both sides on the items of one type."""

    type: str
    items: int
    candidate: float
    incumbent: float


@dataclass(frozen=True)
class SuiteRate(JsonContract):
    """A rate of a suite on both sides, paired by item; `sha256` is the suite's file.

    `difference` is candidate minus incumbent, `spread` the standard deviation of that difference over
    items. `draws` counts replies to each item, 0 where likelihoods were compared. `chance` is the rate
    of somebody who guesses.
    """

    suite: str
    sha256: str
    rate: RateName
    items: int
    draws: int
    candidate: Interval
    incumbent: Interval
    difference: Interval
    spread: float
    chance: float = 0.0
    types: tuple[TypeRate, ...] = ()
    examples: tuple[SuiteExample, ...] = ()


@dataclass(frozen=True)
class SideSummary(JsonContract):
    """One policy's completions of the evaluation prompts; scores are normalised (z).

    `manners` maps what `evaluation.safety.refusal.MANNERS` names to its mean over completions.
    """

    train_score: Interval
    held_out_score: Interval
    tokens: Interval
    tokens_median: float
    ended_share: Interval
    distinct_1: float
    distinct_2: float
    ensemble_std: Interval | None = None
    manners: dict[str, Interval] = field(default_factory=dict)


@dataclass(frozen=True)
class PolicyMeasurements(JsonContract):
    """What `evaluate_policy` found. Gains are candidate minus incumbent in z units of the scorer.

    `kl` maps "reference" and "incumbent" to the exact KL per sequence in nats.
    `length_free_share` is the share of the train gain that is left at equal length; None where the
    gain is not positive. `aa_difference` is the largest difference of any score between the two
    sides, measured only when both hold the same weights. `suites` is empty where no suite is attached.
    `best_of_n` is None where it was not asked for, as by earlier releases; `reward_matrix` also where no
    earlier round has been decided.
    """

    prompts: int
    groups: int
    train_gain: Interval
    held_out_gain: Interval
    kl: dict[str, Interval]
    length_ratio: Interval
    length_free_share: Interval | None
    diversity: dict[str, Interval]
    sides: dict[str, SideSummary] = field(default_factory=dict)
    train_win_rate: Interval | None = None
    held_out_win_rate: Interval | None = None
    ensemble_std_ratio: Interval | None = None
    aa_difference: float | None = None
    more_samples_possible: bool = False
    suites: tuple[SuiteRate, ...] = ()
    best_of_n: BestOfNCurve | None = None
    reward_matrix: RewardMatrix | None = None

    def rates(self, *names: RateName) -> list[SuiteRate]:
        """The measured rates of these names."""
        return [rate for rate in self.suites if rate.rate in names]


@dataclass(frozen=True)
class IntegrityFact(JsonContract):
    """One thing that must hold before any number is believed. Names that the gate insists on are in
    `evaluation.policy.REQUIRED_FACTS`."""

    name: str
    ok: bool
    detail: str = ""


@dataclass(frozen=True)
class PredictionControl(JsonContract):
    """How predictions of the held-out reward model narrowed the evidence (`evaluation.statistics.control`).

    `coefficient` is what they were last weighed with, `correlation` that of prediction and outcome over
    the labels read; `reference` pairs that nobody is asked about stood against them. Without them it
    would have taken `labels_saved` more labels for evidence as narrow; negative where they cost some.
    """

    coefficient: float
    correlation: float
    reference: int
    labels_saved: int


@dataclass(frozen=True)
class HumanLabels(JsonContract):
    """What people said of candidate against incumbent, and how the evidence stands.

    `e_value` is what the evidence for the gate policy's hypothesis is worth now, `max_e_value` the
    most that it has been; `panel_max_e_value` that of the people who judged alone, and
    `max_e_value_worse` that of the mirrored process, for the incumbent. Evidence is read in blocks
    of labels by different annotators: `read` labels so far. `labels_left` is what the budget and the
    prompts still allow; `expired` is true once the round is past its maximum age.
    """

    labels: int
    wins: int
    ties: int
    losses: int
    e_value: float
    max_e_value: float
    max_e_value_worse: float
    labels_left: int
    expired: bool = False
    win_rate: Interval | None = None
    annotators: int = 0
    clusters: int = 0
    read: int | None = None  # None in records of before: all of them
    panel_max_e_value: float | None = None
    more_labels: int | None = None  # about so many to a decision, at the rate so far
    control: PredictionControl | None = None  # where predictions took part
    carried: int = 0  # of `labels`, those of earlier budgets of the same test


@dataclass(frozen=True)
class JudgedPromptWear(JsonContract):
    """Of the `judged` prompts of a round `seen_before` had been shown to people by the gate of an
    earlier round; `fresh_left` evaluation prompts have been shown by none, this round's included."""

    judged: int
    seen_before: int
    fresh_left: int


@dataclass(frozen=True)
class LengthControl(JsonContract):
    """What people would say of two texts of equal length and style, by regression on their labels.

    `win_rate` is that of the `labels` it rests on (texts that differ at all), `controlled` the one at
    equal length and style; `share` is the gain left there over the gain, both win rate less 1/2,
    None while no gain is shown. `differences` are those that were controlled for. The intervals in
    `_sequence` hold at all looks together.
    """

    labels: int
    win_rate: float
    controlled: Interval
    controlled_sequence: Interval
    share: Interval | None
    share_sequence: Interval | None
    differences: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckpointRewards(JsonContract):
    """Mean rewards (z) of one policy of a run; `at` counts updates, or steps, from the start."""

    at: int
    train: float
    held_out: float


@dataclass(frozen=True)
class RewardMismatch(JsonContract):
    """Training reward and held-out reward over the run that made the candidate, up to the candidate.

    `correlation` is Spearman's, of the steps from one checkpoint to the next; None under twelve
    checkpoints. At the last `parted` steps the training reward rose while the held-out one fell.
    """

    checkpoints: tuple[CheckpointRewards, ...]
    correlation: Interval | None
    parted: int


@dataclass(frozen=True)
class KlOptimum(JsonContract):
    """Where the held-out reward of earlier rounds was highest: KL to the reference in nats a sequence,
    inside what their runs observed; `rounds` are the numbers of those rounds."""

    nats: float
    rounds: tuple[int, ...]


@dataclass(frozen=True)
class GateMeasurements(JsonContract):
    """Everything that the checks read; None is "not measured (yet)".

    `test_number` counts this line's gate tests from 1, `discoveries` those before this one that
    showed a better candidate; `error_spent` is what those tests cost together. They set the level of
    the online error control. Records of before have no `error_spent`: their level was e-LOND's.
    On `identical_pairs` of the sampled prompts the two policies wrote the same text: ties that nobody
    is asked about.
    `labels_to_flip` is how few labels, the most favourable ones, undo what the win rate has shown
    when they are left out.
    """

    former_fields: ClassVar = frozenset({"fresh_agreement", "fresh_agreement_sequence"})

    candidate_sha256: str
    incumbent_sha256: str
    integrity: tuple[IntegrityFact, ...] = ()
    gold_question_accuracy: Interval | None = None
    labels: HumanLabels | None = None
    policy: PolicyMeasurements | None = None
    reward_model: RewardModelMeasurements | None = None
    fresh_discrimination: Interval | None = None  # AUC of the train RM's gap on fresh labels
    human_ceiling: Interval | None = None
    kl_optimum: KlOptimum | None = None
    mismatch: RewardMismatch | None = None
    test_number: int = 1
    discoveries: int = 0
    error_spent: float | None = None
    identical_pairs: int = 0
    wear: JudgedPromptWear | None = None
    fresh_discrimination_sequence: Interval | None = None  # the same, with bounds valid at any time
    fresh_side: Interval | None = None  # how often the train RM prefers what people preferred
    length_control: LengthControl | None = None
    labels_to_flip: int | None = None
    judge: JudgeMeasurements | None = None
