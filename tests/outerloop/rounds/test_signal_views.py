"""The page of a line's signals: who reads, switches and adds, and what it says when there is little to say."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from annotation import facade as annotation
from annotation.comparisons.models import Prompt
from annotation.signals.models import ServedCompletion, Signal
from outerloop.rounds.schedule import line_archive
from outerloop.rounds.tasks import sweep
from tests.annotation.signals.conversations import asked, falling_on, names, thumbs_given
from tests.outerloop.rounds.pages import said, text, url


def flood(loop, count: int) -> None:
    Signal.objects.bulk_create(
        Signal(
            line_id=loop.line.id, version_id=loop.base.id, completion_id=f"c{i}",
            user=f"u{i % 50}", thumb="down", edit="a better answer", text="<b>bad</b>",
            given_at=timezone.now(),
        )
        for i in range(count)
    )  # fmt: skip


def test_the_sweeper_deletes_what_is_over(loop, settings):
    annotation.signals_switch(line_id=loop.line.id, on=True, actor="a", name="x")
    for name, hours in (("old", settings.OUTERLOOP_SIGNALS_HOURS + 1), ("new", 0)):
        ServedCompletion.objects.create(
            id=name, line_id=loop.line.id, version_id=loop.base.id, messages=[], text="",
            served_at=timezone.now() - timedelta(hours=hours),
        )  # fmt: skip
    sweep()
    assert [row.pk for row in ServedCompletion.objects.all()] == ["new"]


def test_a_lead_switches_and_others_read(as_, loop):
    assert "Signals are off" in text(as_("engineer").get(url("signals", loop)))
    assert as_("engineer").post(url("signals", loop), {"on": "yes"}).status_code == 403
    page = text(as_("lead").post(url("signals", loop), {"on": "yes"}, follow=True))
    assert "Signals are on" in page
    assert "Switch signals on" not in text(as_("engineer").get(url("signals", loop)))
    assert annotation.signals_on(loop.line.id)


def test_the_page_shows_counts_share_and_words(as_, loop):
    flood(loop, 60)
    page = text(as_("engineer").get(url("signals", loop)))
    assert "users: 50" in page
    assert "&lt;b&gt;bad&lt;/b&gt;" in page
    assert "a better answer" in page
    assert "no longer kept" in page


def test_an_archived_line_keeps_no_answers(as_, loop):
    annotation.signals_switch(line_id=loop.line.id, on=True, actor="a", name="x")
    line_archive(line=loop.line, archived=True, actor="a")
    assert not annotation.signals_on(loop.line.id)
    as_("lead").post(url("signals", loop), {"on": "yes"})
    assert not annotation.signals_on(loop.line.id)


def troubled(loop, *splits: str) -> list[str]:
    """The conversations of prompts that are listed, one for each split."""
    line, version = loop.line.id, loop.base.id
    annotation.signals_switch(line_id=line, on=True, actor="a", name="x")
    thumbs_given(line, version, asked("Thanks"), names("calm", 40), "up")
    for split in splits:
        thumbs_given(line, version, asked(falling_on(split)), names(split, 9))
    return [each.conversation for each in annotation.troubled_prompts(line_id=line)]


def test_a_lead_adds_the_ticked_prompts(as_, loop):
    found = troubled(loop, "train", "evaluation")
    page = text(as_("lead").get(url("signals", loop)))
    assert page.count('type="checkbox" name="prompt"') == 1
    assert "it falls on evaluation" in page
    answer = as_("lead").post(url("signals_prompts", loop), {"prompt": found}, follow=True)
    assert said(answer) == [
        "1 prompt added: policies answer it as rounds draw from the line's prompts. 1 stayed out."
    ]
    assert Prompt.objects.filter(source="signals").values_list("split", flat=True)[0] == "train"
    page = text(as_("lead").get(url("signals", loop)))
    assert 'name="prompt"' not in page
    assert "among its prompts: train" in page
    log = text(as_("lead").get("/audit/"))
    assert "that users gave thumbs down" in log


def test_others_read_the_list_and_tick_nothing(as_, loop):
    found = troubled(loop, "train")
    page = text(as_("engineer").get(url("signals", loop)))
    assert falling_on("train") in page
    assert 'name="prompt"' not in page
    answer = as_("engineer").post(url("signals_prompts", loop), {"prompt": found})
    assert answer.status_code == 403
    assert not Prompt.objects.filter(source="signals").exists()


def test_nothing_ticked_and_nothing_listed_are_said(as_, loop):
    answer = as_("lead").post(url("signals_prompts", loop), {}, follow=True)
    assert said(answer) == ["Choose at least one of the prompts."]
    answer = as_("lead").post(url("signals_prompts", loop), {"prompt": "gone"}, follow=True)
    assert "not on the list" in said(answer)[0]


def test_an_empty_page_says_why(as_, loop):
    page = text(as_("engineer").get(url("signals", loop)))
    assert "a version is compared with the one that was deployed before it" in page
    assert "No prompt is kept while signals are off." in page
    annotation.signals_switch(line_id=loop.line.id, on=True, actor="a", name="x")
    assert "No prompt stands out" in text(as_("engineer").get(url("signals", loop)))
