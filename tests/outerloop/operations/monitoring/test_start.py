"""The start-up of the containers, run outside of any: migrate, then a site that its probe finds ready."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django_celery_beat.models import PeriodicTask

from tests.support.fake_runs import product_environment

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """As in compose.yaml: production settings and secrets from the environment."""
    return product_environment(
        tmp_path / "var",
        DJANGO_SETTINGS_MODULE="outerloop.settings.prod",
        OUTERLOOP_SECRET_KEY="s" * 60,
        OUTERLOOP_ALLOWED_HOSTS="loop.example.org",
        OUTERLOOP_ARTIFACTS=str(tmp_path / "artifacts"),
        PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        PORT=str(free_port()),
        WEB_CONCURRENCY="1",
    )


def start(role: str, environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(
            [str(Path(settings.BASE_DIR) / "docker" / "start.sh"), role],
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


@pytest.fixture
def site(environment: dict[str, str], tmp_path: Path) -> Iterator[Any]:
    process = start("site", environment, tmp_path / "site.log")
    yield process
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def probe(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    address = f"http://127.0.0.1:{environment['PORT']}/health/ready"
    return subprocess.run(
        [sys.executable, "-m", "outerloop.operations.monitoring.probe", address],
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_after_migrate_the_site_of_the_container_comes_up_ready_and_ends_at_sigterm(
    environment, site, tmp_path
):
    PeriodicTask.objects.all().delete()
    assert start("migrate", environment, tmp_path / "migrate.log").wait(120) == 0
    assert PeriodicTask.objects.filter(name="sweep rounds").exists()
    deadline = time.monotonic() + 90
    while (asked := probe(environment)).returncode != 0:
        assert site.poll() is None, (tmp_path / "site.log").read_text()
        assert time.monotonic() < deadline, asked.stderr + (tmp_path / "site.log").read_text()
        time.sleep(0.5)
    site.send_signal(signal.SIGTERM)
    assert site.wait(30) == 0
