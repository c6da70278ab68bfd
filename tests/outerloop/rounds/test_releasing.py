"""What becomes of a gate's labels after the decision, by the rule of the line."""

from __future__ import annotations

from contextlib import suppress

import pytest

from annotation import facade as annotation
from annotation.comparisons.models import Comparison, Exclusion, GateQueue, Judgment, RetiredRoot
from annotation.contracts import SnapshotRecipe
from evaluation.gates.readings import groups_shared
from outerloop.rounds.mending import round_take_up
from outerloop.rounds.models import Round, RoundStep, State
from outerloop.rounds.record import record_build
from outerloop.rounds.services import round_cancel, round_start
from tests.annotation.factories import an_annotator, label_next
from tests.outerloop.rounds.test_offering import offered, policy_save, sampled
from tests.outerloop.rounds.test_steps import TOO_LONG
from tests.outerloop.rounds.world import advance_through, run_of, step_of
from training import facade as training
from training.runs.inventory import input_path
from web.models import AuditEvent

LABELS = 6


@pytest.fixture
def asking(loop, behave, evidence):
    """A gate that wants 20 labels at most, and so samples 44 prompts; all pairs are the gate's."""
    evidence.changes = {"labels": None}
    policy_save(loop)
    loop.campaign.gate_share = 1.0
    loop.campaign.save()
    return loop


def snapshot_of(round_: Round) -> training.SnapshotRecord:
    assert round_.snapshot is not None
    return training.snapshot_get(round_.snapshot)


def judged(loop, evidence, *, identical: int = 192) -> Round:
    """A round that was decided after some labels; `identical` of its 384 pairs are of two equal texts."""
    round_ = offered(loop)
    assert round_.state == State.AWAITING_LABELS
    for _ in range(LABELS):
        label_next(an_annotator(loop.campaign), loop.campaign)
    evidence.changes = {"identical_pairs": identical, **TOO_LONG}
    advance_through(round_)
    assert round_.verdict == "REJECT"
    evidence.changes = {"labels": None}
    return round_


def released(loop) -> int:
    rows = annotation.preferences_stream(line_id=loop.line.id, recipe=SnapshotRecipe())
    return sum(row.purpose == "gate" for row in rows)


def rule(loop, choice: str) -> None:
    loop.line.release_gate_labels = choice
    loop.line.save()


def test_the_next_round_learns_from_them_and_judges_on_none_of_their_prompts(asking, evidence):
    asking.prompts("evaluation", 116)
    first = judged(asking, evidence)
    assert released(asking) == LABELS
    assert step_of(first, State.DECIDED).note.endswith(
        " 6 gate labels may train from the next round on; their prompts are retired."
    )
    second = offered(asking)
    snapshot = snapshot_of(second)
    assert (snapshot.rows, snapshot.counts["released"]) == (asking.labels + LABELS, LABELS)
    assert len(groups_shared(snapshot, run_of(first, State.POLICY_EVALUATION))) == LABELS
    assert not groups_shared(snapshot, run_of(second, State.POLICY_EVALUATION))
    assert not groups_shared(snapshot_of(first), run_of(first, State.POLICY_EVALUATION))
    labels = record_build(second).labels
    assert labels is not None
    assert (labels.training, labels.released) == (asking.labels + LABELS, LABELS)
    assert "6 of them labels of earlier gates" in step_of(second, State.SNAPSHOT).note
    (event,) = AuditEvent.objects.filter(verb="released gate labels")
    assert event.detail == {"labels": LABELS, "prompts": LABELS}


def test_prompts_that_are_retired_without_a_label_that_counts_are_written_down(asking, evidence):
    asking.prompts("evaluation", 116)
    round_ = offered(asking)
    label_next(an_annotator(asking.campaign), asking.campaign)
    rater = Judgment.objects.filter(assignment__comparison__round_id=round_.id).get().rater
    Exclusion.objects.create(line=asking.line.id, rater=rater, reason="Away.", excluded_by="lea")
    evidence.changes = TOO_LONG
    advance_through(round_)
    assert step_of(round_, State.DECIDED).note.endswith(
        " No gate label counts; questions that were answered and are retired now: 1."
    )
    (event,) = AuditEvent.objects.filter(verb="released gate labels")
    assert event.detail == {"labels": 0, "prompts": 1}


