"""What the gate is told of a round: its runs, its versions and since when it waits."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.utils import timezone

from outerloop.rounds.models import Round, State
from outerloop.rounds.runs import judged_round, step_run_record
from outerloop.rounds.services import round_start
from tests.outerloop.rounds.world import advance_through, known, run_of
from training.runs.models import Run


def test_a_round_is_judged_by_the_finished_runs_of_its_evaluation_steps(loop, behave, evidence):
    round_ = advance_through(round_start(line=loop.line, trigger="person"))
    judged = judged_round(round_)
    assert known(judged.policy_run).id == run_of(round_, State.POLICY_EVALUATION).id
    assert known(judged.reward_run).id == run_of(round_, State.REWARD_EVALUATION).id
    assert judged.reward_models == (round_.reward_model, round_.held_out_reward_model)
    assert (judged.candidate, judged.incumbent) == (round_.candidate, round_.incumbent)
    assert (judged.number, judged.snapshot) == (1, round_.snapshot)
    Run.objects.filter(pk=known(judged.policy_run).id).update(state="failed")
    assert judged_round(round_).policy_run is None
    assert step_run_record(round_, State.SNAPSHOT) is None  # a step without a program


def test_a_round_waits_since_its_pairs_were_made_and_before_that_since_its_start(loop):
    round_: Round = loop.round(State.AWAITING_LABELS, reward_model=uuid.uuid4())
    judged = judged_round(round_)
    assert judged.started_at == judged.waiting_since == round_.created_at
    assert judged.reward_models == (round_.reward_model,)
    round_.waiting_since = timezone.now() + timedelta(hours=1)
    judged = judged_round(round_)
    assert judged.waiting_since == round_.waiting_since
    assert judged.started_at == round_.created_at
