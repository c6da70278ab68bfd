"""The gate half of an arm: a candidate's measurements, and labels drawn anew until enough is known."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from evaluation import facade as evaluation
from evaluation.contracts import (
    EvaluateRewardModelConfig,
    GateMeasurements,
    GateVerdict,
    IntegrityFact,
    PolicyMeasurements,
    RewardModelMeasurements,
)
from outerloop.selftest.bench import Finished, rows_read
from outerloop.selftest.labels import (
    SIDES,
    JudgedPair,
    Offered,
    gold_win_rate,
    label_win_rate,
    labels_redrawn,
    mixing_share,
    offered,
)
from outerloop.selftest.learning import RewardModels, World, checkpoints
from outerloop.selftest.results import TrialResult
from outerloop.selftest.sizes import SINGLE, Arm
from training.digests import path_sha256

Label = tuple[Any, JudgedPair]


@dataclass(frozen=True)
class Candidate:
    """A policy as the gate meets it: what was measured, and what people may be shown."""

    measured: GateMeasurements
    offer: Offered
    reward: RewardModelMeasurements


def candidate_measure(world: World, models: RewardModels, run: Finished) -> Candidate:
    """Evaluate the policy of `run` against the first one, as a round does before it asks for labels."""
    policy = run.artifact("policy")
    evaluated = _evaluate(world, models, policy)
    scored = world.bench.run(
        "evaluate_reward_model",
        world.seed,
        {"preferences": models.preferences, **models.inputs(SINGLE)},
        EvaluateRewardModelConfig(),
    )
    reward = RewardModelMeasurements.from_json(scored.document("measurements"))
    offer = offered(evaluated.rows("samples"))
    measured = GateMeasurements(
        candidate_sha256=path_sha256(policy),
        incumbent_sha256=path_sha256(world.policy),
        integrity=(IntegrityFact("artifact_hashes", True), _split_fact(world, models)),
        policy=PolicyMeasurements.from_json(evaluated.document("measurements")),
        reward_model=reward,
        mismatch=evaluation.mismatch_of(checkpoints(run)),
        identical_pairs=sum(pair.identical for pair in offer.candidate),
    )
    return Candidate(measured, offer, reward)


def identical_difference(world: World, models: RewardModels) -> float | None:
    """What an evaluation of the first policy against itself differs by."""
    evaluated = _evaluate(world, models, world.policy)
    return PolicyMeasurements.from_json(evaluated.document("measurements")).aa_difference


def trial_run(
    world: World,
    arm: Arm,
    candidate: Candidate,
    gate: evaluation.GateInForce,
    tell: Callable[[int], None] = lambda _: None,
) -> TrialResult:
    """Draw the labels anew, and let the gate look at them as they come; `tell` hears of each redraw."""
    rate = label_win_rate(candidate.offer.candidate, arm.judges, world.seed)
    share = {"better": mixing_share(rate, world.sizes.win_rate), "twin": 0.0}.get(arm.trial, 1.0)
    rehearsal = evaluation.Rehearsal(
        gate=gate,
        measured=replace(
            candidate.measured,
            test_number=gate.tests + 1,
            discoveries=gate.discoveries,
            error_spent=gate.spent,
        ),
        **SIDES,
        pairs=len(candidate.offer.candidate) - candidate.measured.identical_pairs,
    )
    verdicts: list[GateVerdict] = []
    counts: list[int] = []
    for redraw in range(world.sizes.redraws):
        rng = random.Random(f"redraw {world.seed} {arm.name} {redraw}")
        labels = labels_redrawn(
            candidate.offer,
            arm.judges,
            share=share,
            most=min(gate.settings.max_labels, rehearsal.pairs),
            rng=rng,
        )
        verdict, read = verdict_as_labels_come(rehearsal, labels, world.sizes.look_every)
        verdicts.append(verdict)
        counts.append(read)
        tell(redraw + 1)
    words = Counter(verdict.verdict for verdict in verdicts)
    return TrialResult(
        redraws=len(verdicts),
        promoted=words["PROMOTE"],
        rejected=words["REJECT"],
        inconclusive=words["INCONCLUSIVE"],
        labels=float(np.mean(counts)),
        gold_win_rate=gold_win_rate(candidate.offer.candidate),
        label_win_rate=rate,
        shown_win_rate=share * rate + (1 - share) / 2,
        held_by=dict(Counter(check for verdict in verdicts for check in _held_by(verdict))),
    )


def verdict_as_labels_come(
    rehearsal: evaluation.Rehearsal, labels: Sequence[Label], every: int
) -> tuple[GateVerdict, int]:
    """The first verdict that no further label could change the gate's mind about, and the labels it took."""
    scores = {pair.prompt: pair.scores for _, pair in labels}
    given = [label for label, _ in labels]
    read = 0
    while True:
        read = min(read + every, len(given))
        verdict = evaluation.gate_rehearse(rehearsal, given[:read], scores)
        if not verdict.labels_wanted or read == len(given):
            return verdict, read


def _held_by(verdict: GateVerdict) -> list[str]:
    return [c.id for c in verdict.checks if c.required and c.status != "PASS"]


def _evaluate(world: World, models: RewardModels, policy: Path) -> Finished:
    inputs = {
        "candidate": policy,
        "incumbent": world.policy,
        "reference": world.policy,
        "prompts": world.judged_file,
        **models.inputs(SINGLE),
    }
    return world.bench.run("evaluate_policy", world.seed, inputs, world.sizes.evaluation)


def _split_fact(world: World, models: RewardModels) -> IntegrityFact:
    """No prompt group is both learned from and judged on."""
    shared = {row["group"] for row in rows_read(models.preferences)} & {
        row["group"] for row in rows_read(world.judged_file)
    }
    detail = f"{len(shared)} prompts are both learned from and judged on" if shared else ""
    return IntegrityFact("prompt_split", not shared, detail)
