"""Suites of a line: attached, detached, and which of them a round answers."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import cast

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from evaluation import facade as evaluation
from evaluation.contracts import RewardSuite, Suite, SuiteKind, TaskSuite
from outerloop.rounds.models import LineSuite, PolicyLine
from web.services import audit_record

__all__ = [
    "SuiteRefused",
    "suite_attach",
    "suite_detach",
    "suites_attached",
    "suites_of_policies",
    "suites_of_reward_models",
    "suites_words",
    "task_attach",
    "task_read",
    "tasks_unmeasurable",
]

OF_REWARD_MODELS, TASK = "preferences", "lm_eval"


class SuiteRefused(ValueError):
    """The suite cannot be attached; the message says why."""


def suites_attached(line: PolicyLine, *, as_of: datetime | None = None) -> list[LineSuite]:
    """The line's suites now, or as they were at a moment."""
    if as_of is None:
        return list(line.suites.filter(detached_at__isnull=True))
    gone = Q(detached_at__isnull=True) | Q(detached_at__gt=as_of)
    return list(line.suites.filter(gone, attached_at__lte=as_of))


def suites_of_policies(line: PolicyLine, *, as_of: datetime | None = None) -> list[LineSuite]:
    """Those that candidate and incumbent answer."""
    return [s for s in suites_attached(line, as_of=as_of) if s.kind != OF_REWARD_MODELS]


def suites_of_reward_models(line: PolicyLine, *, as_of: datetime | None = None) -> list[LineSuite]:
    """Those whose answers the reward models tell apart."""
    return [s for s in suites_attached(line, as_of=as_of) if s.kind == OF_REWARD_MODELS]


def suite_attach(
    *, line: PolicyLine, name: str, kind: str, content: bytes, actor: str
) -> LineSuite:
    """Read an uploaded file and attach it; the next round is the first that takes it."""
    try:
        suite = _read(content, name=name, kind=kind)
    except evaluation.SuiteError as error:
        raise SuiteRefused(str(error)) from error
    return _attached(line, suite, kind, len(suite.items), actor)


def task_read(
    *, line: PolicyLine, name: str, task: str, metric: str, limit: int, chat: bool
) -> TaskSuite:
    """A task of lm-evaluation-harness as its files are now, unchecked; SuiteRefused says why it cannot be
    attached as `name`."""
    if line.suites.filter(name=name, detached_at__isnull=True).exists():
        raise SuiteRefused(_taken(name))
    try:
        return evaluation.task_suite_read(
            name=name, task=task, metric=metric, limit=limit, chat=chat
        )
    except evaluation.SuiteError as error:
        raise SuiteRefused(str(error)) from error


def task_attach(*, line: PolicyLine, suite: TaskSuite, actor: str) -> LineSuite:
    """Attach a task that was checked."""
    return _attached(line, suite, TASK, suite.items, actor)


def tasks_unmeasurable(line: PolicyLine) -> str:
    """Why the line's tasks of lm-evaluation-harness could not be measured here; empty where they could."""
    names = [suite.name for suite in suites_attached(line) if suite.kind == TASK]
    missing = evaluation.task_library_missing() if names else ""
    return f"{missing} Attached: {', '.join(names)}." if missing else ""


def _attached(
    line: PolicyLine, suite: Suite | RewardSuite | TaskSuite, kind: str, items: int, actor: str
) -> LineSuite:
    stored = evaluation.suite_write(suite)
    try:
        with transaction.atomic():
            row = LineSuite.objects.create(
                line=line,
                name=suite.name,
                kind=kind,
                content=stored,
                sha256=hashlib.sha256(stored.encode()).hexdigest(),
                items=items,
            )
            _told(actor, "attached suite", row)
    except IntegrityError as error:
        raise SuiteRefused(_taken(suite.name)) from error
    return row


def _taken(name: str) -> str:
    return f"A suite named {name!r} is attached already; choose another name, or detach that one."


def suite_detach(*, line: PolicyLine, suite_id: int, actor: str) -> bool:
    """Detach a suite, so that it is not answered from the next round on; rounds under way keep it.

    Watching less takes two leads once a round has answered it: the first one's word is kept, and False
    is returned until another lead gives theirs. SuiteRefused when the same lead asks twice. No check
    rests on a suite of reward models: one lead detaches it.
    """
    with transaction.atomic():
        row = line.suites.select_for_update().filter(pk=suite_id, detached_at__isnull=True).first()
        if row is None:
            return True
        if row.detach_asked_by == actor:
            raise SuiteRefused("You have asked for it already; another lead must agree.")
        if not row.detach_asked_by and _weakens_gate(row):
            row.detach_asked_by = actor
            row.save(update_fields=["detach_asked_by"])
            _told(actor, "asked to detach suite", row)
            return False
        row.detached_at = timezone.now()
        row.save(update_fields=["detached_at"])
        _told(actor, "detached suite", row)
        return True


def _read(content: bytes, *, name: str, kind: str) -> Suite | RewardSuite:
    if kind == OF_REWARD_MODELS:
        return evaluation.reward_suite_read(content, name=name)
    return evaluation.suite_read(content, name=name, kind=cast(SuiteKind, kind))


def _weakens_gate(row: LineSuite) -> bool:
    """Whether a check rests on the suite and a round has answered it."""
    answered = row.line.rounds.filter(created_at__gte=row.attached_at)
    return row.kind != OF_REWARD_MODELS and answered.exists()


def suites_words(suites: list[LineSuite]) -> str:
    """help desk safety (48 items), BLiMP (1,000 items); none: neither safety nor capability is watched"""
    named = ", ".join(f"{suite.name} ({suite.items:,} items)" for suite in suites)
    if any(suite.kind != OF_REWARD_MODELS for suite in suites):
        return named
    unwatched = "neither safety nor capability is watched"
    return f"{named}; {unwatched}" if named else f"none: {unwatched}"


def _told(actor: str, verb: str, row: LineSuite) -> None:
    detail = {"kind": row.kind, "items": row.items, "sha256": row.sha256}
    audit_record(actor=actor, verb=verb, target=row.name, line=row.line_id, detail=detail)
