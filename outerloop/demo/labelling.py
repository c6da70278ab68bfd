"""The simulated annotators at work: they go through the same queue and services as a person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from django.conf import settings
from django.db import connection

from annotation import facade as annotation
from outerloop.demo.annotators import ANNOTATORS, annotator_named, annotator_rng, judge
from outerloop.demo.building import demo_campaign
from outerloop.demo.world import of_this_world


def label(
    *,
    line_id: UUID,
    wanted: int,
    seed: int,
    shuffled: bool = False,
    report: Callable[[int], None] = lambda done: None,
) -> int:
    """Let the annotators take turns until `wanted` labels are in or the queue is empty.

    They work in the demo's own campaign, and after that where people have opened one, since the
    rounds put their pairs there. `shuffled` answers by a fair die instead of by judgment: labels that
    carry nothing.
    """

    def answer(name: str, shown: annotation.ComparisonView) -> annotation.Answer | None:
        return _answer(name, shown, seed, shuffled)

    others, own = annotation.line_campaigns(line_id=line_id)[:-1], demo_campaign(line_id)
    names = [annotator.name for annotator in ANNOTATORS]
    with _unflushed():
        return annotation.labels_simulate(
            campaign_ids=[own.id, *(place.id for place in others if place.open)],
            names=names,
            wanted=wanted,
            judge=answer,
            report=report,
        )


@contextmanager
def _unflushed() -> Iterator[None]:
    """Do not wait for the disk after every label: a program can give the last second's again.

    Behind a pooler the setting would go to a session that others are given: there it is left alone.
    """
    if settings.DATABASE_DIRECT:
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
        try:
            yield
        finally:
            cursor.execute("RESET synchronous_commit")


def _answer(
    name: str, shown: annotation.ComparisonView, seed: int, shuffled: bool
) -> annotation.Answer | None:
    """None for what a person has imported from elsewhere: that is left to people."""
    messages = [{"role": m.role, "content": m.content} for m in shown.messages]
    if not of_this_world(messages):
        return None
    # Named by its texts, not by its id: the same seed gives the same labels in every database.
    key = f"{messages[-1]['content']}\n{shown.left}\n{shown.right}"
    rng = annotator_rng(seed, name, key)
    judged = judge(annotator_named(name), messages, shown.left, shown.right, rng)
    scale = rng.randint(1, 7) if shuffled else judged.scale
    return annotation.Answer(
        values={"overall": scale},
        both_bad=judged.both_bad and scale == 4,
        seconds=judged.seconds,
    )