def test_a_release_that_cannot_be_written_down_does_not_take_place(asking, evidence, monkeypatch):
    def full(**_):
        raise OSError("the disk is full")

    asking.prompts("evaluation", 116)
    monkeypatch.setattr("outerloop.rounds.steps.asking.audit_record", full)
    round_ = offered(asking)
    label_next(an_annotator(asking.campaign), asking.campaign)
    evidence.changes = TOO_LONG
    with suppress(OSError):
        advance_through(round_)
    assert GateQueue.objects.get(round_id=round_.id).released_at is None
    assert not RetiredRoot.objects.exists()


def test_a_round_that_has_not_decided_keeps_its_labels(asking, evidence):
    asking.prompts("evaluation", 116)
    rule(asking, "always")
    waiting = offered(asking)
    label_next(an_annotator(asking.campaign), asking.campaign)
    assert released(asking) == 0
    round_cancel(round_=waiting, actor="eve")
    advance_through(waiting)
    judged(asking, evidence)
    assert released(asking) == LABELS
    assert GateQueue.objects.get(round_id=waiting.id).released_at is None


def test_switched_off_nothing_is_released(asking, evidence):
    asking.prompts("evaluation", 116)
    rule(asking, "never")
    judged(asking, evidence)
    assert (released(asking), RetiredRoot.objects.count()) == (0, 0)
    assert not AuditEvent.objects.filter(verb="released gate labels").exists()


@pytest.mark.parametrize(
    ("identical", "spare", "comes"),
    [(192, 43, 0), (192, 44, LABELS), (0, 21, 0), (0, 22, LABELS), (288, 87, 0), (288, 88, LABELS)],
)
def test_by_default_it_takes_as_many_fresh_prompts_as_the_next_gate_samples(
    asking, evidence, identical, spare, comes
):
    """For 20 labels, by what this round found of equal texts: 1.1 * 20 / (1 - 192/384) = 44, and so on. All
    up to the last that was shown are worn."""
    asking.prompts("evaluation", spare + LABELS - 4)  # the line begins with four
    judged(asking, evidence, identical=identical)
    assert annotation.prompt_wear(line_id=asking.line.id).fresh == spare
    assert released(asking) == comes


def test_asked_for_always_it_comes_with_few_prompts_too_and_catches_up(asking, evidence):
    asking.prompts("evaluation", 26)
    first = judged(asking, evidence)
    assert released(asking) == 0
    rule(asking, "always")
    second = judged(asking, evidence)
    assert released(asking) == 2 * LABELS
    assert len(sampled(first)) == 30
    third = offered(asking)
    retired = set(RetiredRoot.objects.values_list("root_hash"))
    assert len(sampled(third)) == 30 - len(retired)
    assert not groups_shared(snapshot_of(third), run_of(third, State.POLICY_EVALUATION))
    asked = run_of(second, State.POLICY_EVALUATION).spec["inputs"]["prompts"]["path"]
    assert input_path(asked).exists()


def test_a_round_that_learns_nothing_from_its_reward_model_has_none_to_release(asking, behave):
    rule(asking, "always")
    behave(accuracy=[0.56, 0.49, 0.63])
    round_ = advance_through(round_start(line=asking.line, trigger="person", forced=True))
    assert (round_.verdict, released(asking)) == ("REJECT", 0)


def test_a_round_that_has_decided_asks_nobody_when_it_is_taken_up_again(asking, evidence):
    asking.prompts("evaluation", 26)
    rule(asking, "never")
    round_ = judged(asking, evidence)
    left = Comparison.objects.filter(round_id=round_.id, judged=0, purpose="gate")
    Round.objects.filter(pk=round_.pk).update(state=State.FAILED)
    step = step_of(round_, State.SAMPLING_PAIRS)
    RoundStep.objects.filter(pk=step.pk).update(finished_at=None)
    round_take_up(round_=round_, actor="eve")
    assert left.exists()
    assert not left.filter(open=True).exists()
