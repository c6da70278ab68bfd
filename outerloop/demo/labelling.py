"""The simulated annotators at work: they go through the same queue and services as a person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from django.db import connection

from annotation import facade as annotation
from outerloop.demo.annotators import ANNOTATORS, annotator_named, annotator_rng, judge


def label(
    *,
    campaign_id: UUID,
    wanted: int,
    seed: int,
    shuffled: bool = False,
    report: Callable[[int], None] = lambda done: None,
) -> int:
    """Let the annotators take turns until `wanted` labels are in or the queue is empty.

    `shuffled` answers by a fair die instead of by judgment: labels that carry nothing.
    """

    def answer(name: str, shown: annotation.ComparisonView) -> annotation.Answer:
        return _answer(name, shown, seed, shuffled)

    names = [annotator.name for annotator in ANNOTATORS]
    with _unflushed():
        return annotation.labels_simulate(
            campaign_id=campaign_id, names=names, wanted=wanted, judge=answer, report=report
        )


@contextmanager
def _unflushed() -> Iterator[None]:
    """Do not wait for the disk after every label: a program can give the last second's again."""
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
        try:
            yield
        finally:
            cursor.execute("RESET synchronous_commit")


def _answer(
    name: str, shown: annotation.ComparisonView, seed: int, shuffled: bool
) -> annotation.Answer:
    messages = [{"role": m.role, "content": m.content} for m in shown.messages]
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
