"""What users said as examples: an edit, a second try and a thumb, each once."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from annotation import facade as annotation
from annotation.signals import examples
from annotation.signals.models import ServedCompletion, SignalSwitch
from tests.annotation.signals.conversations import answered, asked
from web.models import AuditEvent

LINE, VERSION = uuid.UUID(int=1), uuid.UUID(int=2)
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def listened() -> None:
    annotation.signals_switch(line_id=LINE, on=True, actor="a", name="tides")


def said(text: str, user: str = "ann", question: str = "When?", **signal: object) -> str:
    name = answered(LINE, VERSION, asked(question), text)
    given = annotation.NewSignal(name, user=user, **signal)  # type: ignore[arg-type]
    annotation.signal_give(line_id=LINE, signal=given)
    return name


def found() -> list[tuple[str, str | None, bool]]:
    return [(each.text, each.other, each.up) for each in annotation.signal_examples(LINE)]


def test_an_edit_is_better_than_what_it_replaced_and_its_thumb_counts_no_second_time() -> None:
    said("At noon.", edit="At noon; in summer at one.", thumb="down")
    assert found() == [("At noon; in summer at one.", "At noon.", True)]


def test_an_edit_that_changes_nothing_is_none() -> None:
    said("At noon.", edit=" At noon. ")
    assert found() == []
    said("At one.", edit="At one.", thumb="down")
    assert found() == [("At one.", None, False)]


def test_thumbs_stand_for_themselves() -> None:
    said("At noon.", thumb="down")
    said("At one.", user="bo", thumb="up")
    assert found() == [("At one.", None, True), ("At noon.", None, False)]


def test_the_second_try_with_a_thumb_up_is_better_than_the_last_one_asked_again() -> None:
    said("Never.", regenerated=True)
    said("At night.", regenerated=True)
    said("At noon.", thumb="up")
    said("By day.", regenerated=True)  # later
    assert found() == [("At noon.", "At night.", True)]


def test_a_second_try_of_another_user_another_question_or_with_a_thumb_down_is_no_pair() -> None:
    said("Never.", regenerated=True)
    said("At noon.", user="bo", thumb="up")
    said("At one.", question="Where?", thumb="up")
    said("At two.", thumb="down")
    assert {each[1] for each in found()} == {None}
    assert len(found()) == 3


def test_what_came_without_a_user_or_is_no_longer_kept_is_left_out(settings: object) -> None:
    said("At noon.", user="", thumb="up")
    old = said("At one.", thumb="up")
    hours = settings.OUTERLOOP_SIGNALS_HOURS + 1  # type: ignore[attr-defined]
    gone = timezone.now() - timedelta(hours=hours)
    ServedCompletion.objects.filter(pk=old).update(served_at=gone)
    assert found() == []


def test_who_speaks_much_crowds_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    said("At noon.", user="bo", thumb="up")
    for number in range(examples.MOST_OF_USER + 3):
        said(f"At {number}.", thumb="down")
    assert len(found()) == 1 + examples.MOST_OF_USER
    monkeypatch.setattr(examples, "MOST_EXAMPLES", 2)
    assert {each[0] for each in found()} == {"At noon.", "At 12."}


def test_it_is_off_until_it_is_switched_on_and_goes_off_with_the_signals() -> None:
    act: dict[str, Any] = {"line_id": LINE, "actor": "a", "name": "tides"}
    assert not annotation.signal_opinion_on(LINE)
    for _ in range(2):
        annotation.signal_opinion_switch(**act, on=True)
    assert annotation.signal_opinion_on(LINE)
    assert AuditEvent.objects.filter(verb="switched second opinion on").count() == 1
    annotation.signals_switch(**act, on=False)
    assert not annotation.signal_opinion_on(LINE)
    annotation.signal_opinion_switch(**act, on=True)  # of a line that keeps no signals: nothing
    assert not SignalSwitch.objects.exists()
