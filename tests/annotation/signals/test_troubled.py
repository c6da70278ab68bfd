"""Which prompts are listed for trouble, and which of them come to the line's own."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.db.models import F

from annotation import facade as annotation
from annotation.comparisons.digests import root_hash
from annotation.comparisons.models import Prompt, RootSplit
from annotation.comparisons.services import prompts_ensure
from annotation.contracts import AnnotationError, NewPrompt
from annotation.signals.models import ServedCompletion
from annotation.signals.troubled import PromptsAdded
from tests.annotation.signals.conversations import asked, falling_on, names, thumbs_given
from web.models import AuditEvent

pytestmark = pytest.mark.django_db
LINE, VERSION = uuid.UUID(int=1), uuid.UUID(int=2)


@pytest.fixture
def line() -> uuid.UUID:
    """It keeps signals, and most of its users are content."""
    annotation.signals_switch(line_id=LINE, on=True, actor="a", name="tides")
    thumbs_given(LINE, VERSION, asked("Thank you"), names("calm", 30), "up")
    return LINE


def trouble(text: str, users: int = 8, prefix: str = "u") -> None:
    thumbs_given(LINE, VERSION, asked(text), names(prefix, users))


def listed() -> list[annotation.TroubledPrompt]:
    return annotation.troubled_prompts(line_id=LINE)


def add(*conversations: str):
    return annotation.troubled_prompts_add(
        line_id=LINE, conversations=conversations, actor="somebody"
    )


def test_it_is_listed_with_its_share_and_its_place(line) -> None:
    text = falling_on("train")
    trouble(text)
    (found,) = listed()
    assert found.messages == tuple(asked(text))
    assert (found.thumbs.share, found.thumbs.users) == (1.0, 8)
    assert (found.split, found.place) == ("train", "new")


def test_the_same_question_typed_again_is_one_prompt(line) -> None:
    thumbs_given(LINE, VERSION, asked("Why  ME?"), names("a", 3))
    thumbs_given(LINE, VERSION, asked("why me?"), names("b", 3))
    (found,) = listed()
    assert found.thumbs.users == 6


def test_other_lines_and_thumbs_without_users_list_nothing(line) -> None:
    other = uuid.uuid4()
    annotation.signals_switch(line_id=other, on=True, actor="a", name="other")
    thumbs_given(other, VERSION, asked("Why?"), names("u", 8))
    thumbs_given(LINE, VERSION, asked("Why?"), [""] * 8)
    assert listed() == []


def test_what_is_no_longer_kept_is_not_listed(line, settings) -> None:
    trouble("Why?")
    past = timedelta(hours=settings.OUTERLOOP_SIGNALS_HOURS, seconds=1)
    ServedCompletion.objects.update(served_at=F("served_at") - past)
    assert listed() == []


def test_the_list_has_an_end(line, monkeypatch) -> None:
    monkeypatch.setattr("annotation.signals.troubled.MOST_SHOWN", 2)
    for i in range(3):
        trouble(f"Question {i}?", 6 + i, prefix=f"user of {i} ")
    assert [each.thumbs.users for each in listed()] == [8, 7]


def test_a_prompt_comes_to_the_training_side_once(line) -> None:
    text = falling_on("train")
    trouble(text)
    (found,) = listed()
    assert (add(found.conversation).added, Prompt.objects.count()) == (1, 1)
    prompt = Prompt.objects.get()
    assert (prompt.messages, prompt.split, prompt.source) == (asked(text), "train", "signals")
    (event,) = AuditEvent.objects.filter(verb="added troubled prompts")
    assert (event.actor, event.line, event.target) == ("somebody", LINE, "1 prompts")
    assert listed()[0].place == "stored"
    assert add(found.conversation) == PromptsAdded(added=0, left_out=1)
    assert Prompt.objects.count() == 1
    assert AuditEvent.objects.filter(verb="added troubled prompts").count() == 1


def test_a_prompt_that_the_line_has_in_other_spelling_is_not_added_twice(line) -> None:
    text = falling_on("train")
    prompts_ensure(line_id=LINE, prompts=[NewPrompt(messages=tuple(asked(text.upper())))])
    trouble(text)
    (found,) = listed()
    assert found.place == "stored"
    assert add(found.conversation).added == 0


@pytest.mark.parametrize("split", ["validation", "test", "evaluation"])
def test_thumbs_never_choose_what_measures(line, split) -> None:
    """By the hash of a new root, and by the side on which the line has the root already."""
    drawn, kept = falling_on(split), falling_on("train", 1)
    prompts_ensure(line_id=LINE, prompts=[NewPrompt(messages=tuple(asked(kept)), split=split)])
    Prompt.objects.all().delete()  # its root stays where it lies, for ever
    trouble(drawn)
    trouble(kept, prefix="v")
    found = listed()
    assert {(each.split, each.place) for each in found} == {(split, "measures")}
    assert add(*(each.conversation for each in found)).left_out == 2
    assert not Prompt.objects.exists()
    assert RootSplit.objects.count() == 1


def test_a_later_turn_of_an_evaluation_conversation_does_not_train(line) -> None:
    first = falling_on("train")
    prompts_ensure(
        line_id=LINE, prompts=[NewPrompt(messages=tuple(asked(first)), split="evaluation")]
    )
    turns = [*asked(first), {"role": "assistant", "content": "At noon."}, *asked("And then?")]
    thumbs_given(LINE, VERSION, turns, names("u", 8))
    (found,) = listed()
    assert (found.split, found.place) == ("evaluation", "measures")


def test_what_no_prompt_can_be_stays_out(line) -> None:
    ended = [*asked(falling_on("train")), {"role": "assistant", "content": "At"}]
    thumbs_given(LINE, VERSION, ended, names("u", 8))
    (found,) = listed()
    assert found.place == "no_prompt"
    assert add(found.conversation).added == 0


def test_only_what_is_on_the_list_can_be_added(line) -> None:
    trouble("Why?", users=4)
    with pytest.raises(AnnotationError, match="1 of the 1 prompts are not on the list"):
        add(root_hash(asked("Why?")))
    with pytest.raises(AnnotationError, match="at least one"):
        add()
    assert not Prompt.objects.exists()
