"""A round's judge: asked once about each order, gone on with after a kill, and no round's end."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest
from django.db import IntegrityError, transaction

from annotation.campaigns.services import guidelines_publish
from evaluation.judges import asking
from evaluation.judges.asking import NO_PAIRS, round_judge
from evaluation.judges.models import JudgeAnswer, JudgeRun, LineJudge
from evaluation.judges.wording import NO_RUBRIC
from tests.annotation.factories import a_campaign
from tests.evaluation.judges.conftest import line_with_judge, some_pairs
from tests.support.given import given
from tests.support.people import person_create
from tests.support.scripted_judge import always_a, rambling, said, scripted_judge
from web.models import Notice

pytestmark = pytest.mark.django_db


class Stopped(Exception):
    """What a heartbeat raises in a cancelled round."""


def quiet(answered, total):
    pass


def judged(line, pairs, *, round_id=None, beat=quiet):
    return round_judge(line_id=line, round_id=round_id or uuid.uuid4(), pairs=pairs, beat=beat)


def test_every_pair_is_asked_about_in_both_orders_and_each_answer_is_kept():
    pairs = some_pairs(3)
    with scripted_judge() as judge:
        run = given(judged(line_with_judge(judge.url), pairs))
    assert (run.pairs, run.reason) == (3, "")
    assert run.ended_at is not None
    rows = {(str(a.prompt), a.candidate_first): a for a in run.answers.all()}
    assert rows.keys() == {(p.prompt_id, order) for p in pairs for order in (True, False)}
    assert {order: row.verdict for (_, order), row in rows.items()} == {
        True: "first",
        False: "second",
    }
    one = rows[pairs[0].prompt_id, True]
    assert (one.answer, one.group) == (said("A"), "group-0")
    assert (one.candidate_length, one.incumbent_length) == (18, 14)
    shown = {judge.shown(i) for i in range(6)}
    assert (pairs[0].candidate, pairs[0].incumbent) in shown
    assert (pairs[0].incumbent, pairs[0].candidate) in shown


def test_a_line_without_a_judge_asks_nobody():
    line = line_with_judge("https://judge.invalid/v1")
    LineJudge.objects.filter(line=line).update(active=False)
    assert judged(line, some_pairs(2)) is None
    assert judged(uuid.uuid4(), some_pairs(2)) is None
    assert not JudgeRun.objects.exists()


def test_progress_is_told_and_several_are_asked_at_once(monkeypatch):
    monkeypatch.setattr(asking, "BEAT_SECONDS", 0.0)
    told = []
    with scripted_judge(delay=0.1) as judge:
        judged(
            line_with_judge(judge.url, at_once=3), some_pairs(4), beat=lambda *at: told.append(at)
        )
    assert told[0][1] == 8
    assert told[-1] == (8, 8)
    assert [answered for answered, _ in told] == sorted(answered for answered, _ in told)
    assert judge.most_at_once == 3


def test_what_was_answered_before_a_kill_is_not_asked_again(monkeypatch):
    monkeypatch.setattr(asking, "BEAT_SECONDS", 0.0)
    round_id, pairs = uuid.uuid4(), some_pairs(4)

    def kill(answered, total):
        if answered >= 3:
            raise Stopped

    with scripted_judge() as judge:
        line = line_with_judge(judge.url, at_once=1)
        with pytest.raises(Stopped):
            judged(line, pairs, round_id=round_id, beat=kill)
        kept = JudgeAnswer.objects.count()
        assert 3 <= kept < 8
        assert JudgeRun.objects.get().ended_at is None
        before = len(judge.asked)
        run = given(judged(line, pairs, round_id=round_id))
        assert run.answers.count() == 8
        assert len(judge.asked) - before == 8 - kept
        again = given(judged(line, pairs, round_id=round_id))  # a third worker finds it done
        assert again.ended_at == run.ended_at
        assert len(judge.asked) - before == 8 - kept


def test_settings_and_rubric_are_those_of_the_first_call():
    round_id, pairs = uuid.uuid4(), some_pairs(2)
    with scripted_judge() as judge:
        line = line_with_judge(judge.url, max_pairs=1)
        run = given(judged(line, pairs, round_id=round_id))
        LineJudge.objects.filter(line=line).delete()
        assert given(judged(line, pairs, round_id=round_id)).settings == run.settings
    assert run.pairs == 1
    assert len(judge.asked) == 2
    assert "Be good." in judge.asked[0]["messages"][0]["content"]


def test_without_a_rubric_of_its_own_the_guidelines_are_the_rubric():
    campaign = a_campaign()
    author = person_create("lea", "lead")
    guidelines_publish(campaign=campaign, text="Old.", author=author, change_note="")
    guidelines_publish(campaign=campaign, text="Prefer kindness.", author=author, change_note="x")
    with scripted_judge() as judge:
        LineJudge.objects.create(
            line=campaign.line,
            active=True,
            settings={"url": judge.url, "model": "wise-1"},
            saved_by="set-up",
        )
        run = given(judged(campaign.line, some_pairs(1)))
    assert run.rubric_source == "guidelines"
    assert "Prefer kindness." in judge.asked[0]["messages"][0]["content"]
    assert run.judge_settings.rubric == "Prefer kindness."


def test_a_line_without_rubric_and_guidelines_asks_by_the_plain_criterion():
    campaign = a_campaign()  # which has no guidelines
    with scripted_judge() as judge:
        for line in (campaign.line, uuid.uuid4()):
            told = {"url": judge.url, "model": "wise-1"}
            LineJudge.objects.create(line=line, active=True, settings=told, saved_by="set-up")
            run = given(judged(line, some_pairs(1)))
            assert (run.rubric_source, run.judge_settings.rubric) == ("none", "")
    assert all(NO_RUBRIC in asked["messages"][0]["content"] for asked in judge.asked)


def test_an_answer_without_a_verdict_is_kept_and_not_guessed():
    with scripted_judge(opinion=rambling) as judge:
        run = given(judged(line_with_judge(judge.url), some_pairs(2)))
    assert {row.verdict for row in run.answers.all()} == {""}
    assert len(judge.asked) == 4  # it is no reason to ask again
    assert run.reason == ""


def test_texts_that_no_database_can_hold_end_no_round():
    half = "half of a pair: \ud800"
    pair = replace(some_pairs(1)[0], candidate=f"good {half}")
    body = rb'{"choices": [{"message": {"content": "\ud800 \u0000"}}]}'
    with scripted_judge(body=body) as judge:
        run = given(judged(line_with_judge(judge.url), [pair]))
    assert {row.answer for row in run.answers.all()} == {"? "}
    assert len(judge.asked) == 2


def test_a_single_question_without_an_answer_ends_nothing():
    with scripted_judge(statuses=[400]) as judge:
        run = given(judged(line_with_judge(judge.url, at_once=1), some_pairs(3)))
    assert run.answers.count() == 5
    assert run.reason.startswith("Questions without an answer: 1. The last: The judge answered 400")
    assert not Notice.objects.exists()


def test_an_unreachable_judge_is_left_after_five_questions_and_people_are_told():
    lead = person_create("lea", "lead")
    with scripted_judge() as gone:
        url = gone.url
    run = given(judged(line_with_judge(url, attempts=1, at_once=2), some_pairs(40)))
    assert run.answers.count() == 0
    assert run.reason.startswith("5 questions in a row had no answer.")
    notice = Notice.objects.get(user=lead)
    assert "could not be asked: 5 questions in a row" in notice.text


def test_a_wrong_key_ends_the_asking_at_once():
    with scripted_judge(statuses=[401] * 99) as judge:
        run = given(judged(line_with_judge(judge.url, at_once=1), some_pairs(9)))
    assert len(judge.asked) == 1
    assert run.reason.startswith("The judge answered 401")


def test_the_minutes_of_a_round_bound_it():
    with scripted_judge(delay=1.0) as judge:
        line = line_with_judge(judge.url, at_once=2, minutes=0.05)
        run = given(judged(line, some_pairs(200)))
    assert 2 <= run.answers.count() <= 8
    assert run.reason == "It had not answered everything within 0.05 minutes."


def test_two_equal_policies_leave_nothing_to_ask():
    run = given(judged(line_with_judge("https://judge.invalid/v1"), []))
    assert (run.pairs, run.reason) == (0, NO_PAIRS)


def test_a_defect_of_ours_ends_no_round(monkeypatch):
    def broken(*arguments, **named):
        raise RuntimeError("a defect")

    monkeypatch.setattr(asking, "judge_asked", broken)
    run = given(judged(line_with_judge("https://judge.invalid/v1"), some_pairs(9)))
    assert "Unexpected error: RuntimeError." in run.reason


@pytest.mark.parametrize("act", ["update", "delete"])
def test_the_database_keeps_answers_as_they_came(act):
    with scripted_judge(opinion=always_a) as judge:
        judged(line_with_judge(judge.url), some_pairs(1))
    rows = JudgeAnswer.objects.all()
    acts = {
        "update": lambda: rows.update(verdict="second"),
        "delete": lambda: rows._raw_delete(rows.db),
    }
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        acts[act]()
