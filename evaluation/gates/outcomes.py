"""From what people said to what the gate reads.

Pure: no database. A label's value is 1..7 in slot order: under 4 slot 0 was preferred, 4 is a tie
(both-bad is a flag beside a tie), over 4 slot 1.
"""

from __future__ import annotations

import itertools
import math
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
    RaterVerdict,
)
from evaluation.gates.predicting import PairPredictions, differences_read
from evaluation.policy import check_settings
from evaluation.statistics.betting import Aim
from evaluation.statistics.discrimination import (
    BoolArray,
    discrimination_interval,
    discrimination_sequence,
)
from evaluation.statistics.intervals import (
    FloatArray,
    cluster_codes,
    cluster_share_interval,
    cluster_variance,
    two_way_share_interval,
    wilson_interval,
)
from evaluation.statistics.planning import MOST, labels_to_go
from evaluation.statistics.win_rate import WinRateEvidence, win_rate_evidence

TIE = 4
CEILING_MINIMUM = 20  # comparisons with two opinions; fewer say nothing about a ceiling
DISCRIMINATION_MINIMUM = 10  # wins and losses each; with fewer a lucky order looks like certainty
LEVEL = 0.95

TrainScores = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Outcome:
    """One fresh prompt's answer: 1 the candidate was preferred, 0.5 a tie, 0 the incumbent.

    `strength` says how much, on the same line: 1 much better, 5/6 better, 4/6 slightly better.
    """

    prompt_id: str
    group: str
    rater: str
    value: float
    strength: float


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
        towards = label.value - 1 if slot == 1 else 7 - label.value
        side = 0.5 if label.value == TIE else float(towards > TIE - 1)
        prompt = str(label.prompt_id)
        chosen[prompt] = Outcome(prompt, str(label.group), str(label.rater), side, towards / 6)
    return list(chosen.values())


def outcomes_together(earlier: Sequence[Outcome], later: Sequence[Outcome]) -> list[Outcome]:
    """The outcomes of a test's budgets in their order; a prompt that was judged before counts once."""
    known = {outcome.prompt_id for outcome in earlier}
    return [*earlier, *(outcome for outcome in later if outcome.prompt_id not in known)]


def rater_verdicts(outcomes: Sequence[Outcome]) -> tuple[RaterVerdict, ...]:
    """What each rater said of the candidate, with Wilson's interval; who gave most labels comes first."""
    said: dict[str, list[float]] = {}
    for outcome in outcomes:
        said.setdefault(outcome.rater, []).append(outcome.value)
    verdicts = (
        RaterVerdict(
            rater, len(values), values.count(0.5), wilson_interval(sum(values), len(values))
        )
        for rater, values in said.items()
    )
    return tuple(sorted(verdicts, key=lambda verdict: (-verdict.labels, verdict.rater)))


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
    aim: Aim,
    labels_left: int,
    expired: bool,
    predictions: Sequence[PairPredictions] = (),
    carried: int = 0,
) -> HumanLabels:
    """Counts, the evidence for the policy's hypothesis, and the clustered interval of the win rate.

    The first `carried` outcomes are those of earlier budgets of the same test.
    """
    empty = HumanLabels(0, 0, 0, 0, 1.0, 1.0, 1.0, max(0, labels_left), expired)
    if not outcomes:
        return empty
    sides = [outcome.value for outcome in outcomes]
    counted = replace(
        empty,
        labels=len(sides),
        wins=sides.count(1.0),
        ties=sides.count(0.5),
        losses=sides.count(0.0),
        win_rate=win_rate_interval(outcomes),
        annotators=len({outcome.rater for outcome in outcomes}),
        clusters=len({outcome.group for outcome in outcomes}),
        read=0,
        carried=carried,
    )
    evidence = label_evidence(outcomes, settings=settings, aim=aim, predictions=predictions)
    if evidence is None:
        return counted
    return replace(
        counted,
        e_value=evidence.e_value,
        max_e_value=evidence.max_e_value,
        max_e_value_worse=evidence.max_e_value_worse,
        panel_max_e_value=evidence.panel_max_e_value,
        read=evidence.read,
        more_labels=_more_labels(outcomes, evidence, settings, aim),
        control=evidence.control,
    )


def label_evidence(
    outcomes: Sequence[Outcome],
    *,
    settings: GatePolicySettings,
    aim: Aim,
    predictions: Sequence[PairPredictions] = (),
) -> WinRateEvidence | None:
    """The evidence of the whole blocks; None before the first is full."""
    thresholds = check_settings(settings)["G1"].thresholds
    people = int(thresholds["annotators"])
    read = read_in_blocks(outcomes, people)
    if not read:
        return None
    prompts = [outcome.prompt_id for outcome in read]
    return win_rate_evidence(
        [_counted(outcome, settings) for outcome in read],
        [outcome.rater for outcome in read],
        aim=aim,
        hypothesis=settings.hypothesis,
        null=thresholds["win_rate"],
        block=people,
        differences=differences_read(prompts, predictions, aim),
    )


