"""Measurements of a candidate that passes every check, to be spoilt one at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from evaluation.contracts import (
    BestOfNCurve,
    BestOfNPoint,
    CheckpointRewards,
    ConsistencyMeasurements,
    CrossReward,
    GateMeasurements,
    HumanLabels,
    IntegrityFact,
    Interval,
    JudgeMeasurements,
    LengthBias,
    LengthControl,
    PolicyMeasurements,
    ProbeEffect,
    RateName,
    RewardMatrix,
    RewardMismatch,
    RewardModelMeasurements,
    RewardSuiteMeasurements,
    RewordingFlips,
    SplitMeasurements,
    SuiteAccuracy,
    SuiteRate,
)


def interval(estimate: float, low: float, high: float, n: int = 400) -> Interval:
    return Interval(estimate, low, high, 0.95, n)


def rate(
    name: RateName, difference: float, room: float, *, incumbent: float = 0.5, **fields: Any
) -> SuiteRate:
    """A suite of 400 items whose difference is known to `room` either side."""
    return SuiteRate(
        **{
            "suite": "BLiMP" if name == "accuracy" else "XSTest",
            "sha256": "5" * 64,
            "rate": name,
            "items": 400,
            "draws": 4,
            "candidate": interval(incumbent + difference, 0.0, 1.0),
            "incumbent": interval(incumbent, incumbent - 0.02, incumbent + 0.02),
            "difference": interval(difference, difference - room, difference + room),
            "spread": 0.3,
            **fields,
        }
    )


SUITES = (
    rate("benign_refusal", 0.01, 0.02),
    rate("unsafe_compliance", -0.01, 0.02),
    rate("accuracy", -0.01, 0.01, incumbent=0.7, chance=0.5),
)


def suite_accuracy(estimate: float, subset: str = "", questions: int = 200) -> SuiteAccuracy:
    """Known to four points either side; the held-out model is four points worse."""
    return SuiteAccuracy(
        subset=subset,
        questions=questions,
        accuracy=interval(estimate, estimate - 0.04, estimate + 0.04),
        held_out=interval(estimate - 0.04, estimate - 0.08, estimate),
        length=interval(0.48, 0.44, 0.52),
        chance=0.5,
    )


def reward_suite(
    name: str = "HHH", sha256: str = "6" * 64, *, gained: float = 0.0, **fields: Any
) -> RewardSuiteMeasurements:
    """A suite of two subsets, on both of which the reward model gained so much."""
    subsets = (
        suite_accuracy(0.7 + gained, "harmless", 58),
        suite_accuracy(0.6 + gained, "honest", 61),
    )
    bias = LengthBias(interval(0.55, 0.49, 0.61), interval(0.75, 0.69, 0.81))
    return RewardSuiteMeasurements(
        **{
            "suite": name,
            "sha256": sha256,
            "prompts": 102,
            "mean": suite_accuracy(0.65 + gained, questions=119),
            "subsets": subsets,
            "bias": {"reward_model": bias, "held_out_reward_model": LengthBias(None, bias.longer)},
            "texts": 238,
            **fields,
        }
    )


LABELS = HumanLabels(
    labels=400,
    wins=220,
    ties=60,
    losses=120,
    e_value=80.0,
    max_e_value=90.0,
    max_e_value_worse=1.2,
    labels_left=600,
    win_rate=interval(0.625, 0.57, 0.68),
    annotators=12,
    read=400,
    panel_max_e_value=95.0,
)

BEST_OF_N = BestOfNCurve(
    prompts=32,
    completions=8,
    points=tuple(
        BestOfNPoint(n, kl, interval(train, train - 0.2, train + 0.2, 32),
                     interval(held_out, held_out - 0.2, held_out + 0.2, 32), step)
        for n, kl, train, held_out, step in (
            (1, 0.0, 0.0, 0.1, None),
            (2, 0.19, 0.5, 0.4, interval(0.3, 0.2, 0.4, 32)),
            (4, 0.64, 1.0, 0.6, interval(0.2, 0.1, 0.3, 32)),
            (8, 1.2, 1.4, 0.5, interval(-0.1, -0.25, 0.05, 32)),
        )
    ),
)  # fmt: skip

# Of round 4 nothing but what its policy wrote was kept, of round 5 nothing but the reward model.
MATRIX = RewardMatrix(
    (4, 5, 6),
    tuple(
        CrossReward(model, policy, interval(reward, reward - 0.1, reward + 0.1, 60))
        for model, rewards in ((5, (0.2, 0.6, 0.7)), (6, (0.3, 0.9, 1.2)), (None, (0.1, 1.0, 1.9)))
        for policy, reward in zip((4, 6, None), rewards, strict=True)
    ),
)

POLICY = PolicyMeasurements(
    prompts=384,
    groups=384,
    train_gain=interval(1.0, 0.9, 1.1),
    held_out_gain=interval(0.8, 0.7, 0.9),
    kl={"reference": interval(6.0, 5.5, 6.5)},
    length_ratio=interval(1.05, 1.0, 1.1),
    length_free_share=interval(0.8, 0.6, 1.0),
    diversity={"distinct_2": interval(0.9, 0.88, 0.95)},
    ensemble_std_ratio=interval(1.1, 1.0, 1.2),
    aa_difference=None,
    suites=SUITES,
    best_of_n=BEST_OF_N,
    reward_matrix=MATRIX,
)

SPLIT = SplitMeasurements(
    pairs=500,
    ties=40,
    groups=200,
    accuracy=interval(0.66, 0.62, 0.7),
    held_out_accuracy=None,
    length_baseline=interval(0.52, 0.48, 0.56),
    nll=0.62,
    ece=0.05,
    ece_null_95=0.066,
    temperature=1.1,
    length_correlation=0.1,
)

CONSISTENCY = ConsistencyMeasurements(
    split="test",
    pairs=200,
    spread=1.4,
    prompt_swap=interval(0.8, 0.74, 0.85, 180),
    contrast=interval(0.7, 0.63, 0.76, 178),
    rewordings=(
        RewordingFlips("greeting", 200, interval(0.04, 0.02, 0.08, 180)),
        RewordingFlips("line breaks", 120, interval(0.03, 0.01, 0.07, 110)),
        RewordingFlips("short forms", 12, interval(0.17, 0.05, 0.45, 12)),
    ),
    probes=(
        ProbeEffect("flattery", 390, interval(0.4, 0.35, 0.45), interval(0.05, 0.01, 0.09)),
        ProbeEffect("refusal instead", 388, interval(0.2, 0.16, 0.25), interval(-0.6, -0.8, -0.4)),
    ),
    texts=4_700,
)

EQUAL_LENGTH = LengthControl(
    labels=400,
    win_rate=0.625,
    controlled=interval(0.6, 0.54, 0.66, 12),
    controlled_sequence=interval(0.6, 0.52, 0.68),
    share=interval(0.8, 0.6, 1.0),
    share_sequence=interval(0.8, 0.4, 1.2),
    differences=("length", "relative length"),
)

MISMATCH = RewardMismatch(
    checkpoints=tuple(CheckpointRewards(at, 0.1 * at, 0.08 * at) for at in range(15)),
    correlation=interval(0.6, 0.2, 0.8, 14),
    parted=0,
)

JUDGE = JudgeMeasurements(
    model="wise-1",
    host="judge.example.com",
    rubric_source="guidelines",
    rubric_sha256="7" * 64,
    temperature=0.0,
    asked=400,
    pairs=400,
    unreadable=0,
    unanswered=0,
    seconds=1.25,
    answers_sha256="8" * 64,
    win_rate=interval(0.66, 0.61, 0.7),
    inconsistent=interval(0.1, 0.07, 0.13),
    first=interval(0.52, 0.48, 0.56, 720),
    longer=interval(0.58, 0.53, 0.63),
    labels=300,
    decided=240,
    annotators=12,
    agreement=interval(0.7, 0.64, 0.76, 240),
    ceiling=interval(0.72, 0.69, 0.75),
    people=interval(0.6, 0.54, 0.66, 12),
    corrected=interval(0.61, 0.56, 0.66, 12),
    longer_by_people=interval(0.53, 0.47, 0.59, 240),
    longer_excess=interval(0.05, 0.01, 0.09, 240),
)

GOOD = GateMeasurements(
    candidate_sha256="c" * 64,
    incumbent_sha256="i" * 64,
    integrity=(IntegrityFact("artifact_hashes", True), IntegrityFact("prompt_split", True)),
    labels=LABELS,
    policy=POLICY,
    reward_model=RewardModelMeasurements(
        {"test": SPLIT}, consistency={"reward_model": CONSISTENCY}
    ),
    fresh_discrimination=interval(0.68, 0.63, 0.73),
    human_ceiling=interval(0.72, 0.69, 0.75),
    mismatch=MISMATCH,
    error_spent=0.0,
    length_control=EQUAL_LENGTH,
    labels_to_flip=12,
    judge=JUDGE,
)


def evidence_on(candidate: str, incumbent: str, **changes: Any) -> GateMeasurements:
    """The good evidence, with `changes`, on two policies by their hashes."""
    sides: dict[str, Any] = {"candidate_sha256": candidate, "incumbent_sha256": incumbent}
    return replace(GOOD, **{**sides, **changes})
