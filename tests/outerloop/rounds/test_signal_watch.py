"""The alarm after a deployment: what it compares, when it is told, and that it decides nothing."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from annotation import facade as annotation
from annotation.signals.models import Signal, SignalVote
from evaluation import facade as evaluation
from evaluation.gates.models import Deployment
from outerloop.rounds.signal_watch import signal_alarms, signal_watch
from outerloop.rounds.tasks import sweep
from tests.outerloop.rounds.pages import text, url
from tests.outerloop.rounds.signalled import moved, old_line, second_deployed, thumbs
from tests.outerloop.rounds.world import known
from tests.support.people import person_create
from tests.support.programs import a_program, refused
from web.models import Notice

NOW = timezone.now()


@pytest.fixture
def loop(db, tmp_path):
    """The base policy was deployed ten days ago and a second one four days ago; signals are on."""
    loop: Any = old_line(tmp_path, NOW)
    loop.second = second_deployed(loop, tmp_path, NOW)
    for role in ("engineer", "lead", "annotator"):
        person_create(role, role, line=loop.line.id)
    return loop


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def told() -> list[str]:
    found = Notice.objects.filter(topic__startswith="signals").order_by("user__username")
    return list(found.values_list("user__username", flat=True))


def test_more_trouble_than_before_is_told_once(loop):
    thumbs(loop, loop.base, 100, 10, at=ago(7))
    thumbs(loop, loop.second, 100, 60, at=ago(2))
    pointed = evaluation.deployment_current(loop.line.id)
    for _ in range(3):
        sweep()
    assert told() == ["engineer", "lead"]
    notice = Notice.objects.filter(topic__startswith="signals")[0]
    assert "60% of the users who give thumbs on policy v2" in notice.text
    assert "on base policy it was 10%" in notice.text
    assert notice.url == url("signals", loop)
    assert evaluation.deployment_current(loop.line.id) == pointed
    assert not loop.line.rounds.exists()


def test_as_much_trouble_as_before_is_told_to_nobody(loop):
    thumbs(loop, loop.base, 100, 30, at=ago(7))
    thumbs(loop, loop.second, 100, 33, at=ago(2))
    sweep()
    watch = known(signal_watch(loop.line.id))
    assert (watch.votes, watch.raised_at) == ((100, 100), None)
    assert known(watch.rise).pairs == 100
    assert told() == []


def test_the_setting_says_how_much_evidence_it_takes(loop, settings):
    thumbs(loop, loop.base, 100, 20, at=ago(7))
    thumbs(loop, loop.second, 100, 35, at=ago(2))
    sweep()
    evidence = known(known(signal_watch(loop.line.id)).rise).evidence
    assert 2 < evidence < 100
    assert told() == []
    settings.OUTERLOOP_SIGNALS_EVIDENCE = 2
    assert known(signal_watch(loop.line.id)).raised_at is not None


def test_a_version_deployed_anew_goes_on_and_one_rolled_back_to_begins_again(loop):
    first = Deployment.objects.get(line=loop.line.id, version=loop.base.id)
    moved(loop, loop.second, at=ago(3))
    watch = known(signal_watch(loop.line.id))
    assert watch.deployed.since == ago(4)
    assert (watch.earlier.id, watch.earlier_name) == (first.pk, "base policy")
    back = moved(loop, loop.base, at=ago(1))
    watch = known(signal_watch(loop.line.id))
    assert (watch.deployed.id, watch.earlier_name) == (back.pk, "policy v2")


def test_feedback_on_the_version_before_ends_with_the_deployment(loop):
    thumbs(loop, loop.base, 20, 0, at=ago(7))
    thumbs(loop, loop.base, 50, 50, at=ago(2), prefix="late")
    thumbs(loop, loop.second, 20, 0, at=ago(2))
    sweep()
    assert known(signal_watch(loop.line.id)).votes == (20, 20)


def test_without_signals_or_a_version_before_nothing_is_counted(loop, tmp_path):
    thumbs(loop, loop.second, 20, 20, at=ago(2))
    annotation.signals_switch(line_id=loop.line.id, on=False, actor="a", name="x")
    alone = old_line(tmp_path, NOW)
    annotation.signals_switch(line_id=alone.line.id, on=True, actor="a", name="x")
    thumbs(alone, alone.base, 20, 20, at=ago(2))
    signal_alarms()
    assert not SignalVote.objects.exists()
    assert signal_watch(alone.line.id) is None


def test_votes_whose_notice_could_not_be_sent_are_counted_again(loop, monkeypatch):
    thumbs(loop, loop.base, 100, 10, at=ago(7))
    thumbs(loop, loop.second, 100, 60, at=ago(2))

    def dies(**about):
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr("outerloop.rounds.signal_watch.notice_send", dies)
        with pytest.raises(RuntimeError, match="killed"):
            signal_alarms()
    assert not SignalVote.objects.exists()
    signal_alarms()
    assert told() == ["engineer", "lead"]


def test_the_page_draws_the_figures(loop, as_):
    page = text(as_("engineer").get(url("signals", loop)))
    assert "0 users have a vote on policy v2 and 0 on base policy" in page
    thumbs(loop, loop.base, 100, 10, at=ago(7))
    thumbs(loop, loop.second, 100, 60, at=ago(2))
    signal_alarms()
    page = text(as_("engineer").get(url("signals", loop)))
    assert "More thumbs down" in page
    assert "(100 needed)" in page
    assert "against a rise of 4 points or less" in page
    assert "+50 (+38 to +60)" in page  # MOVER of Wilson's 50-69 % and 6-17 %
    Signal.objects.all().delete()
    SignalVote.objects.filter(down=True).delete()
    assert "No alarm" in text(as_("engineer").get(url("signals", loop)))


def test_programs_read_the_alarm(loop, tmp_path):
    eve = a_program("engineer", "read", name="eve")
    alone = old_line(tmp_path, NOW)
    assert eve.get(f"lines/{alone.line.id}/signals/alarm").json()["deployed"] is None
    address = f"lines/{loop.line.id}/signals/alarm"
    empty = eve.get(address).json()
    assert (empty["deployed"], empty["deployed_rate"]) == (str(loop.second.id), None)
    thumbs(loop, loop.base, 100, 10, at=ago(7))
    thumbs(loop, loop.second, 100, 60, at=ago(2))
    signal_alarms()
    found = eve.get(address).json()
    assert (found["deployed_votes"], found["earlier_votes"], found["pairs"]) == (100, 100, 100)
    assert found["deployed_rate"]["estimate"] == pytest.approx(0.6)
    assert found["difference"]["estimate"] == pytest.approx(0.5)
    assert found["evidence"] >= found["bar"] == 100
    assert found["raised_at"].startswith(NOW.date().isoformat()[:4])
    refused(eve.get(f"lines/{uuid.uuid4()}/signals/alarm"), 404)
