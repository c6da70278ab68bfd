"""Signals and the rest of the house: a backup holds them, retention and the erasing of a person leave them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from annotation import facade as annotation
from annotation.signals.models import ServedCompletion, Signal, SignalVote
from annotation.signals.services import user_hash
from outerloop.operations.backup.creation import backup_make
from outerloop.operations.backup.restoration import backup_restore
from outerloop.operations.retention import Rule, retention_carry_out
from outerloop.rounds.tasks import sweep
from tests.annotation.signals.conversations import asked, falling_on, thumbs_given
from tests.outerloop.operations.databases import digests_now, empty_database
from tests.outerloop.rounds.world import LoopWorld
from tests.support.people import person_create

pytestmark = pytest.mark.django_db(transaction=True)
TABLES = (
    "signals_servedcompletion",
    "signals_signal",
    "signals_signalswitch",
    "signals_signalvote",
)


@pytest.fixture
def world(store, tmp_path):
    """Ann and Ben said something of answers that are kept, and have a vote each."""
    loop = LoopWorld(tmp_path)
    annotation.signals_switch(line_id=loop.line.id, on=True, actor="a", name="x")
    thumbs_given(loop.line.id, loop.base.id, asked("Why?"), ["ann", "ben"])
    SignalVote.objects.bulk_create(
        SignalVote(
            period_id=loop.base.id, user=user_hash(name), down=True, counted_at=timezone.now()
        )
        for name in ("ann", "ben")
    )
    return loop


def counts() -> tuple[int, int, int]:
    return ServedCompletion.objects.count(), Signal.objects.count(), SignalVote.objects.count()


@pytest.mark.slow
def test_a_backup_brings_everything_back_and_the_sweeper_takes_what_is_over(
    world, settings, tmp_path
):
    ServedCompletion.objects.filter(pk=Signal.objects.get(user=user_hash("ben")).completion_id).update(
        served_at=timezone.now() - timedelta(hours=settings.OUTERLOOP_SIGNALS_HOURS + 1)
    )  # fmt: skip
    before = {name: digests_now()[name] for name in TABLES}
    assert [rows for rows, _ in before.values()] == [2, 2, 1, 2]
    backup_make(target=tmp_path / "backup")
    call_command("erase_signals", "ann")
    assert counts() == (1, 1, 1)
    settings.ARTIFACT_ROOT = tmp_path / "elsewhere"
    with empty_database():
        backup_restore(path=tmp_path / "backup")
        assert {name: digests_now()[name] for name in TABLES} == before
        sweep()
        assert counts() == (1, 2, 2)
        call_command("erase_signals", "ann")  # as the page says: once more after a restore
        assert counts() == (0, 1, 1)


def test_retention_deletes_no_signals(world):
    retention_carry_out(rule=Rule(rounds=0, days=1), actor="command")
    assert counts() == (2, 2, 2)


def test_erasing_a_person_of_the_site_leaves_users_of_the_same_name(world):
    person_create("ann", "annotator", line=world.line.id)
    person_create("lea", "lead")
    call_command("erase_person", "ann", "--yes")
    assert counts() == (2, 2, 2)


def test_a_user_s_signals_do_not_return_by_the_prompts_that_came_of_them(world):
    """What the page says of added prompts: they stay when their users are erased."""
    line, version = world.line.id, world.base.id
    thumbs_given(line, version, asked("Thanks"), [f"calm{i}" for i in range(30)], "up")
    text = falling_on("train")
    users = [f"u{i}" for i in range(8)]
    thumbs_given(line, version, asked(text), users)
    (found,) = annotation.troubled_prompts(line_id=line)
    annotation.troubled_prompts_add(line_id=line, conversations=[found.conversation], actor="lead")
    for user in users:
        call_command("erase_signals", user)
    assert annotation.troubled_prompts(line_id=line) == []
    texts = [
        row.messages[-1]["content"]
        for row in annotation.prompts_stream(line_id=line, splits=("train",))
    ]
    assert texts.count(text) == 1
