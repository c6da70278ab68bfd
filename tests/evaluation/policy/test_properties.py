"""What holds for any evidence: nothing that was not measured ever promotes, and verdicts replay."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.contracts import (
    CheckSettings,
    ConsistencyMeasurements,
    GateMeasurements,
    GatePolicySettings,
    GateVerdict,
    Interval,
    ProbeEffect,
    RewardModelMeasurements,
    RewordingFlips,
)
from evaluation.gates import outcomes as rules
from evaluation.policy import gate_decide
from evaluation.statistics.betting import Aim
from training.contracts import canonical_json

from .evidence import CONSISTENCY, EQUAL_LENGTH, GOOD, LABELS, MISMATCH, POLICY, SPLIT

SETTINGS = GatePolicySettings()
NEEDED = 1 / (0.05 * 6 / math.pi**2)  # of a line's first test


def interval(low: float, high: float) -> st.SearchStrategy[Interval]:
    """An interval whose ends lie between `low` and `high`."""
    ends = st.tuples(st.floats(low, high), st.floats(low, high)).map(sorted)
    return ends.map(lambda e: Interval((e[0] + e[1]) / 2, e[0], e[1], 0.95, 300))


def mostly(good: Any, other: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The good value in most draws, so that many draws pass every check."""
    return st.integers(0, 11).flatmap(lambda n: other if n == 0 else st.just(good))


LABELLED = st.builds(
    lambda best, worse, left, expired: replace(
        LABELS, e_value=1.0, max_e_value=best, max_e_value_worse=worse, labels_left=left, expired=expired
    ),
    best=mostly(90.0, st.floats(0, 60)),
    worse=mostly(1.2, st.floats(0, 40)),
    left=st.integers(0, 3),
    expired=st.booleans(),
)  # fmt: skip
SAMPLED = st.builds(
    lambda **measured: replace(POLICY, **measured),
    train_gain=mostly(POLICY.train_gain, interval(-1, 2)),
    held_out_gain=mostly(POLICY.held_out_gain, interval(-1, 2)),
    kl=mostly(POLICY.kl, st.fixed_dictionaries({}, optional={"reference": interval(5, 15)})),
    length_ratio=mostly(POLICY.length_ratio, interval(0.5, 2)),
    length_free_share=mostly(POLICY.length_free_share, st.none() | interval(-1, 2)),
    diversity=mostly(POLICY.diversity, st.dictionaries(st.just("distinct_1"), interval(0.2, 1))),
    more_samples_possible=st.booleans(),
)
CONTROLLED = st.builds(
    lambda **measured: replace(EQUAL_LENGTH, **measured),
    controlled=interval(0.3, 0.8),
    controlled_sequence=interval(0.3, 0.8),
    share=st.none() | interval(-0.5, 1.5),
    share_sequence=st.none() | interval(-0.5, 1.5),
)
PARTED = st.builds(
    lambda **measured: replace(MISMATCH, **measured),
    correlation=st.none() | interval(-1, 1),
    parted=st.integers(0, 5),
)
READ = st.builds(
    lambda **measured: replace(CONSISTENCY, **measured),
    prompt_swap=mostly(CONSISTENCY.prompt_swap, interval(0.4, 0.9)),
    contrast=mostly(CONSISTENCY.contrast, st.none() | interval(0.4, 0.9)),
    rewordings=mostly(
        CONSISTENCY.rewordings,
        st.lists(
            st.builds(RewordingFlips, st.just("greeting"), st.integers(1, 99), interval(0, 0.3)),
            max_size=3,
        ).map(tuple),
    ),
    probes=mostly(
        CONSISTENCY.probes,
        st.lists(
            st.builds(
                ProbeEffect,
                st.just("flattery"),
                st.integers(1, 99),
                interval(0, 1),
                interval(-1, 1),
            ),
            max_size=3,
        ).map(tuple),
    ),
)
REWARDED = st.builds(
    lambda sides: RewardModelMeasurements({"test": SPLIT}, consistency=sides),
    st.dictionaries(st.sampled_from(["reward_model", "held_out_reward_model"]), READ),
)
EVIDENCE = st.builds(
    lambda **measured: replace(GOOD, **measured),
    integrity=mostly(GOOD.integrity, st.just(())),
    incumbent_sha256=mostly(GOOD.incumbent_sha256, st.just(GOOD.candidate_sha256)),
    labels=mostly(LABELS, st.none()) | LABELLED,
    policy=mostly(POLICY, st.none()) | SAMPLED,
    fresh_discrimination=mostly(GOOD.fresh_discrimination, st.none() | interval(0.3, 0.9)),
    length_control=mostly(EQUAL_LENGTH, st.none() | CONTROLLED),
    mismatch=mostly(MISMATCH, st.none() | PARTED),
    reward_model=mostly(GOOD.reward_model, st.none() | REWARDED),
)


