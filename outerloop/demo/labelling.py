"""The simulated annotators at work: they go through the same queue and services as a person."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from django.db import connection

from annotation.accounts.models import Rater
from annotation.campaigns.models import Campaign
from annotation.comparisons.records import Answer
from annotation.comparisons.selectors import comparison_for
from annotation.comparisons.services import judgment_submit, queue_lease_next
from outerloop.demo.annotators import annotator_named, annotator_rng, judge


def label(
    *,
    campaign: Campaign,
    raters: Sequence[Rater],
    wanted: int,
    seed: int,
    shuffled: bool = False,
    report: Callable[[int], None] = lambda done: None,
) -> int:
    """Let the annotators take turns until `wanted` labels are in or the queue is empty.

    `shuffled` answers by a fair die instead of by judgment: labels that carry nothing.
    """
    waiting = list(raters)
    done = 0
    with _unflushed():
        while waiting and done < wanted:
            for rater in list(waiting):
                if done >= wanted:
                    break
                if _label_one(campaign, rater, seed, shuffled):
                    done += 1
                    report(done)
                else:
                    waiting.remove(rater)
    return done


@contextmanager
def _unflushed() -> Iterator[None]:
    """Do not wait for the disk after every label: a program can give the last second's again."""
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
        try:
            yield
        finally:
            cursor.execute("RESET synchronous_commit")


def _label_one(campaign: Campaign, rater: Rater, seed: int, shuffled: bool) -> bool:
    lease = queue_lease_next(rater=rater, campaign=campaign)
    if lease is None:
        return False
    view = comparison_for(rater=rater, assignment_id=lease.assignment_id)
    messages = [{"role": m.role, "content": m.content} for m in view.messages]
    # Named by its texts, not by its id: the same seed gives the same labels in every database.
    key = f"{messages[-1]['content']}\n{view.left}\n{view.right}"
    rng = annotator_rng(seed, rater.external_id, key)
    judged = judge(annotator_named(rater.external_id), messages, view.left, view.right, rng)
    scale = rng.randint(1, 7) if shuffled else judged.scale
    judgment_submit(
        rater=rater,
        assignment_id=lease.assignment_id,
        answer=Answer(
            values={"overall": scale},
            both_bad=judged.both_bad and scale == 4,
            seconds=judged.seconds,
        ),
        idempotency_key=f"simulated-{lease.assignment_id}",
    )
    return True
