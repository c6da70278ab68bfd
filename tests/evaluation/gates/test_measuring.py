"""Measuring and deciding a round on a real line, with its error control over rounds."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from annotation import facade as annotation
from annotation.comparisons.models import Comparison
from annotation.comparisons.services import pairs_create, prompts_ensure
from annotation.contracts import GateQueueStatus, NewCompletion, NewPair, NewPrompt
from evaluation import facade
from evaluation.contracts import (
    CheckSettings,
    GateMeasurements,
    GatePolicySettings,
    GateVerdict,
    HumanLabels,
    Interval,
    JudgedPromptWear,
    KlOptimum,
    PolicyMeasurements,
    RewardMismatch,
    RewardModelMeasurements,
)
from evaluation.gates import measuring
from evaluation.gates.labelled import labels_join
from evaluation.gates.policies import gate_policy_current
from evaluation.gates.readings import measurements_read
from evaluation.gates.second_budgets import evidence_so_far
from evaluation.policy import NOTHING_NEW, error_level, gate_decide
from tests.annotation.factories import a_campaign, an_annotator, label_next, lease, some_pairs
from tests.evaluation.gates.world import (
    LineWorld,
    a_test,
    labels_from,
    policy_create,
    run_left,
    sampled,
)
from tests.evaluation.policy.evidence import LABELS, POLICY, SPLIT, evidence_on
from training.runs.models import Snapshot

Measure = Callable[..., GateMeasurements]


def snapshot_of(line: uuid.UUID, folder: Path, *groups: str) -> uuid.UUID:
    """A snapshot whose preferences are on these prompt groups."""
    path = folder / "artifacts" / f"{'-'.join(groups)}.jsonl"
    path.write_text("".join(json.dumps({"group": group}) + "\n" for group in groups))
    row = Snapshot.objects.create(
        line=line, recipe={}, sha256=path.stem, path=path.name, rows=len(groups)
    )
    return row.pk


@pytest.fixture
def measure(world: LineWorld, artifacts: Path, monkeypatch: pytest.MonkeyPatch) -> Measure:
    """Measure round 1 with these labels given; the reward model is right of nine in ten."""
    snapshot = snapshot_of(world.line, artifacts, "learned from")

    def measured(
        outcomes: list[float],
        *,
        scored: bool = True,
        rewards: list[float] | None = None,
        left: int = 200,
        texts: Sequence[tuple[str, str]] = (),
        settings: GatePolicySettings | None = None,
        **changes: Any,
    ) -> GateMeasurements:
        sides: dict[str, Any] = {"candidate": world.candidate.id, "incumbent": world.incumbent.id}
        labels = labels_from(outcomes, **sides, raters=9, texts=texts)  # none of them leans
        right = [o if i % 10 else 1 - o for i, o in enumerate(outcomes)]
        rows = [
            {
                "prompt_id": str(label.prompt_id),
                "sample": 0,
                "candidate": {"text": "one", "scores": {"train": reward}},
                "incumbent": {"text": "two", "scores": {"train": 0.5}},
            }
            for label, reward in zip(labels, rewards or right, strict=True)
        ]
        run = run_left(
            artifacts,
            measurements=POLICY.to_json(),
            samples="".join(json.dumps(row) + "\n" for row in rows if scored),
        )
        told = {"snapshot": snapshot, "policy_run": run, **changes}
        with monkeypatch.context() as patch:
            patch.setattr(annotation, "gate_labels", lambda **_: labels)
            status = GateQueueStatus(open=left, leased=0, done=len(labels))
            patch.setattr(annotation, "gate_queue_status", lambda **_: status)
            judged = world.judged(**told)
            return measuring.round_measure(judged, a_test(judged, settings or world.settings))

    return measured


def verdict_on(world: LineWorld, measurements: GateMeasurements) -> GateVerdict:
    return gate_decide(measurements, gate_policy_current(world.line).gate_settings)


def wins(share: float, n: int) -> list[float]:
    """`n` outcomes of which `share` are wins, evenly mixed."""
    return [1.0 if math.floor((i + 1) * share) > math.floor(i * share) else 0.0 for i in range(n)]


def test_a_candidate_that_people_prefer_is_promoted(world: LineWorld, measure: Measure) -> None:
    measurements = measure(wins(0.75, 200))
    verdict = verdict_on(world, measurements)
    assert verdict.verdict == "PROMOTE", verdict.reasons
    assert measurements.candidate_sha256 == world.candidate.sha256
    assert measurements.labels is not None
    assert measurements.labels.wins == 150


def test_a_score_that_is_no_number_is_named_before_anything_is_decided(
    world: LineWorld, measure: Measure
) -> None:
    with pytest.raises(ValueError, match=r"train scores.*is nan"):
        measure([1.0, 0.0], rewards=[1.0, math.nan])


def test_a_measurement_that_is_no_number_is_named_when_it_is_read(
    artifacts: Path,
) -> None:
    spoilt = replace(POLICY, kl={"reference": Interval(math.nan, 0.1, 0.2, 0.95, 9)})
    run = run_left(artifacts, measurements=json.dumps(spoilt.to_json()))
    with pytest.raises(ValueError, match=r"measurements\.kl\.reference\.estimate is nan"):
        measurements_read(run, PolicyMeasurements)


def test_a_win_rate_that_length_bought_is_not_promoted(world: LineWorld, measure: Measure) -> None:
    """People choose the longer text, and the candidate writes it in two of three pairs."""
    longer = [bool((i + i // 9) % 3) for i in range(207)]  # for every annotator
    sizes = [(300 + i, 200) if ours else (200, 300 + i) for i, ours in enumerate(longer)]
    texts = [("a" * ours, "a" * theirs) for ours, theirs in sizes]
    chosen = [float(ours) for ours in longer]
    verdict = verdict_on(world, measure(chosen, texts=texts))
    assert verdict.check("G1").status == "PASS"  # type: ignore[union-attr]
    assert verdict.check("G2").status == "UNRESOLVED"  # type: ignore[union-attr]
    assert verdict.verdict == "INCONCLUSIVE"
    assert verdict_on(world, measure(chosen, texts=texts, left=0)).verdict == "REJECT"


def test_how_few_labels_the_win_rate_hangs_on_is_measured(measure: Measure) -> None:
    little, much = (measure(wins(share, 200)).labels_to_flip for share in (0.75, 0.9))
    assert little is not None
    assert much is not None
    assert 0 < little < much
    assert measure([1.0, 0.0] * 60).labels_to_flip is None


def test_an_even_candidate_waits_for_labels_and_is_rejected_when_none_are_left(
    world: LineWorld, measure: Measure
) -> None:
    even = [1.0, 0.0] * 60
    assert verdict_on(world, measure(even, scored=False)).verdict == "INCONCLUSIVE"
    assert verdict_on(world, measure(even, scored=False, left=0)).verdict == "REJECT"
    long_ago = timezone.now() - timedelta(hours=169)
    late = measure(even, scored=False, waiting_since=long_ago)
    assert verdict_on(world, late).verdict == "REJECT"


def test_a_worse_candidate_is_rejected_before_its_labels_are_spent(
    world: LineWorld, measure: Measure
) -> None:
    verdict = verdict_on(world, measure(wins(0.25, 120)))
    assert verdict.verdict == "REJECT"
    assert verdict.check("G1").status == "FAIL"  # type: ignore[union-attr]


def test_before_any_label_the_gate_asks_for_labels(world: LineWorld, measure: Measure) -> None:
    verdict = verdict_on(world, measure([]))
    assert verdict.verdict == "INCONCLUSIVE"
    assert "labels" in verdict.wants


def test_the_first_and_last_label_around_the_threshold(world: LineWorld) -> None:
    """At level a the check passes at e-value 1/a and not just under it."""
    level = error_level(0.0, 0, 0.05)
    at = replace(LABELS, e_value=1 / level, max_e_value=1 / level)
    under = replace(LABELS, e_value=0.999 / level, max_e_value=0.999 / level)

    def status(labels: HumanLabels) -> str:
        found = verdict_on(world, world.measured(labels=labels)).check("G1")
        assert found is not None
        return found.status

    assert (status(at), status(under)) == ("PASS", "UNRESOLVED")


# ------------------------------------------------------------------------------ A/A


def zero(interval: Interval) -> Interval:
    return replace(interval, estimate=0.0, low=0.0, high=0.0)


def self_against_self(world: LineWorld, **changes: Any) -> GateMeasurements:
    """What identical weights measure: exactly no gain, and a lucky streak of labels."""
    policy = replace(
        POLICY,
        train_gain=zero(POLICY.train_gain),
        held_out_gain=zero(POLICY.held_out_gain),
        length_free_share=None,
        aa_difference=0.0,
    )
    same = world.incumbent.sha256
    return evidence_on(same, same, **{"policy": policy, **changes})


def test_identical_weights_pass_integrity_and_are_not_promoted(world: LineWorld) -> None:
    verdict = verdict_on(world, self_against_self(world))
    assert verdict.verdict == "REJECT"
    assert verdict.check("G0").status == "PASS"  # type: ignore[union-attr]
    assert verdict.check("G3").status == "FAIL"  # type: ignore[union-attr]


def test_identical_weights_that_score_differently_break_integrity(world: LineWorld) -> None:
    policy = replace(POLICY, aa_difference=1e-6)
    verdict = verdict_on(world, self_against_self(world, policy=policy))
    assert verdict.check("G0").status == "FAIL"  # type: ignore[union-attr]


def test_identical_weights_are_not_promoted_with_every_guardrail_off(world: LineWorld) -> None:
    off = {check: CheckSettings(enabled=False) for check in ("G3", "G4", "G5", "G10", "G11")}
    world.policy_weaken(GatePolicySettings(checks=off))
    verdict = verdict_on(world, self_against_self(world))
    assert verdict.verdict == "REJECT"
    assert verdict.reasons == (NOTHING_NEW,)


# ------------------------------------------------------------------- budget and age


def left_measured(
    world: LineWorld, folder: Path, texts: list[tuple[str, str]], max_labels: int
) -> GateMeasurements:
    run = run_left(folder, measurements=POLICY.to_json(), samples=sampled(texts))
    judged = world.judged(policy_run=run)
    test = a_test(judged, GatePolicySettings(max_labels=max_labels))
    return measuring.round_measure(judged, test)


def labels_left(world: LineWorld, folder: Path, *, max_labels: int, pairs: int = 0) -> int:
    """What a round may still ask for, by the real queue, with `pairs` sampled."""
    measured = left_measured(world, folder, [("one", "two")] * pairs, max_labels)
    assert measured.labels is not None
    return measured.labels.labels_left


@pytest.mark.parametrize(("differing", "left"), [(7, 7), (0, 0), (40, 20)])
def test_pairs_of_two_equal_texts_are_counted_and_no_label_is_left_for_them(
    world: LineWorld, artifacts: Path, differing: int, left: int
) -> None:
    texts = [("same", "same")] * 5 + [("one", "two")] * differing
    measured = left_measured(world, artifacts, texts, 20)
    assert measured.identical_pairs == 5
    assert measured.labels is not None
    assert measured.labels.labels_left == left


def test_a_candidate_that_always_writes_what_the_incumbent_does_is_decided_without_a_label(
    world: LineWorld, artifacts: Path
) -> None:
    measured = left_measured(world, artifacts, [("same", "same")] * 30, 1000)
    assert not verdict_on(world, measured).labels_wanted


def test_prompts_that_an_earlier_gate_has_shown_are_counted_once_labels_are_in(
    world: LineWorld, artifacts: Path
) -> None:
    campaign = a_campaign(line_id=world.line, gate_share=1.0)
    asked = [
        NewPrompt(messages=({"role": "user", "content": f"Worn {n}?"},), split="evaluation")
        for n in range(5)
    ]
    prompts = prompts_ensure(line_id=world.line, prompts=asked)
    versions = (world.candidate.id, world.incumbent.id)

    def offered(round_id: uuid.UUID, which: slice) -> None:
        sides = tuple(NewCompletion(f"by {version}", version) for version in versions)
        pairs = [NewPair(prompt.pk, (sides[0], sides[1])) for prompt in prompts[which]]
        pairs_create(campaign=campaign, purpose="gate", round_id=round_id, pairs=pairs)

    def measured() -> GateMeasurements:
        return left_measured(world, artifacts, [("one", "two")], 100)

    offered(uuid.uuid4(), slice(0, 2))
    for _ in range(2):
        label_next(an_annotator(campaign), campaign)
    offered(world.round, slice(1, 4))
    assert measured().wear is None
    for _ in range(3):
        label_next(an_annotator(campaign), campaign)
    # 1, 2, 3 are judged, 1 was before; 4 is the one prompt of five that nobody has seen
    assert measured().wear == JudgedPromptWear(judged=3, seen_before=1, fresh_left=1)


@pytest.mark.parametrize(("max_labels", "left"), [(11, 10), (10, 10), (9, 9)])
def test_before_the_pairs_are_offered_all_of_them_are_left_within_the_budget(
    world: LineWorld, artifacts: Path, max_labels: int, left: int
) -> None:
    assert labels_left(world, artifacts, max_labels=max_labels, pairs=10) == left


def test_once_offered_what_is_open_or_held_is_left_within_the_budget(
    world: LineWorld, artifacts: Path
) -> None:
    campaign = a_campaign(line_id=world.line, gate_share=1.0)
    versions = (world.candidate.id, world.incumbent.id)
    some_pairs(campaign, 5, purpose="gate", round_id=world.round, versions=versions)
    label_next(an_annotator(campaign), campaign)
    label_next(an_annotator(campaign), campaign)
    lease(an_annotator(campaign), campaign)
    # 2 open, 1 held, 2 given: the pairs that were planned no longer count
    assert labels_left(world, artifacts, max_labels=100, pairs=40) == 3
    for budget, left in ((6, 3), (5, 3), (4, 2), (3, 1), (2, 0), (1, 0)):
        assert labels_left(world, artifacts, max_labels=budget) == left


def test_none_are_left_when_every_offered_pair_has_its_label(
    world: LineWorld, artifacts: Path
) -> None:
    campaign = a_campaign(line_id=world.line, gate_share=1.0)
    some_pairs(campaign, 1, purpose="gate", round_id=world.round)
    label_next(an_annotator(campaign), campaign)
    assert Comparison.objects.filter(open=True).count() == 0
    assert labels_left(world, artifacts, max_labels=100, pairs=40) == 0


def test_another_round_s_labels_spend_nothing_of_the_budget(
    world: LineWorld, artifacts: Path
) -> None:
    campaign = a_campaign(line_id=world.line, gate_share=1.0)
    some_pairs(campaign, 1, purpose="gate", round_id=uuid.uuid4())
    label_next(an_annotator(campaign), campaign)
    assert labels_left(world, artifacts, max_labels=3, pairs=3) == 3


@pytest.mark.parametrize(
    ("waited", "expired"),
    [
        (timedelta(hours=2, microseconds=-1), False),
        (timedelta(hours=2), False),
        (timedelta(hours=2, microseconds=1), True),
        (timedelta(hours=-1), False),
    ],
)
def test_a_round_expires_once_it_waited_longer_than_its_maximum_age(
    world: LineWorld,
    measure: Measure,
    monkeypatch: pytest.MonkeyPatch,
    waited: timedelta,
    expired: bool,
) -> None:
    now = timezone.now()
    monkeypatch.setattr(measuring, "database_now", lambda: now)
    settings = GatePolicySettings(max_age_hours=2.0)
    measured = measure([1.0], settings=settings, waiting_since=now - waited)
    assert measured.labels is not None
    assert measured.labels.expired is expired


def test_the_maximum_age_is_that_of_the_policy_in_force_when_the_round_started(
    world: LineWorld,
) -> None:
    began = timezone.now()
    waiting = {"waiting_since": began - timedelta(hours=3)}
    short = GatePolicySettings(max_age_hours=2.0)
    facade.gate_policy_save(line_id=world.line, settings=short, actor="ada")
    assert not facade.round_expired(world.judged(started_at=began, **waiting))
    assert facade.round_expired(world.judged(started_at=timezone.now(), **waiting))


# --------------------------------------------------------------------------- integrity


def test_nothing_is_decided_before_the_policy_was_evaluated(
    world: LineWorld, artifacts: Path
) -> None:
    run = run_left(artifacts, measurements=POLICY.to_json(), samples="")
    for judged in (world.judged(), world.judged(policy_run=run, candidate=None)):
        with pytest.raises(LookupError, match="no policy evaluation"):
            facade.round_decide(judged)


def facts_of(measured: GateMeasurements) -> dict[str, tuple[bool, str]]:
    return {fact.name: (fact.ok, fact.detail) for fact in measured.integrity}


def test_a_group_both_learned_from_and_judged_on_breaks_integrity(
    world: LineWorld, measure: Measure, artifacts: Path
) -> None:
    assert facts_of(measure([1.0]))["prompt_split"] == (True, "")
    leaked = snapshot_of(world.line, artifacts, "judged on", "learned from")
    says = "1 prompt groups are both learned from and judged on"
    assert facts_of(measure([1.0], snapshot=leaked))["prompt_split"] == (False, says)
    unknown = facts_of(measure([1.0], snapshot=None))["prompt_split"]
    assert unknown == (False, "the round has no snapshot")


@pytest.mark.parametrize("damaged", ["candidate", "incumbent", "reward_models"])
def test_an_artifact_that_is_not_what_its_hash_says_breaks_integrity(
    world: LineWorld, measure: Measure, artifacts: Path, damaged: str
) -> None:
    reward = policy_create(world.line, artifacts, "reward model")
    told = {"reward_models": (reward.id,)}
    assert facts_of(measure([1.0], **told))["artifact_hashes"] == (True, "")
    version = reward if damaged == "reward_models" else getattr(world, damaged)
    (version.path / "model.safetensors").write_bytes(b"other weights")
    ok, detail = facts_of(measure([1.0], **told))["artifact_hashes"]
    assert not ok
    assert detail.startswith(f"{version.name}: ")


# --------------------------------------------------------------------- everything is there


def test_the_gate_is_shown_what_every_room_has_measured(
    world: LineWorld, artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each figure stands where the checks look for it; the rooms' own tests say how it is measured."""
    gold, ceiling = Interval(0.9, 0.8, 0.95, 0.95, 40), Interval(0.7, 0.6, 0.8, 0.95, 30)
    optimum, mismatch = KlOptimum(7.5, (1, 2)), RewardMismatch((), None, 0)
    reward = RewardModelMeasurements({"test": SPLIT})
    asked: dict[str, Any] = {}

    def told(name: str, found: Any) -> Callable[..., Any]:
        def answer(*arguments: Any, **named: Any) -> Any:
            asked[name] = (*arguments, *named.values())
            return found

        return answer

    for name, value in (
        ("gold_question_accuracy", gold),
        ("human_ceiling", ceiling),
        ("kl_optimum", optimum),
        ("run_mismatch", mismatch),
    ):
        monkeypatch.setattr(measuring, name, told(name, value))
    monkeypatch.setattr(annotation, "label_summary", told("summary", "the line's summary"))
    monkeypatch.setattr(annotation, "overlap_votes", told("votes", "the line's votes"))
    judged = world.judged(
        policy_run=run_left(artifacts, measurements=POLICY.to_json(), samples=sampled([])),
        reward_run=run_left(artifacts, measurements=reward.to_json()),
    )
    test = a_test(judged, world.settings)
    test.test_number, test.discoveries, test.error_spent = 4, 2, 0.011
    found = measuring.round_measure(judged, test)
    assert (found.candidate_sha256, found.incumbent_sha256) == (
        world.candidate.sha256, world.incumbent.sha256,
    )  # fmt: skip
    assert (found.policy, found.reward_model) == (POLICY, reward)
    assert (found.gold_question_accuracy, found.human_ceiling) == (gold, ceiling)
    assert (found.kl_optimum, found.mismatch) == (optimum, mismatch)
    assert (found.test_number, found.discoveries, found.error_spent) == (4, 2, 0.011)
    assert asked == {
        "summary": (world.line,),
        "votes": (world.line,),
        "gold_question_accuracy": ("the line's summary",),
        "human_ceiling": ("the line's votes",),
        "kl_optimum": (judged,),
        "run_mismatch": (world.candidate.id,),
    }
    assert measuring.round_measure(replace(judged, reward_run=None), test).reward_model is None