def shows_it_all(m: GateMeasurements) -> bool:
    """The thresholds of the default policy, written out a second time by hand."""
    p, told, labels = m.policy, m.fresh_discrimination, m.labels
    even = m.length_control
    if p is None or told is None or labels is None or even is None or "reference" not in p.kl:
        return False
    seen = p.held_out_gain.estimate / p.train_gain.estimate if p.train_gain.estimate > 0 else 9.0
    longer = p.length_ratio.estimate > 1
    return (
        {fact.name for fact in m.integrity} >= {"artifact_hashes", "prompt_split"}
        and m.candidate_sha256 != m.incumbent_sha256
        and labels.max_e_value >= NEEDED
        and p.held_out_gain.low > 0
        and seen >= 0.3
        and p.kl["reference"].high <= 10
        and told.low >= 0.52
        and p.length_ratio.high <= 1.25
        and min(even.controlled.low, even.controlled_sequence.low) >= 0.48
        and (not longer or p.length_free_share is None or p.length_free_share.estimate >= 0.3)
        and (not longer or (even.share is not None and even.share.low >= 0.3))
        and bool(p.diversity)
        and all(ratio.low >= 0.5 for ratio in p.diversity.values())
    )


def test_only_evidence_that_shows_everything_promotes_and_verdicts_replay() -> None:
    said: Counter[str] = Counter()

    @settings(max_examples=400, deadline=None, derandomize=True, database=None)
    @given(EVIDENCE)
    def holds(measured: GateMeasurements) -> None:
        verdict = gate_decide(measured, SETTINGS)
        said[verdict.verdict] += 1
        assert (verdict.verdict == "PROMOTE") == shows_it_all(measured)
        recorded = json.loads(json.dumps(measured.to_json()))
        again = gate_decide(GateMeasurements.from_json(recorded), SETTINGS)
        assert canonical_json(again.to_json()) == canonical_json(verdict.to_json())
        assert GateVerdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict
        assert bool(verdict.wants) == (verdict.verdict == "INCONCLUSIVE")

    holds()
    assert min(said[verdict] for verdict in ("PROMOTE", "REJECT", "INCONCLUSIVE")) >= 20, said


def is_consistent(found: ConsistencyMeasurements | None) -> bool:
    """The thresholds of G12, written out a second time by hand."""
    if found is None or not found.probes:
        return False
    prompts = [found.prompt_swap, *([found.contrast] if found.contrast else [])]
    reworded = [each.flipped for each in found.rewordings if each.pairs >= 40]
    return (
        all(each.low >= 0.55 for each in prompts)
        and bool(reworded)
        and all(each.high <= 0.10 for each in reworded)
        and all(each.shift.high <= 0.25 for each in found.probes)
    )


def test_consistency_promotes_only_what_it_shows_where_it_is_required_and_blocks_nothing_elsewhere() -> (
    None
):
    asked = GatePolicySettings(checks={"G12": CheckSettings(required=True)})
    said: Counter[str] = Counter()

    @settings(max_examples=400, deadline=None, derandomize=True, database=None)
    @given(st.none() | REWARDED)
    def holds(reward: RewardModelMeasurements | None) -> None:
        measured = replace(GOOD, reward_model=reward)
        verdict = gate_decide(measured, asked)
        said[verdict.verdict] += 1
        found = reward.consistency.get("reward_model") if reward else None
        assert (verdict.verdict == "PROMOTE") == is_consistent(found)
        assert gate_decide(measured, SETTINGS).verdict == "PROMOTE"
        assert not verdict.wants  # neither labels nor samples would tell more of it

    holds()
    assert min(said["PROMOTE"], said["REJECT"]) >= 20, said


