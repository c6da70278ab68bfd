"""A whole round whose every step is worked on by a machine of its own, with an empty folder and a bucket."""

from __future__ import annotations

import pytest

from evaluation import facade as evaluation
from outerloop.rounds.models import State
from outerloop.rounds.services import round_advance, round_start
from tests.outerloop.rounds.world import LoopWorld, known, step_of
from tests.support.people import person_create
from tests.support.storage_fixtures import *  # noqa: F403
from training import facade as training
from training.digests import path_sha256

pytestmark = pytest.mark.django_db


@pytest.mark.slow
def test_no_step_needs_what_another_machine_has_on_its_disk(
    prefix, machine_is, behave, evidence, tmp_path
):
    machine_is("site")
    loop = LoopWorld(tmp_path)
    round_ = round_start(line=loop.line, trigger="person")
    machines = []
    for number in range(20):
        machines.append(machine_is(f"worker-{number}"))
        if round_advance(round_id=round_.id) is None:
            round_.refresh_from_db()
            if round_.state != State.AWAITING_APPROVAL:
                break
            evaluation.approval_record(
                round_id=round_.id, actor=person_create("lea", "lead"), approve=True, reason=""
            )
        round_.refresh_from_db()
    assert round_.state == State.CLOSED, step_of(round_).note
    assert loop.deployed() == round_.candidate
    server = machine_is("policy server")
    held = training.model_version_hold(known(round_.candidate))
    version = training.model_version_get(known(round_.candidate))
    assert path_sha256(held.path) == version.sha256
    assert held.path.is_relative_to(server)
    held.release()
    made = [[path.name for path in (machine / "runs").glob("*/*policy*")] for machine in machines]
    assert sum(map(bool, made)) >= 2  # who trained it, and those who fetched it
