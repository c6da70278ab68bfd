"""From what people said to what the gate reads.

Pure: no database. A label's value is 1..7 in slot order: under 4 slot 0 was preferred, 4 is a tie
(both-bad is a flag beside a tie), over 4 slot 1.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import numpy as np

from annotation.contracts import GateLabel, OverlapVote
from evaluation.contracts import (
    EProcessPoint,
    GatePolicySettings,
    HumanLabels,
    IntegrityFact,
    Interval,
)
from evaluation.policy import check_settings
from evaluation.statistics.intervals import IntArray, cluster_bootstrap_interval
from evaluation.statistics.sequences import WinRateEvidence, win_rate_evidence

TIE = 4
CEILING_MINIMUM = 20  # comparisons with two opinions; fewer say nothing about a ceiling
AGREEMENT_MINIMUM = 10  # untied labels; a bootstrap of fewer is far too sure of itself
BOOTSTRAP_SEED = 20_231_031
LEVEL = 0.95

TrainScores = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Outcome:
    """One fresh prompt's answer: 1 the candidate was preferred, 0.5 a tie, 0 the incumbent."""

    prompt_id: str
    group: str
    rater: str
    value: float


def outcomes_from_labels(
    labels: Sequence[GateLabel], *, candidate: UUID, incumbent: UUID
) -> list[Outcome]:
    """The first label of each prompt in order of submission, seen from the candidate.

    Labels on other model versions are left out (`label_facts` reports them). Where candidate and
    incumbent are one version, slot 0 plays the candidate.
    """
    chosen: dict[str, Outcome] = {}
    for label in labels:
        slot = candidate_slot(label, candidate=candidate, incumbent=incumbent)
        if slot is None or str(label.prompt_id) in chosen:
            continue
        value = 0.5 if label.value == TIE else float((label.value < TIE) == (slot == 0))
        prompt = str(label.prompt_id)
        chosen[prompt] = Outcome(prompt, str(label.group), str(label.rater), value)
    return list(chosen.values())


def candidate_slot(label: GateLabel, *, candidate: UUID, incumbent: UUID) -> int | None:
    """The slot that holds the candidate's text; None when the pair is of other versions."""
    versions = tuple(label.slot_versions)
    if versions == (candidate, incumbent):
        return 0
    return 1 if versions == (incumbent, candidate) else None


def label_facts(
    labels: Sequence[GateLabel], *, candidate: UUID, incumbent: UUID
) -> tuple[IntegrityFact, ...]:
    """Whether the labels are on the two policies that are compared, one for each prompt."""
    foreign = [
        label
        for label in labels
        if candidate_slot(label, candidate=candidate, incumbent=incumbent) is None
    ]
    prompts = {str(label.prompt_id) for label in labels}
    repeated = len(labels) - len(prompts)
    return (
        IntegrityFact(
            "labels_on_these_versions",
            not foreign,
            f"{len(foreign)} labels compare other model versions" if foreign else "",
        ),
        IntegrityFact(
            "one_label_per_prompt",
            repeated == 0,
            f"{repeated} labels repeat a prompt" if repeated else "",
        ),
    )


def human_labels(
    outcomes: Sequence[Outcome],
    *,
    settings: GatePolicySettings,
    labels_left: int,
    expired: bool,
) -> HumanLabels:
    """Counts, the e-process against the gate's null, and the clustered interval of the win rate."""
    empty = HumanLabels(0, 0, 0, 0, 1.0, 1.0, 1.0, max(0, labels_left), expired)
    if not outcomes:
        return empty
    evidence = label_evidence(outcomes, settings=settings)
    return replace(
        empty,
        labels=len(outcomes),
        wins=evidence.wins,
        ties=evidence.ties,
        losses=evidence.losses,
        e_value=evidence.e_value,
        max_e_value=evidence.max_e_value,
        max_e_value_worse=evidence.max_e_value_worse,
        win_rate=win_rate_interval(outcomes),
        annotators=len({outcome.rater for outcome in outcomes}),
        clusters=len({outcome.group for outcome in outcomes}),
    )


