"""The judge in a round: asked after the policy evaluation, gone on with after a kill, and no round's end."""

from __future__ import annotations

import pytest

from evaluation.contracts import JudgeSettings
from evaluation.judges import asking, client
from evaluation.judges.models import JudgeAnswer, JudgeRun, LineJudge
from outerloop.rounds.claims import step_progress
from outerloop.rounds.models import State
from outerloop.rounds.services import round_advance, round_cancel, round_start
from outerloop.rounds.steps import judging
from tests.outerloop.rounds.world import advance_through, step_of
from tests.support.people import person_create
from tests.support.scripted_judge import said, scripted_judge
from web.models import Notice


def candidate_first(first: str, second: str) -> str:
    """The candidate wins, wherever it stands."""
    return said("A" if "candidate" in first else "B")


@pytest.fixture(autouse=True)
def inside(settings, monkeypatch):
    settings.OUTERLOOP_OUTGOING_ALLOW = ["127.0.0.1"]
    settings.OUTERLOOP_OUTGOING_HTTP = True
    monkeypatch.setattr(client, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(asking, "BEAT_SECONDS", 0.0)


def judge_set(line, url):
    settings = JudgeSettings(url=url, model="wise-1", attempts=1, at_once=1, seconds=5.0)
    LineJudge.objects.create(
        line=line.id, active=True, settings=settings.to_json(), saved_by="set-up"
    )


@pytest.fixture
def round_(loop, behave, evidence):
    """A round whose policy is about to be evaluated."""
    return advance_through(
        round_start(line=loop.line, trigger="person"), upto=State.POLICY_EVALUATION
    )


def test_the_pairs_that_people_are_shown_are_asked_about_and_shown_as_progress(loop, round_):
    with scripted_judge(opinion=candidate_first) as judge:
        judge_set(loop.line, judge.url)
        assert round_advance(round_id=round_.id) == State.AWAITING_LABELS
    step = step_of(round_, State.POLICY_EVALUATION)
    assert (step.phase, step.progress, step.total) == ("asking the LLM judge", 8, 8)
    assert step.note.endswith("The LLM judge answered 8 of 8 questions.")
    assert len(judge.asked) == 8
    assert JudgeRun.objects.get(round=round_.id).ended_at is not None
    rows = JudgeAnswer.objects.all()
    assert {row.verdict for row in rows if row.candidate_first} == {"first"}
    assert {row.verdict for row in rows if not row.candidate_first} == {"second"}


def test_a_line_without_a_judge_evaluates_as_before(round_):
    assert round_advance(round_id=round_.id) == State.AWAITING_LABELS
    assert "judge" not in step_of(round_, State.POLICY_EVALUATION).note
    assert not JudgeRun.objects.exists()


def test_equal_texts_are_asked_about_no_judge(loop, behave, evidence):
    behave(same=[0, 2])
    round_ = advance_through(
        round_start(line=loop.line, trigger="person"), upto=State.POLICY_EVALUATION
    )
    with scripted_judge(opinion=candidate_first) as judge:
        judge_set(loop.line, judge.url)
        advance_through(round_, upto=State.AWAITING_LABELS)
    assert len(judge.asked) == 4


def test_a_worker_that_dies_loses_no_answer(loop, round_, monkeypatch):
    """The heartbeat of the first finds its step taken over; the second asks only what is left."""
    with scripted_judge(opinion=candidate_first) as judge:
        judge_set(loop.line, judge.url)
        with monkeypatch.context() as patch:
            patch.setattr(judging, "step_progress", _dies_at(3))
            with pytest.raises(KeyboardInterrupt):
                round_advance(round_id=round_.id)
        kept = JudgeAnswer.objects.count()
        assert 3 <= kept < 8
        before = len(judge.asked)
        step = step_of(round_, State.POLICY_EVALUATION)
        type(step).objects.filter(pk=step.pk).update(lease_expires_at=None, lease_owner="")
        assert round_advance(round_id=round_.id) == State.AWAITING_LABELS
        assert len(judge.asked) - before == 8 - kept
    assert JudgeAnswer.objects.count() == 8


def _dies_at(answers):
    def progress(step, *, phase, progress, total, note):
        if progress >= answers:
            raise KeyboardInterrupt

    return progress


def test_a_cancelled_round_ends_its_asking(loop, round_, monkeypatch):
    def cancelled(step, *, progress, **told):
        step_progress(step, progress=progress, **told)
        if progress >= 2:
            round_cancel(round_=round_, actor="set-up")

    monkeypatch.setattr(judging, "step_progress", cancelled)
    with scripted_judge(opinion=candidate_first) as judge:
        judge_set(loop.line, judge.url)
        round_advance(round_id=round_.id)
        assert len(judge.asked) < 8
    round_.refresh_from_db()
    assert round_.state == State.CANCELLED
    assert JudgeRun.objects.get().ended_at is None


@pytest.mark.parametrize("statuses", [(401,), (500,) * 99, None])
def test_a_judge_that_cannot_be_asked_ends_no_round_and_people_are_told(loop, round_, statuses):
    lead = person_create("lea", "lead", line=loop.line.id)
    person_create("ann", "annotator", line=loop.line.id)
    with scripted_judge(statuses=list(statuses or ())) as judge:
        url = judge.url if statuses else "http://127.0.0.1:1024/v1"
        judge_set(loop.line, url)
        assert round_advance(round_id=round_.id) == State.AWAITING_LABELS
    run = JudgeRun.objects.get(round=round_.id)
    assert run.reason
    assert run.reason[:40] in step_of(round_, State.POLICY_EVALUATION).note
    notices = Notice.objects.filter(topic=f"judge {round_.id}")
    assert [notice.user for notice in notices] == [lead]
    assert advance_through(round_).state == State.AWAITING_APPROVAL