def test_a_judge_is_measured_beside_what_people_said_of_the_same_prompts(
    world: LineWorld, measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    ceiling, shown = Interval(0.7, 0.6, 0.8, 0.95, 30), list[Any]()
    monkeypatch.setattr(measuring, "human_ceiling", lambda votes: ceiling)
    monkeypatch.setattr(
        measuring, "judge_measured", lambda *told, **named: shown.append((*told, named))
    )
    assert measure([1.0, 0.5, 0.0]).judge is None
    ((round_id, people, named),) = shown
    assert (round_id, named) == (world.round, {"ceiling": ceiling})
    assert [(said.rater, said.value) for said in people.values()] == [
        ("rater-0", 1.0), ("rater-1", 0.5), ("rater-2", 0.0),
    ]  # fmt: skip


def test_a_second_budget_brings_the_evidence_of_the_first(
    world: LineWorld, measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an earlier budget left and what was aimed at reaches the labels of this one."""
    shown: dict[str, Any] = {}
    real = labels_join

    def joined(*told: Any, **named: Any) -> GateMeasurements:
        shown.update(named)
        return real(*told, **named)

    monkeypatch.setattr(measuring, "labels_join", joined)
    measure([1.0, 0.0], left=7)
    so_far = evidence_so_far(a_test(world.judged(), world.settings))
    assert (shown["aim"], shown["earlier"]) == (so_far.aim, so_far.earlier)
    assert shown["predictions"] == so_far.predictions
    assert (shown["settings"], shown["labels_left"], shown["expired"]) == (world.settings, 7, False)
    sides = (world.candidate.id, world.incumbent.id)
    assert (shown["candidate"], shown["incumbent"]) == sides
