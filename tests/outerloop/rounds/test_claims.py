"""Two workers that ask for one step at the very same moment."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import connection, transaction

from outerloop.rounds.claims import step_claim
from outerloop.rounds.models import RoundStep, State
from tests.outerloop.rounds.world import LoopWorld, known


def _until_somebody_waits_for_a_lock() -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
        time.sleep(0.01)
    pytest.fail("the second worker never came to the row")


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_waited_for_the_row_finds_the_step_taken(tmp_path, settings):
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    round_ = LoopWorld(tmp_path, labels=1).round(State.SNAPSHOT)
    RoundStep.objects.create(round=round_, name=round_.state, position=0)
    second: list[RoundStep | None] = []

    def claim() -> None:
        try:
            second.append(step_claim(round_, owner="second"))
        finally:
            connection.close()

    worker = threading.Thread(target=claim)
    with transaction.atomic():  # claimed, and not yet told to the others
        first = known(step_claim(round_, owner="first"))
        worker.start()
        _until_somebody_waits_for_a_lock()
    worker.join(20)
    assert second == [None]
    step = RoundStep.objects.get()
    assert (step.lease_owner, step.fence) == ("first", first.fence)