def read_in_blocks(outcomes: Sequence[Outcome], people: int) -> list[Outcome]:
    """The outcomes in the order in which they are read: blocks of `people` annotators, one label each.

    Each label goes, as it comes, into the first block that is not full and holds none of its
    annotator's. So nobody's share of what is read exceeds 1/`people`, whoever was quickest, and who
    stands where is settled before anybody looks at an answer. Blocks are read whole and in order.
    """
    blocks: list[list[Outcome]] = []
    after: dict[str, int] = {}
    for outcome in outcomes:
        index = after.get(outcome.rater, 0)
        while index < len(blocks) and len(blocks[index]) == people:
            index += 1
        if index == len(blocks):
            blocks.append([])
        blocks[index].append(outcome)
        after[outcome.rater] = index + 1
    whole = itertools.takewhile(lambda block: len(block) == people, blocks)
    return [outcome for block in whole for outcome in block]


def _counted(outcome: Outcome, settings: GatePolicySettings) -> float:
    return outcome.strength if settings.outcomes == "strength" else outcome.value


def _more_labels(
    outcomes: Sequence[Outcome], evidence: WinRateEvidence, settings: GatePolicySettings, aim: Aim
) -> int | None:
    """About how many more labels until the evidence suffices at the rate so far; None: never."""
    values = np.array([_counted(outcome, settings) for outcome in outcomes])
    variance = float(values.var())
    codes, people = cluster_codes([outcome.rater for outcome in outcomes])
    if settings.hypothesis == "population" and people > 1:
        variance = max(variance, cluster_variance(values, codes, people) * len(values))
    if evidence.control is not None:
        variance *= evidence.read / (evidence.read + evidence.control.labels_saved)
    found = labels_to_go(
        float(values.mean()),
        math.sqrt(variance),
        level=aim.level,
        aimed=aim.labels,
        done=len(values),
    )
    return found if found < MOST else None


def label_trajectory(
    outcomes: Sequence[Outcome],
    *,
    settings: GatePolicySettings,
    aim: Aim,
    predictions: Sequence[PairPredictions] = (),
) -> tuple[EProcessPoint, ...]:
    """The evidence after each block of labels, for the chart; empty before the first."""
    evidence = label_evidence(outcomes, settings=settings, aim=aim, predictions=predictions)
    return evidence.trajectory if evidence else ()


def win_rate_interval(outcomes: Sequence[Outcome]) -> Interval | None:
    """Wins + ties/2, clustered by annotator and by prompt group; None under two of either.

    For people to read: the verdict leans on the evidence alone.
    """
    raters, groups = [o.rater for o in outcomes], [o.group for o in outcomes]
    if min(len(set(raters)), len(set(groups))) < 2:
        return None
    return two_way_share_interval([outcome.value for outcome in outcomes], raters, groups)


def fresh_discrimination(outcomes: Sequence[Outcome], scores: TrainScores) -> Interval | None:
    """How well the training reward model tells the pairs that the candidate won from those it lost.

    The AUC of its score gap on the fresh labels, ties of people left out, clustered by annotator and by
    prompt group. `scores` maps a prompt to the scores of (candidate's, incumbent's) text; None under
    `DISCRIMINATION_MINIMUM` scored labels of either side, or from a single annotator.
    """
    scored, gaps, won = _score_gaps(outcomes, scores)
    if not _enough_of_both(won):
        return None
    raters, groups = [o.rater for o in scored], [o.group for o in scored]
    return discrimination_interval(gaps, won, clusterings=(raters, groups), level=LEVEL)


def fresh_discrimination_sequence(
    outcomes: Sequence[Outcome], scores: TrainScores
) -> Interval | None:
    """The same AUC with bounds that hold after every label together, however often one looks."""
    _, gaps, won = _score_gaps(outcomes, scores)
    return discrimination_sequence(gaps, won, level=LEVEL) if _enough_of_both(won) else None


def fresh_side(outcomes: Sequence[Outcome], scores: TrainScores) -> Interval | None:
    """How often the training reward model prefers the text that people preferred, equal scores half.

    Where people nearly always choose the same side there is no order to tell, and this is what is left
    to ask of it; elsewhere it follows the share of wins. Ties of people are left out, annotators are
    the clusters; None under `DISCRIMINATION_MINIMUM` scored labels or two annotators.
    """
    scored, gaps, won = _score_gaps(outcomes, scores)
    raters = [outcome.rater for outcome in scored]
    if len(scored) < DISCRIMINATION_MINIMUM or len(set(raters)) < 2:
        return None
    hits = np.where(gaps == 0, 0.5, ((gaps > 0) == won).astype(float))
    return cluster_share_interval(hits, raters, level=LEVEL)


def _enough_of_both(won: BoolArray) -> bool:
    return min(int(won.sum()), int((~won).sum())) >= DISCRIMINATION_MINIMUM


def _score_gaps(
    outcomes: Sequence[Outcome], scores: TrainScores
) -> tuple[list[Outcome], FloatArray, BoolArray]:
    """The scored, untied labels in their order, their score gaps, and whether the candidate won."""
    scored = [o for o in outcomes if o.value != 0.5 and o.prompt_id in scores]
    gaps = np.array([scores[o.prompt_id][0] - scores[o.prompt_id][1] for o in scored])
    return scored, gaps, np.array([o.value > 0.5 for o in scored], dtype=bool)


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
    return _clustered_share(np.array(shares), groups)


def _clustered_share(values: FloatArray, groups: Sequence[str]) -> Interval | None:
    """Mean of shares, clustered by group, in closed form; None under two groups."""
    if len(set(groups)) < 2:
        return None
    return cluster_share_interval(values, groups, level=LEVEL)
