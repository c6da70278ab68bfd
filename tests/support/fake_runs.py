"""Runs whose program is `tests.support.fake_recipe`: real processes and real files, without torch."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection

from training.runs import execution
from training.runs.models import Run


def fake_command(run: Run, config: Path | None = None) -> list[str]:
    spec = str(run.directory / "spec.json")
    return [sys.executable, "-m", "tests.support.fake_recipe", spec, "--token", str(run.fence)]


def fake_programs(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Start the fake in place of every recipe; the function returned says how it is to behave."""
    from django.conf import settings

    monkeypatch.setattr(execution, "child_command", fake_command)
    monkeypatch.setattr(execution, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(settings, "OUTERLOOP_CHILD_VARIABLES", ["FAKE_RECIPE"])

    def behave(**behaviour: Any) -> None:
        monkeypatch.setenv("FAKE_RECIPE", json.dumps(behaviour))

    behave()
    return behave


def attempts(directory: Path) -> list[dict[str, Any]]:
    path = directory / "attempts.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def updates(directory: Path) -> list[int]:
    """The updates that were carried out, in order, whoever did them."""
    path = directory / "updates.log"
    return [int(line.split()[0]) for line in path.read_text().splitlines()] if path.exists() else []


def eventually(holds: Callable[[], Any], *, seconds: float = 30) -> Any:
    """What `holds` returns once it is true; fails when it does not become so in time."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def database_url() -> str:
    """The test database as DATABASE_URL, for a program of the product that a test starts."""
    database = {key: str(value) for key, value in connection.settings_dict.items()}
    secret = f":{quote(database['PASSWORD'], safe='')}" if database["PASSWORD"] else ""
    user, name, host = f"{database['USER']}{secret}", database["NAME"], database["HOST"]
    if host.startswith("/"):
        return f"postgresql://{user}@/{name}?host={host}"
    port = f":{database['PORT']}" if database["PORT"] else ""
    return f"postgresql://{user}@{host}{port}/{name}"


def product_environment(var: Path, **more: str) -> dict[str, str]:
    """The environment of a program of the product that works on the test database and store."""
    from django.conf import settings

    return {
        **os.environ,
        "DATABASE_URL": database_url(),
        "DJANGO_SETTINGS_MODULE": "outerloop.settings.dev",
        "OUTERLOOP_VAR": str(var),
        "OUTERLOOP_ARTIFACTS": str(settings.ARTIFACT_ROOT),
        "CELERY_BROKER_URL": "",
        "OMP_NUM_THREADS": "1",
        "OUTERLOOP_CHILD_VARIABLES": "FAKE_RECIPE",
        **more,
    }
