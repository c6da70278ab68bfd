"""Rows for every long table, many at a time, and how each row is recognised on its page."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.urls import reverse
from django.utils import timezone

from annotation.accounts.models import ApiToken, User
from annotation.campaigns.models import Campaign
from annotation.exchange.models import ExportJob, ImportJob
from evaluation.contracts import GatePolicySettings
from evaluation.gates.models import Deployment, GatePolicy
from evaluation.reports.models import ListedRound
from evaluation.reports.services import report_store
from tests.evaluation.reports import records
from training.runs.models import ModelVersion, Run
from web.models import AuditEvent, Notice

LINE = uuid.UUID(records.LINE)


@dataclass(frozen=True)
class Table:
    """`make` adds rows of these numbers, the later the newer; `row` finds a row's number on the page."""

    address: str
    make: Callable[[Any, range], None]
    row: str
    rows: Callable[[int], Any]
    newest_first: bool = True
    kept: bool = False  # no row can be deleted
    pager: str = ""


def people(lead: Any, numbers: range) -> None:
    User.objects.bulk_create(User(username=f"p{n:03}", email=f"p{n}@x.example") for n in numbers)


def campaigns(lead: Any, numbers: range) -> None:
    Campaign.objects.bulk_create(
        Campaign(line=LINE, name=f"c{n:03}", slug=f"c{n:03}") for n in numbers
    )


def tokens(lead: Any, numbers: range) -> None:
    ApiToken.objects.bulk_create(
        ApiToken(
            user=lead,
            name=f"t{n:03}",
            digest=f"{n:064}",
            beginning="ol_",
            scopes=["read"],
            created_at=moment(n),
            expires_at=timezone.now(),
        )
        for n in numbers
    )


def imports(lead: Any, numbers: range) -> None:
    ImportJob.objects.bulk_create(
        ImportJob(line=LINE, name=f"i{n:03}", path="x", created_at=moment(n)) for n in numbers
    )


def exports(lead: Any, numbers: range) -> None:
    ExportJob.objects.bulk_create(
        ExportJob(line=LINE, rows_done=1_000_000 + n, created_at=moment(n)) for n in numbers
    )


def runs(lead: Any, numbers: range) -> None:
    for n in numbers:
        run = Run.objects.create(
            id=uuid.UUID(int=n), line=LINE, kind="ppo", seed=n, spec={}, spec_sha256=f"{n:064}"
        )
        Run.objects.filter(pk=run.pk).update(created_at=moment(n))


def deployments(lead: Any, numbers: range) -> None:
    for n in numbers:
        version = ModelVersion.objects.create(
            line=LINE, kind="policy", number=n, name=f"d{n:03}", path="x", sha256=f"{n:064}"
        )
        Deployment.objects.create(
            line=LINE,
            version=version.pk,
            artifact_sha256=version.sha256,
            kind="rollback",
            actor="gate",
        )


def versions(lead: Any, numbers: range) -> None:
    settings = GatePolicySettings().to_json()
    GatePolicy.objects.bulk_create(
        GatePolicy(line=LINE, version=n, settings=settings, created_by="gate") for n in numbers
    )


def acts(lead: Any, numbers: range) -> None:
    for n in numbers:
        AuditEvent.objects.create(actor="gate", verb="decision_record", target=f"a{n:03}")


def notices(lead: Any, numbers: range) -> None:
    for n in numbers:
        Notice.objects.create(user=lead, topic=str(n), level="info", text=f"n{n:03}")


def rounds(lead: Any, numbers: range) -> None:
    if not ListedRound.objects.exists():
        report_store(record=records.PROMOTED)
        ListedRound.objects.all().delete()
    ListedRound.objects.filter(line=LINE, number__in=numbers).delete()
    summary = records.history(1)[0].to_json()
    ListedRound.objects.bulk_create(
        ListedRound(line=LINE, number=n, summary={**summary, "number": n}) for n in numbers
    )


def moment(n: int) -> Any:
    return timezone.now() - timedelta(hours=1) + timedelta(seconds=n // 3)  # three have the same


TABLES = {
    "people": Table(
        "/people/",
        people,
        r'<th scope="row">p(\d{3})',
        lambda n: User.objects.filter(username=f"p{n:03}"),
        newest_first=False,
    ),
    "people, newest": Table(
        "/people/?sort=newest",
        people,
        r'<th scope="row">p(\d{3})',
        lambda n: User.objects.filter(username=f"p{n:03}"),
    ),
    "campaigns": Table(
        "/campaigns/",
        campaigns,
        r">c(\d{3})</a>",
        lambda n: Campaign.objects.filter(slug=f"c{n:03}"),
    ),
    "tokens": Table(
        reverse("accounts:tokens"),
        tokens,
        r'<th scope="row">t(\d{3})',
        lambda n: ApiToken.objects.filter(name=f"t{n:03}"),
    ),
    "imports": Table(
        "/data/", imports, r">i(\d{3})</a>", lambda n: ImportJob.objects.filter(name=f"i{n:03}")
    ),
    "exports": Table(
        "/data/",
        exports,
        r"1,000,(\d{3})",
        lambda n: ExportJob.objects.filter(rows_done=1_000_000 + n),
        pager="exports-",
    ),
    "runs": Table(
        "/runs/",
        runs,
        r'href="/runs/00000000-0000-0000-0000-([0-9a-f]{12})/',
        lambda n: Run.objects.filter(pk=uuid.UUID(int=n)),
    ),
    "deployments": Table(
        reverse("gates:deployments", args=[LINE]),
        deployments,
        r"<td>d(\d{3})",
        lambda n: n,
        kept=True,
    ),
    "gate policies": Table(
        reverse("gates:policy", args=[LINE]),
        versions,
        r"<li>Version (\d{3}), saved",
        lambda n: n,
        kept=True,
    ),
    "audit log": Table("/audit/", acts, r"\ba(\d{3})\b", lambda n: n, kept=True),
    "notices": Table(
        "/notices/", notices, r"\bn(\d{3})\b", lambda n: Notice.objects.filter(text=f"n{n:03}")
    ),
    "rounds of a line": Table(
        "/lines/help-desk/reports/",
        rounds,
        r">(?:Round )(\d{3})\b",
        lambda n: ListedRound.objects.filter(number=n),
    ),
}