def label_evidence(outcomes: Sequence[Outcome], *, settings: GatePolicySettings) -> WinRateEvidence:
    null = check_settings(settings)["G1"].thresholds["win_rate"]
    return win_rate_evidence([outcome.value for outcome in outcomes], null=null)


def label_trajectory(
    outcomes: Sequence[Outcome], *, settings: GatePolicySettings
) -> tuple[EProcessPoint, ...]:
    """The evidence after each label, for the chart; empty before the first."""
    return label_evidence(outcomes, settings=settings).trajectory if outcomes else ()


def win_rate_interval(outcomes: Sequence[Outcome]) -> Interval | None:
    """Wins + ties/2 with a bootstrap over prompt groups; None under two groups.

    For people to read: the verdict leans on the e-process alone.
    """
    values = np.array([outcome.value for outcome in outcomes])
    return _clustered_mean(values, [outcome.group for outcome in outcomes])


def fresh_agreement(outcomes: Sequence[Outcome], scores: TrainScores) -> Interval | None:
    """How often the training reward model prefers what people preferred on the fresh pairs.

    Ties of people are left out, equal scores count half. `scores` maps a prompt to the scores of
    (candidate's, incumbent's) text; None under `AGREEMENT_MINIMUM` scored, untied labels.
    """
    hits, groups = _agreement_hits(outcomes, scores)
    return _clustered_mean(hits, groups) if len(hits) >= AGREEMENT_MINIMUM else None


def fresh_agreement_sequence(outcomes: Sequence[Outcome], scores: TrainScores) -> Interval | None:
    """The same share with bounds that hold after every label together, however often one looks."""
    hits, _ = _agreement_hits(outcomes, scores)
    if len(hits) < AGREEMENT_MINIMUM:
        return None
    return win_rate_evidence(hits, level=LEVEL).interval


def _agreement_hits(
    outcomes: Sequence[Outcome], scores: TrainScores
) -> tuple[np.typing.NDArray[np.float64], list[str]]:
    """Per scored, untied label in its order: 1 agreed, 0.5 scored equal, 0 not; and its group."""
    scored = [o for o in outcomes if o.value != 0.5 and o.prompt_id in scores]
    gaps = [scores[o.prompt_id][0] - scores[o.prompt_id][1] for o in scored]
    hits = [
        0.5 if gap == 0 else float((gap > 0) == (outcome.value > 0.5))
        for gap, outcome in zip(gaps, scored, strict=True)
    ]
    return np.array(hits), [outcome.group for outcome in scored]


def human_ceiling(votes: Iterable[OverlapVote]) -> Interval | None:
    """How often two people who both prefer a side of one comparison prefer the same one.

    Every comparison weighs the same, whatever the number of its raters; None under
    `CEILING_MINIMUM` comparisons.
    """
    shares: list[float] = []
    groups: list[str] = []
    ordered = sorted(votes, key=lambda vote: str(vote.comparison_id))
    for _, found in itertools.groupby(ordered, key=lambda vote: str(vote.comparison_id)):
        opinions = list({str(v.rater): v for v in found if v.value != TIE}.values())
        pairs = list(itertools.combinations(opinions, 2))
        if pairs:
            shares.append(sum((a.value < TIE) == (b.value < TIE) for a, b in pairs) / len(pairs))
            groups.append(str(opinions[0].group))
    if len(shares) < CEILING_MINIMUM:
        return None
    return _clustered_mean(np.array(shares), groups)


def _clustered_mean(
    values: np.typing.NDArray[np.float64], groups: Sequence[str]
) -> Interval | None:
    """Mean of shares with a bootstrap over groups; None under two groups."""
    if len(set(groups)) < 2:
        return None

    def mean(indices: IntArray) -> float:
        return float(values[indices].mean())

    return cluster_bootstrap_interval(mean, groups, seed=BOOTSTRAP_SEED, level=LEVEL)
