"""What the gate reads of a round's judge: the pairs that people are shown, and their labels beside its verdicts."""

from __future__ import annotations

import json

import pytest

from annotation import facade as annotation
from annotation.contracts import GateQueueStatus
from evaluation.contracts import GatePolicySettings, JudgeSettings
from evaluation.gates import measuring
from evaluation.gates.judged_pairs import judge_ask, pairs_differing
from evaluation.judges.models import LineJudge
from evaluation.policy import gate_decide
from tests.evaluation.gates.test_measuring import snapshot_of
from tests.evaluation.gates.world import a_test, labels_from, run_left
from tests.evaluation.policy.evidence import POLICY
from tests.support.given import given
from tests.support.scripted_judge import by_mark, scripted_judge


@pytest.fixture(autouse=True)
def inside(settings):
    settings.OUTERLOOP_OUTGOING_ALLOW = ["127.0.0.1"]
    settings.OUTERLOOP_OUTGOING_HTTP = True


def row(label, ours, theirs, sample=0):
    return {
        "prompt_id": str(label.prompt_id),
        "group": label.group,
        "sample": sample,
        "messages": [{"role": "user", "content": "Why?"}],
        "candidate": {"text": ours, "scores": {"train": 1.0}},
        "incumbent": {"text": theirs, "scores": {"train": 0.0}},
    }


def run_of(artifacts, rows):
    lines = "".join(json.dumps(each) + "\n" for each in rows)
    return run_left(artifacts, measurements=POLICY.to_json(), samples=lines)


def labels_of(world, outcomes):
    sides = {"candidate": world.candidate.id, "incumbent": world.incumbent.id}
    return labels_from(outcomes, **sides, raters=9)


def test_one_pair_a_prompt_is_asked_about_and_none_of_equal_texts(world, artifacts):
    first, second = labels_of(world, [1.0, 0.0])
    rows = [row(first, "a", "b"), row(first, "c", "d", sample=1), row(second, "x", "x")]
    (pair,) = pairs_differing(run_of(artifacts, rows))
    assert (pair.prompt_id, pair.group) == (str(first.prompt_id), first.group)
    assert (pair.candidate, pair.incumbent) == ("a", "b")


def test_the_gate_reads_the_judge_beside_the_labels_of_the_same_prompts(
    world, artifacts, monkeypatch
):
    """100 prompts, 60 of them labelled; the judge prefers the candidate on 75, people on 30 of the 60."""
    labels = labels_of(world, [1.0, 0.0] * 50)
    texts = [("good", "bad!") if i % 4 else ("bad!", "good") for i in range(100)]
    run = run_of(artifacts, [row(label, *pair) for label, pair in zip(labels, texts, strict=True)])
    snapshot = snapshot_of(world.line, artifacts, "learned from")
    judged = world.judged(policy_run=run, snapshot=snapshot)
    with scripted_judge(opinion=by_mark) as judge:
        told = JudgeSettings(url=judge.url, model="wise-1", at_once=8)
        LineJudge.objects.create(line=world.line, active=True, settings=told.to_json())
        note = judge_ask(judged, beat=lambda answered, total: None)
    assert note == " The LLM judge answered 200 of 200 questions."
    status = GateQueueStatus(open=40, leased=0, done=60)
    monkeypatch.setattr(annotation, "gate_labels", lambda **_: labels[:60])
    monkeypatch.setattr(annotation, "gate_queue_status", lambda **_: status)
    measured = measuring.round_measure(judged, a_test(judged, GatePolicySettings()))
    found = given(measured.judge)
    assert (found.pairs, found.labels, found.annotators) == (100, 60, 9)
    assert given(found.win_rate).estimate == 0.75
    assert given(found.people).estimate == 0.5
    # of four labels in turn people say 1, 0, 1, 0 and the judge 0, 1, 1, 1: 0.5 - 0.75 on average
    assert given(found.corrected).estimate == pytest.approx(0.75 - 0.25)
    assert given(found.agreement).estimate == pytest.approx(0.25)
    check = given(gate_decide(measured, GatePolicySettings()).check("G15"))
    assert (check.required, check.status) == (False, "UNRESOLVED")
    monkeypatch.setattr(annotation, "gate_labels", lambda **_: labels[:12])
    few = measuring.round_measure(judged, a_test(judged, GatePolicySettings()))
    silent = given(gate_decide(few, GatePolicySettings()).check("G15"))
    assert silent.measured.endswith("not calibrated")
    assert not silent.in_force


def test_a_line_without_a_judge_reads_no_samples(world):
    assert judge_ask(world.judged(), beat=lambda answered, total: None) == ""
