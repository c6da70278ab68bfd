"""When a round may start; every attempt leaves a row."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from annotation.contracts import SnapshotRecipe
from outerloop.rounds.dry_run import start_check
from outerloop.rounds.locking import RoundRefused
from outerloop.rounds.models import PolicyLine, Round, StartAttempt, State
from outerloop.rounds.plan import plan_override
from outerloop.rounds.selectors import fresh_labels, line_plan
from outerloop.rounds.services import (
    first_pairs_order,
    line_plan_save,
    round_start,
)
from tests.outerloop.rounds.world import LoopWorld, bare_line
from tests.support.people import person_create
from training import facade as training
from web.models import AuditEvent


def attempt_reasons(line):
    return list(line.start_attempts.order_by("at").values_list("reason", flat=True))


def test_a_start_freezes_plan_incumbent_and_who_asked(loop):
    engineer = person_create("eve", "engineer")
    round_ = round_start(line=loop.line, trigger="person", actor=engineer, title="first")
    round_.refresh_from_db()
    assert (round_.number, round_.state, round_.title) == (1, State.SNAPSHOT, "first")
    assert (round_.incumbent, round_.plan, round_.fresh_labels) == (loop.base.id, loop.line.plan, 3)
    assert round_.started_by == engineer
    (attempt,) = loop.line.start_attempts.all()
    assert (attempt.round, attempt.reason, attempt.trigger) == (round_, "", "person")
    event = AuditEvent.objects.get(verb="started round")
    assert (event.actor, event.target) == (str(engineer.pk), f"{loop.line.slug}/1")


def test_a_later_change_of_the_line_s_plan_does_not_reach_a_started_round(loop):
    round_ = round_start(line=loop.line, trigger="person")
    line_plan_save(
        line=loop.line, plan=plan_override(line_plan(loop.line), {"seed": 99}), actor="eve"
    )
    round_.refresh_from_db()
    assert round_.plan["seed"] == 7
    assert loop.line.plan["seed"] == 99


def test_changes_hold_for_one_round_alone(loop):
    round_ = round_start(line=loop.line, trigger="demo", changes={"policy": {"updates": 1}})
    assert round_.plan["policy"]["updates"] == 1
    assert PolicyLine.objects.get(pk=loop.line.pk).plan == loop.line.plan


def test_too_few_new_labels_refuse_and_leave_a_row(loop):
    loop.line.minimum_fresh_labels = 4
    with pytest.raises(RoundRefused, match="3 new labels since the last round; 4 are needed"):
        round_start(line=loop.line, trigger="schedule")
    assert not loop.line.rounds.exists()
    assert "4 are needed" in attempt_reasons(loop.line)[0]
    assert round_start(line=loop.line, trigger="person", forced=True).number == 1


def test_labels_are_fresh_until_a_round_learned_from_them(loop):
    done = loop.round(State.CLOSED)
    assert fresh_labels(loop.line) == 3  # that round took no snapshot
    taken = training.snapshot_take(line_id=loop.line.id, recipe=SnapshotRecipe())
    Round.objects.filter(pk=done.pk).update(snapshot=taken.id)
    assert fresh_labels(loop.line) == 0
    loop.label(2)
    assert fresh_labels(loop.line) == 2


def test_an_active_round_refuses_the_next(loop):
    round_start(line=loop.line, trigger="person")
    with pytest.raises(RoundRefused, match=r"Round 1 is still active \(taking the snapshot\)"):
        round_start(line=loop.line, trigger="person", forced=True)
    assert attempt_reasons(loop.line) == ["", "Round 1 is still active (taking the snapshot)."]


def test_a_line_without_a_base_policy_refuses(db):
    line = bare_line()
    with pytest.raises(RoundRefused, match="no base policy; set one first"):
        round_start(line=line, trigger="person", forced=True)
    with pytest.raises(RoundRefused, match="no base policy"):
        first_pairs_order(line=line, trigger="demo")


def test_a_plan_that_is_not_valid_refuses_and_names_the_field(loop):
    loop.line.plan = {**loop.line.plan, "gate_pears": 3}
    with pytest.raises(RoundRefused, match="gate_pears"):
        round_start(line=loop.line, trigger="person")


def test_a_check_says_everything_that_stands_in_the_way(loop):
    loop.line.minimum_fresh_labels = 9
    loop.round(State.AWAITING_LABELS)
    check = start_check(line=loop.line)
    assert not check.ready
    assert [reason.split()[0] for reason in check.reasons] == ["Round", "3"]
    assert dict(check.facts)["Evaluation prompts"] == "4, of which 4 are fresh"
    assert not StartAttempt.objects.exists()


def test_round_0_only_samples_and_comes_before_every_other(loop):
    first = first_pairs_order(line=loop.line, trigger="demo")
    assert (first.number, first.state) == (0, State.SAMPLING_PAIRS)
    with pytest.raises(RoundRefused, match="has rounds already"):
        first_pairs_order(line=loop.line, trigger="demo")
    Round.objects.update(state=State.CLOSED)
    assert round_start(line=loop.line, trigger="person").number == 1


def test_the_database_itself_allows_one_active_round_a_line(loop):
    loop.round(State.FAILED)
    loop.round(State.DECIDED)
    with pytest.raises(IntegrityError, match="round_one_active_per_line"), transaction.atomic():
        loop.round(State.SNAPSHOT)


@pytest.mark.django_db(transaction=True)
def test_of_two_starts_at_once_one_round_comes(tmp_path):
    line = LoopWorld(tmp_path).line
    begin = threading.Barrier(4)
    outcomes: list[Any] = []

    def start():
        try:
            begin.wait()
            outcomes.append(round_start(line=line, trigger="person").number)
        except RoundRefused as refusal:
            outcomes.append(str(refusal))
        finally:
            connection.close()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert outcomes.count(1) == 1
    assert len(outcomes) == 4
    assert line.rounds.count() == 1
    assert line.start_attempts.count() == 4
    assert line.start_attempts.filter(round__isnull=False).count() == 1
