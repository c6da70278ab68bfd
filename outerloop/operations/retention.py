"""What may be deleted, by one stated rule; found first, so that a dry run shows exactly what would go.

Kept in any case: what is or was deployed, what a decision is about, every run of a decided round, base
policies, what a version was marked to be kept for, the lineage of all these, the last rounds of each
line, and whatever is younger than the days given. The rest goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from annotation import facade as annotation
from evaluation import facade as evaluation
from outerloop.rounds.models import ENDS, PolicyLine, Round, RoundStep
from training import facade as training
from web.services import audit_record

from .backup.manifest import BackupError
from .locks import maintenance_lock

NAMED_IN_AUDIT = 50


@dataclass(frozen=True)
class Rule:
    """Rounds of each line and days of age that are kept whole."""

    rounds: int
    days: int


@dataclass(frozen=True)
class Plan:
    """What the rule lets go: artifacts, and files of imports and exports that ended."""

    rule: Rule
    artifacts: tuple[training.Removable, ...]
    files: tuple[Path, ...]
    bytes: int

    def __len__(self) -> int:
        return len(self.artifacts) + len(self.files)


def rule_of_settings(*, rounds: int | None = None, days: int | None = None) -> Rule:
    return Rule(
        rounds=settings.OUTERLOOP_RETENTION_ROUNDS if rounds is None else rounds,
        days=settings.OUTERLOOP_RETENTION_DAYS if days is None else days,
    )


def retention_plan(rule: Rule) -> Plan:
    """Look, and delete nothing. Raises `BackupError` where object storage does not say what it holds."""
    before = timezone.now() - timedelta(days=rule.days)
    rounds = _rounds_kept(rule)
    kept = training.Kept(
        versions=evaluation.versions_referred() | _versions_of(rounds),
        runs=_runs_decided(),
        rounds={round_.id for round_ in rounds},
        before=before,
    )
    try:
        artifacts = tuple(training.removable_artifacts(kept))
    except (training.StoreAway, training.StoreSettings) as error:
        raise BackupError(str(error)) from error
    files = tuple(annotation.exchange_files_ended(before=before))
    size = sum(item.bytes for item in artifacts) + sum(path.stat().st_size for path in files)
    return Plan(rule, artifacts, files, size)


def retention_carry_out(*, rule: Rule, actor: Any) -> Plan:
    """Delete what the rule lets go and enter it in the audit log. Raises `BackupError` during a backup."""
    with maintenance_lock("retention"):
        plan = retention_plan(rule)
        try:
            for item in plan.artifacts:
                training.artifact_remove(item)
        except training.StoreAway as error:
            raise BackupError(
                f"Retention stopped half-way; start it again later: {error}"
            ) from error
        for path in plan.files:
            path.unlink(missing_ok=True)
    if len(plan):
        audit_record(
            actor=actor, verb="removed artifacts", target="artifact store", detail=_detail(plan)
        )
    return plan


def _detail(plan: Plan) -> dict[str, Any]:
    names = [item.path for item in plan.artifacts] + [path.name for path in plan.files]
    return {
        "rounds": plan.rule.rounds,
        "days": plan.rule.days,
        "bytes": plan.bytes,
        "count": len(plan),
        "removed": names[:NAMED_IN_AUDIT],
    }


def _rounds_kept(rule: Rule) -> list[Round]:
    """Rounds under way, and the last ones of every line: a failed one may be taken up again."""
    found = list(Round.objects.exclude(state__in=ENDS))
    for line in PolicyLine.objects.all():
        found += line.rounds.order_by("-number")[: rule.rounds]
    return found


def _runs_decided() -> set[UUID]:
    """What reports, replays and `reproduce` of a decided round read; a reward model that was refused
    ends its round without a decision of the gate, by a verdict of the round alone."""
    decided = ~Q(round__verdict="") | Q(round__in=evaluation.rounds_decided())
    runs = RoundStep.objects.filter(decided, run__isnull=False).values_list("run", flat=True)
    return {run for run in runs if run is not None}


def _versions_of(rounds: list[Round]) -> set[UUID]:
    bases = PolicyLine.objects.values_list("base_version", flat=True)
    fields = ("incumbent", "candidate", "reward_model", "held_out_reward_model")
    used = {getattr(round_, field) for round_ in rounds for field in fields}
    return {version for version in used | set(bases) if version is not None}
