"""The schedulers that the installation or a line hands jobs to, asked whether they are there and know the jobs'
partitions and queues."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen
from uuid import UUID

from django.conf import settings
from django.db.utils import Error as DatabaseError
from django.urls import reverse

from outerloop.rounds.models import PolicyLine
from outerloop.rounds.plan import programs_of
from outerloop.rounds.selectors import line_plan
from training import facade as training
from training.contracts import ContractError

Finding = tuple[str, str]
"""A level of `manage.py doctor`, and what it says."""

SITE_SECONDS = 5
NO_RUN = UUID(int=0)
LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass
class Asked:
    """Of one scheduler: partitions or queues that jobs name ("" is its default), the most nodes of one, and
    whether they share a folder with the workers or speak to the site."""

    names: set[str] = field(default_factory=set)
    nodes: int = 1
    files: set[str] = field(default_factory=set)


def scheduler_findings() -> Iterator[Finding]:
    try:
        training.job_order("sft", None)  # as the installation has it, where no plan says otherwise
    except ContractError as error:
        yield "bad", str(error)
        return
    asked = _asked()
    if "slurm" in asked:
        yield _slurm(asked["slurm"])
    if "kubernetes" in asked:
        yield from _kubernetes(asked["kubernetes"])
    if any("site" in each.files for each in asked.values()):
        yield from _by_site()


def _asked() -> dict[str, Asked]:
    """By the name of the backend."""
    found: dict[str, Asked] = defaultdict(Asked)
    installed = {
        "slurm": settings.OUTERLOOP_SLURM_PARTITION,
        "kubernetes": settings.OUTERLOOP_KUBERNETES_QUEUE,
    }
    if settings.OUTERLOOP_JOBS in installed:
        found[settings.OUTERLOOP_JOBS].names |= set(installed[settings.OUTERLOOP_JOBS].split(","))
        found[settings.OUTERLOOP_JOBS].nodes = settings.OUTERLOOP_JOB_NODES
        found[settings.OUTERLOOP_JOBS].files.add(settings.OUTERLOOP_JOB_FILES)
    with suppress(DatabaseError):
        for line in PolicyLine.objects.filter(archived_at=None):
            _line_asks(line, found)
    return found


def _line_asks(line: PolicyLine, found: dict[str, Asked]) -> None:
    """A bad plan asks for nothing; its own page says what is wrong."""
    with suppress(ContractError):
        plan = line_plan(line)
        for order in [training.job_order(kind, plan.jobs) for kind in programs_of(plan)]:
            if order.backend != "local":
                found[order.backend].names |= set(order.resources.partition.split(","))
                found[order.backend].files.add(order.resources.files)
                found[order.backend].nodes = max(found[order.backend].nodes, order.resources.nodes)


def _slurm(asked: Asked) -> Finding:
    try:
        there = training.slurm_partitions()
    except training.SchedulerAway as error:
        return "bad", f"Slurm does not answer: {error}. Jobs wait until it does."
    missing = sorted(asked.names - {""} - set(there))
    if missing:
        return "bad", f"Slurm has no partition {', '.join(missing)}; it has {', '.join(there)}."
    return "ok", f"Slurm, with the partitions {', '.join(there)}"


def _kubernetes(asked: Asked) -> Iterator[Finding]:
    try:
        found = training.cluster_check(
            sorted(asked.names - {""}),
            several_nodes=asked.nodes > 1,
            shared="shared" in asked.files,
            tokens="site" in asked.files,
        )
    except training.SchedulerAway as error:
        yield "bad", f"Kubernetes does not answer: {error}. Jobs wait until it does."
        return
    for problem in found.problems:
        yield "bad", f"Kubernetes: {problem}."
    if not found.problems:
        yield "ok", f"Kubernetes {found.version}, jobs go to the namespace {found.namespace}"


def _by_site() -> Iterator[Finding]:
    """What jobs need that share no folder: site and storage by addresses that nodes know as well."""
    site = settings.OUTERLOOP_JOB_SITE
    addresses = {
        "OUTERLOOP_JOB_SITE": site,
        "OUTERLOOP_S3_ENDPOINT": settings.OUTERLOOP_S3_ENDPOINT,
    }
    for name, address in addresses.items():
        if urlsplit(address).hostname in LOCAL:
            yield (
                "note",
                f"{name} is {address}, which for a job is its own machine; nodes need another.",
            )
    said = _site_problem(site)
    if said:
        yield "note", f"Jobs without a shared folder speak to the site at {site}, and {said}."
    else:
        yield "ok", f"Jobs without a shared folder speak to the site at {site}"


def _site_problem(site: str) -> str:
    """Why a job would not be heard there, as far as this machine can tell: it would be asked for its token."""
    path = reverse("runs:job_tell", args=[NO_RUN, 0])
    request = Request(f"{site.rstrip('/')}{path}", data=b"{}")  # noqa: S310 - of a setting
    try:
        with urlopen(request, timeout=SITE_SECONDS) as answer:  # noqa: S310
            return f"what is there is another program (it answers {answer.status})"
    except HTTPError as error:
        if error.code == HTTPStatus.UNAUTHORIZED:
            return ""
        return f"it answers {error.code}; see OUTERLOOP_JOB_SITE and OUTERLOOP_ALLOWED_HOSTS"
    except (OSError, HTTPException) as error:
        return f"nothing answers there ({getattr(error, 'reason', error)})"
