"""A message is a hint: delivered twice, late or never, the round ends as it would have."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from annotation.comparisons.models import Comparison
from evaluation.gates.models import Decision, Deployment
from outerloop.rounds import tasks
from outerloop.rounds.models import RoundStep, State
from outerloop.rounds.services import round_start
from training.runs.models import ModelVersion, Run, RunState


@pytest.fixture
def round_(loop, behave, evidence):
    behave(updates=1)
    loop.line.deploys_by_itself = True
    loop.line.save()
    return round_start(line=loop.line, trigger="person")


def made(round_):
    """What a round leaves: every run once, one decision, one deployment, its pairs, no step open."""
    round_.refresh_from_db()
    runs = Run.objects.filter(round=round_.id)
    return {
        "state": round_.state,
        "runs": sorted(runs.values_list("kind", "state", "fence")),
        "versions": ModelVersion.objects.filter(run__in=runs).count(),
        "decisions": Decision.objects.filter(round=round_.id).count(),
        "deployments": Deployment.objects.filter(round=round_.id).count(),
        "pairs": Comparison.objects.filter(round_id=round_.id).count(),
        "open steps": RoundStep.objects.filter(round=round_, finished_at=None).count(),
        "held steps": RoundStep.objects.filter(round=round_).exclude(lease_expires_at=None).count(),
    }  # fmt: skip


KINDS = ("evaluate_policy", "evaluate_reward_model", "ppo", "reward_model", "sample_pairs")
WHOLE = {
    "state": State.CLOSED,
    "runs": [(kind, RunState.SUCCEEDED, 1) for kind in KINDS],
    "versions": 3,
    "decisions": 1,
    "deployments": 1,
    "pairs": 3,
    "open steps": 0,
    "held steps": 0,
}


def deliver(sent, times=1):
    """Carry out messages in the order they were sent, each so many times; returns all of them."""
    delivered = []
    while sent:
        message = sent.pop(0)
        delivered.append(message)
        for _ in range(times):
            tasks.advance(message[0])
    return delivered


def test_messages_delivered_once_twice_and_late(round_, sent):
    tasks.advance_enqueue(round_.id, round_.state)
    delivered = deliver(sent, times=2)
    assert made(round_) == WHOLE
    for round_id, _ in delivered:  # once more, long after
        tasks.advance(round_id)
    assert made(round_) == WHOLE
    assert sent == []


def test_messages_that_never_arrive_are_made_good_by_the_sweeper(round_, sent):
    for _ in range(20):
        sent.clear()  # what the step before had sent is lost
        tasks.sweep()
        if not sent:
            break
        tasks.advance(sent[0][0])
    assert made(round_) == WHOLE


@pytest.mark.django_db(transaction=True)
def test_the_same_message_at_two_workers_at_once_starts_one_program(round_, sent, behave):
    behave(updates=3, seconds=0.05)
    tasks.advance(str(round_.id))  # the snapshot
    begin = threading.Barrier(2)

    def work():
        begin.wait()
        try:
            tasks.advance(str(round_.id))
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    run = Run.objects.get(round=round_.id, kind="reward_model")
    assert (run.state, run.fence) == (RunState.SUCCEEDED, 1)
    assert RoundStep.objects.get(round=round_, name=State.REWARD_TRAINING).fence == 1