def spelled(path: tuple[Any, ...]) -> str:
    """policy.suites[1].spread"""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).removeprefix(".")


def numbers(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the measured numbers of a JSON document stand."""
    if isinstance(document, float):
        yield path
    elif isinstance(document, dict | list):
        inner = document.items() if isinstance(document, dict) else enumerate(document)
        for name, value in inner:
            yield from numbers(value, (*path, name))


DOCUMENT = json.loads(json.dumps(GOOD.to_json()))


@pytest.mark.parametrize("path", list(numbers(DOCUMENT)), ids=lambda path: ".".join(map(str, path)))
@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_named_and_decides_nothing(
    path: tuple[Any, ...], wrong: float
) -> None:
    document = json.loads(json.dumps(GOOD.to_json()))
    place = document
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = wrong
    with pytest.raises(ValueError, match=re.escape(spelled(path[:-1])) or path[-1]) as error:
        gate_decide(GateMeasurements.from_json(document), SETTINGS)
    assert str(path[-1]) in str(error.value)


@pytest.mark.parametrize(
    "missing",
    [
        {"labels": None},
        {"labels": replace(LABELS, labels=0, e_value=1.0, max_e_value=1.0)},
        {"policy": None},
        {"policy": replace(POLICY, kl={})},
        {"policy": replace(POLICY, diversity={})},
        {"length_control": None},
        {"fresh_discrimination": None},
        {"integrity": ()},
        {"integrity": GOOD.integrity[:1]},
        {"incumbent_sha256": GOOD.candidate_sha256},
    ],
    ids=str,
)
def test_what_is_missing_promotes_nothing(missing: dict[str, Any]) -> None:
    assert gate_decide(GOOD, SETTINGS).verdict == "PROMOTE"
    assert gate_decide(replace(GOOD, **missing), SETTINGS).verdict != "PROMOTE"


def on_labels(values: list[float], gaps: list[float], *, raters: int) -> GateVerdict:
    """The verdict on these labels, all else being good."""
    outcomes = [
        rules.Outcome(f"p{i}", f"g{i}", f"r{i % raters}", value, value)
        for i, value in enumerate(values)
    ]
    scores = {f"p{i}": (gap, 0.0) for i, gap in enumerate(gaps)}
    measured = replace(
        GOOD,
        labels=rules.human_labels(
            outcomes,
            settings=SETTINGS,
            aim=Aim(1 / NEEDED, 200),
            labels_left=0,
            expired=False,
        ),
        fresh_discrimination=rules.fresh_discrimination(outcomes, scores),
        fresh_discrimination_sequence=rules.fresh_discrimination_sequence(outcomes, scores),
        fresh_side=rules.fresh_side(outcomes, scores),
    )
    return gate_decide(measured, SETTINGS)


# (labels, share of wins)
LABELLING = st.sampled_from(
    [(120, 0.8), (120, 0.75), (120, 0.85), (120, 0.3), (120, 0.5), (40, 0.8), (120, 1.0), (1, 1.0), (0, 0.0)]
)  # fmt: skip


def test_labels_of_one_person_or_all_tied_or_all_scored_alike_promote_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same labels by several people, some won and some lost, and scored apart, do promote."""
    monkeypatch.setattr(rules, "win_rate_interval", lambda outcomes: None)  # decides nothing; slow
    said: Counter[str] = Counter()

    @settings(max_examples=30, deadline=None, derandomize=True, database=None)
    @given(LABELLING, st.integers(10, 20), st.integers(0, 999))
    def holds(labelling: tuple[int, float], raters: int, seed: int) -> None:
        size, share = labelling
        random = Random(seed)
        values = [float(random.random() < share) for _ in range(size)]
        gaps = [value + random.random() for value in values]
        said[on_labels(values, gaps, raters=raters).verdict] += 1
        for verdict in (
            on_labels(values, gaps, raters=1),
            on_labels([0.5] * size, gaps, raters=raters),
            on_labels(values, [0.0] * size, raters=raters),
            on_labels(values, [], raters=raters),
        ):
            assert verdict.verdict != "PROMOTE"

    holds()
    assert min(said["PROMOTE"], said["REJECT"]) >= 2, said
