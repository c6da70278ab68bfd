"""From kept answers and people's labels to figures: worked out by hand, and the same each time."""

from __future__ import annotations

import uuid

import pytest

from evaluation.contracts import LEAST_LABELS, Interval
from evaluation.judges.asking import round_judge
from evaluation.judges.measuring import PersonSaid, judge_measured
from evaluation.judges.models import JudgeRun
from tests.evaluation.judges.conftest import line_with_judge, some_pairs
from tests.support.given import given
from tests.support.scripted_judge import always_a, by_mark, longer, rambling, scripted_judge

pytestmark = pytest.mark.django_db

CEILING = Interval(0.8, 0.75, 0.85, 0.95, 60)


def asked(pairs, **script):
    """A round whose scripted judge has answered; its id."""
    round_id = uuid.uuid4()
    with scripted_judge(**script) as judge:
        round_judge(
            line_id=line_with_judge(judge.url, at_once=8, attempts=1),
            round_id=round_id,
            pairs=pairs,
            beat=lambda answered, total: None,
        )
    return round_id


def people_said(pairs, values, raters=7):
    return {
        pair.prompt_id: PersonSaid(f"rater-{i % raters}", value)
        for i, (pair, value) in enumerate(zip(pairs, values, strict=False))
    }


def measured(round_id, people=None):
    return given(judge_measured(round_id, people or {}, ceiling=CEILING))


def test_a_good_judge_beside_people():
    """80 pairs, the candidate good on 60: people say so on the first 60, but for six of them."""
    pairs = some_pairs(80, good=0.75)
    round_id = asked(pairs, opinion=by_mark)
    values = [0.0] * 6 + [1.0] * 54
    found = measured(round_id, people_said(pairs, values))
    assert (found.asked, found.pairs, found.unreadable, found.unanswered) == (80, 80, 0, 0)
    assert (found.model, found.temperature, found.rubric_source) == ("wise-1", 0.0, "setting")
    assert found.host.startswith("127.0.0.1:")
    assert given(found.win_rate).estimate == 0.75
    assert given(found.inconsistent).estimate == 0.0
    assert given(found.first).estimate == 0.5  # each side comes first once
    assert given(found.longer).estimate == 1.0  # the good text is the longer here
    assert (found.labels, found.decided, found.annotators) == (60, 60, 7)
    assert given(found.agreement).estimate == pytest.approx(54 / 60)
    assert given(found.people).estimate == pytest.approx(0.9)
    assert given(found.corrected).estimate == pytest.approx(0.75 - 6 / 60)
    assert given(found.longer_by_people).estimate == pytest.approx(0.9)
    assert given(found.longer_excess).estimate == pytest.approx(0.1)
    assert found.ceiling == CEILING


def test_a_judge_who_always_says_the_first_is_all_ties():
    found = measured(asked(some_pairs(12), opinion=always_a))
    assert given(found.win_rate).estimate == 0.5
    assert given(found.inconsistent).estimate == 1.0
    assert given(found.first).estimate == 1.0
    assert found.longer is None


def test_a_judge_who_prefers_the_longer_is_shown_by_people_who_do_not():
    """The good text is the longer; people prefer it in half of 60 pairs, the judge always."""
    pairs = some_pairs(60)
    found = measured(asked(pairs, opinion=longer), people_said(pairs, [1.0, 0.0] * 30))
    assert given(found.longer).estimate == 1.0
    assert given(found.longer_by_people).estimate == 0.5
    excess = given(found.longer_excess)
    assert excess.estimate == pytest.approx(0.5)
    assert excess.low > 0.3
    assert given(found.agreement).estimate == 0.5
    assert given(found.corrected).estimate == pytest.approx(0.5)


def test_answers_without_a_verdict_are_counted_and_their_pairs_left_out():
    found = measured(asked(some_pairs(5), opinion=rambling))
    assert (found.pairs, found.unreadable, found.unanswered) == (0, 10, 0)
    assert found.win_rate is None


def test_questions_without_an_answer_are_counted_and_their_pairs_left_out():
    found = measured(asked(some_pairs(6), statuses=[400]))
    assert (found.pairs, found.unanswered) == (5, 1)
    assert "400" in found.reason
    assert given(found.win_rate).n == 5


def test_too_few_labels_of_people_say_nothing_of_agreement():
    pairs = some_pairs(LEAST_LABELS, good=0.5)
    round_id = asked(pairs)
    few = people_said(pairs, [1.0] * (LEAST_LABELS - 1))
    found = measured(round_id, few)
    assert (found.labels, found.annotators) == (LEAST_LABELS - 1, 7)
    assert found.agreement is found.corrected is found.people is found.longer_excess is None
    assert given(measured(round_id, people_said(pairs, [1.0] * LEAST_LABELS)).corrected)
    alone = people_said(pairs, [1.0] * LEAST_LABELS, raters=1)
    assert measured(round_id, alone).corrected is None


def test_labels_on_other_prompts_do_not_count():
    elsewhere = people_said(some_pairs(60), [1.0] * 60)
    assert measured(asked(some_pairs(60)), elsewhere).labels == 0


def test_the_same_answers_give_the_same_figures_and_nobody_is_asked_again():
    """The judge is gone when they are worked out a second time."""
    pairs = some_pairs(60, good=0.6)
    people = people_said(pairs, [1.0, 0.0, 0.5] * 20)
    round_id = asked(pairs)
    first, again = measured(round_id, people), measured(round_id, dict(reversed(people.items())))
    assert first.to_json() == again.to_json()
    assert len(first.answers_sha256) == len(first.rubric_sha256) == 64
    assert first.answers_sha256 != measured(asked(pairs, opinion=always_a)).answers_sha256


def test_a_round_without_a_judge_has_no_figures(settings):
    assert judge_measured(uuid.uuid4(), {}, ceiling=None) is None
    round_id = asked(some_pairs(2))
    settings.OUTERLOOP_OUTGOING_HTTP = False  # what may be asked now changes no figure of before
    assert JudgeRun.objects.filter(round=round_id).exists()
    assert measured(round_id).pairs == 2
