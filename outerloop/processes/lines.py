"""The processes of a running installation, as command lines: `up`, the demo and the images share them."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field

from django.conf import settings


@dataclass(frozen=True)
class ProcessLine:
    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)


def process_lines(*, host: str = "127.0.0.1", port: int = 8000) -> list[ProcessLine]:
    return [
        site_line(host, port),
        worker_line("worker", "default"),
        worker_line("files", "files"),
        worker_line("webhooks", "webhooks"),
        worker_line("gpu", "gpu"),
        beat_line(),
        ProcessLine("policy", (sys.executable, "manage.py", "policy_server")),
    ]


def site_line(host: str, port: int) -> ProcessLine:
    workers = str(min(4, max(2, os.cpu_count() or 1)))
    return ProcessLine(
        "site",
        (
            sys.executable, "-m", "gunicorn", "outerloop.wsgi",
            "--bind", f"{host}:{port}",
            "--workers", workers,
            "--threads", str(settings.SITE_THREADS),
            "--worker-class", "gthread",
            "--timeout", "60",
            "--graceful-timeout", "3",
            "--access-logfile", "/dev/null",
            "--no-control-socket",
        ),
    )  # fmt: skip


def worker_line(name: str, queue: str) -> ProcessLine:
    """One task at a time, in the worker's own process: the work is in children, or short."""
    return ProcessLine(
        name,
        (
            sys.executable, "-m", "celery", "-A", "outerloop", "worker",
            "--queues", queue,
            "--pool", "solo",
            "--hostname", f"{name}@%h",
            "--without-gossip", "--without-mingle", "--without-heartbeat",
        ),
        _quiet(),
    )  # fmt: skip


def beat_line() -> ProcessLine:
    """Without a pidfile, which a kill would leave behind: `sharing` keeps a second one away."""
    command = (sys.executable, "-m", "celery", "-A", "outerloop", "beat", "--pidfile=")
    return ProcessLine("beat", command, _quiet())


def _quiet() -> dict[str, str]:
    """On a terminal workers say only what needs a person, unless OUTERLOOP_LOG_LEVEL is set."""
    return {"OUTERLOOP_LOG_LEVEL": os.environ.get("OUTERLOOP_LOG_LEVEL") or "WARNING"}
