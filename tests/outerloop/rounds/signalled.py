"""A line whose second policy is deployed, and users who say what they think of both."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from django.utils import timezone

from annotation import facade as annotation
from annotation.signals.models import Signal
from evaluation.contracts import Interval, SignalOpinion
from evaluation.gates.models import Deployment
from outerloop.rounds.models import RoundOpinion
from outerloop.rounds.signal_watch import signal_alarms
from tests.annotation.signals.conversations import asked, falling_on, names, thumbs_given
from tests.outerloop.rounds.world import LoopWorld, policy_import
from training import facade as training

Version = training.ModelVersionRecord


def _seventy(low: float) -> Interval:
    return Interval(0.7, low, 0.8, 0.95, 60, "t")


OPINION = SignalOpinion(
    pairs=40, votes=120, users=75, held_out=41, largest_share=0.018,
    pairs_right=_seventy(0.61), pairs_right_people=_seventy(0.52), thumbs_told=_seventy(0.63),
    judged=30, agreement=_seventy(0.64), labels_right=_seventy(0.55),
    labels_right_people=_seventy(0.57),
)  # fmt: skip


def old_line(folder: Path, now: datetime, **how: Any) -> LoopWorld:
    """Its base policy was deployed ten days ago."""
    with mock.patch("django.utils.timezone.now", return_value=now - timedelta(days=10)):
        return LoopWorld(folder, **how)


def second_deployed(world: LoopWorld, folder: Path, now: datetime) -> Version:
    """This one, "policy v2", since four days ago; signals are on."""
    second = policy_import(world.line.id, folder, "policy v2")
    moved(world, second, at=now - timedelta(days=4))
    annotation.signals_switch(line_id=world.line.id, on=True, actor="a", name="x")
    return second


def moved(world: LoopWorld, version: Version, *, at: datetime) -> Deployment:
    """The line's pointer shows the version since then."""
    with mock.patch("django.utils.timezone.now", return_value=at):
        return Deployment.objects.create(
            line=world.line.id,
            version=version.id,
            artifact_sha256="0" * 64,
            kind="rollback",
            actor="x",
        )


def thumbs(
    world: LoopWorld, version: Version, users: int, down: int, *, at: datetime, prefix: str = "u"
) -> None:
    """Of so many users so many give a thumb down."""
    Signal.objects.bulk_create(
        Signal(
            line_id=world.line.id, version_id=version.id, completion_id=str(uuid.uuid4()),
            user=f"{prefix}{i:03}", thumb="down" if i * down % users < down else "up", given_at=at,
        )
        for i in range(users)
    )  # fmt: skip


def much_said(folder: Path) -> LoopWorld:
    """A line with enough for all that the page can show: an alarm, prompts of every place, words, and a second
    opinion."""
    now = timezone.now()
    world = old_line(folder, now, labels=1)
    second = second_deployed(world, folder, now)
    thumbs(world, world.base, 90, 9, at=now - timedelta(days=7))
    thumbs(world, second, 90, 60, at=now - timedelta(days=2))
    signal_alarms()
    line, turn = world.line.id, {"role": "assistant", "content": "At noon, and again at midnight."}
    thumbs_given(line, second.id, asked("Thank you"), names("calm", 40), "up")
    for conversation, users in (
        (asked(falling_on("train")), 16),
        (
            [*asked(falling_on("train", 1)), turn, *asked("And the day after? " + "Please. " * 40)],
            12,
        ),
        (asked(falling_on("evaluation")), 9),
        ([*asked(falling_on("train", 2)), turn], 8),
    ):
        thumbs_given(line, second.id, conversation, names(f"{len(conversation)} {users} ", users))
    words: tuple[dict[str, Any], ...] = (
        {"thumb": "down", "text": "It stops too early.\nTwice."},
        {"thumb": "up", "edit": "At noon; in summer at one."},
    )
    for number, said in enumerate(words):
        name = f"words {number}"
        annotation.completion_keep(
            completion_id=name, line_id=line, version_id=second.id,
            messages=asked("When is high tide?"), text="At noon.",
        )  # fmt: skip
        annotation.signal_give(line_id=line, signal=annotation.NewSignal(name, user="ann", **said))
    annotation.signal_opinion_switch(line_id=line, on=True, actor="a", name="x")
    RoundOpinion.objects.create(round=world.round("CLOSED"), found=OPINION.to_json())
    return world
