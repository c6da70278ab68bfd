"""Answers are kept only where asked, feedback replaces itself, and both can be forgotten."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from annotation import facade as annotation
from annotation.signals.models import ServedCompletion, Signal
from annotation.signals.services import MOST_USERS
from web.models import AuditEvent

pytestmark = pytest.mark.django_db
LINE, VERSION = uuid.UUID(int=1), uuid.UUID(int=2)


@pytest.fixture
def line() -> uuid.UUID:
    annotation.signals_switch(line_id=LINE, on=True, actor="a", name="tides")
    return LINE


def keep(name: str = "c", line: uuid.UUID = LINE) -> None:
    annotation.completion_keep(
        completion_id=name, line_id=line, version_id=VERSION,
        messages=[{"role": "user", "content": "When is high tide?"}], text="At noon.",
    )  # fmt: skip


def give(name: str = "c", line: uuid.UUID = LINE, **fields: Any) -> None:
    annotation.signal_give(line_id=line, signal=annotation.NewSignal(name, **fields))


def test_a_line_that_nobody_switched_on_keeps_nothing() -> None:
    keep()
    assert not ServedCompletion.objects.exists()
    with pytest.raises(annotation.SignalRefused, match="switched off"):
        give(thumb="up")


def test_the_same_user_replaces_what_they_said(line) -> None:
    keep()
    give(user="ann", thumb="down", text="Wrong.")
    give(user="ann", thumb="up")
    give(user="ben", thumb="down")
    rows = Signal.objects.order_by("thumb").values_list("thumb", "text")
    assert list(rows) == [("down", ""), ("up", "")]
    assert not Signal.objects.filter(user__in=["ann", "ben"]).exists()  # hashes alone


def test_answers_of_another_line_are_unknown(line) -> None:
    other = uuid.uuid4()
    annotation.signals_switch(line_id=other, on=True, actor="a", name="other")
    keep(line=other)
    with pytest.raises(annotation.SignalRefused, match="no answer that this server keeps"):
        give(thumb="up")


def test_the_time_for_feedback_ends_and_the_answer_goes(line, settings) -> None:
    keep()
    give(user="ann", text="Which port?")
    row = ServedCompletion.objects.get()
    row.served_at -= timedelta(hours=settings.OUTERLOOP_SIGNALS_HOURS, seconds=1)
    row.save()
    with pytest.raises(annotation.SignalRefused, match="is over"):
        give(thumb="up")
    (written,) = annotation.line_signals(line_id=LINE).written
    assert (written.text, written.answer) == ("Which port?", "")
    assert annotation.signals_expire() == 1
    assert not ServedCompletion.objects.exists()
    assert Signal.objects.count() == 1


def test_one_answer_takes_a_handful_of_users(line) -> None:
    keep()
    for i in range(MOST_USERS):
        give(user=f"u{i}", thumb="down")
    with pytest.raises(annotation.SignalRefused, match="no more are taken"):
        give(user="another", thumb="down")
    give(user="u0", thumb="up")


def test_switching_off_forgets_the_answers(line) -> None:
    keep()
    annotation.signals_switch(line_id=LINE, on=False, actor="a", name="tides")
    assert not ServedCompletion.objects.exists()
    verbs = AuditEvent.objects.order_by("pk").values_list("verb", flat=True)
    assert set(verbs) == {"switched signals on", "switched signals off"}


def test_a_user_is_erased_with_the_answers(line) -> None:
    keep("c")
    keep("d")
    give("c", user="ann", text="I live at 3 Quay Street.")
    give("d", user="ben", thumb="up")
    call_command("erase_signals", "ann")
    assert [row.completion_id for row in Signal.objects.all()] == ["d"]
    assert [row.pk for row in ServedCompletion.objects.all()] == ["d"]
    with pytest.raises(CommandError, match="USER is empty"):
        call_command("erase_signals", " ")


def test_thumbs_without_a_user_are_counted_and_enter_no_share(line) -> None:
    keep()
    give(thumb="down")
    (version,) = annotation.line_signals(line_id=LINE).versions
    assert (version.signals, version.down, version.thumbs) == (1, 1, None)
