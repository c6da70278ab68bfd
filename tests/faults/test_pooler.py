"""Behind a pooler of transactions nothing is lost that a session would have kept.

What the product does there is carried out by a program that reads DATABASE_URL, with other transactions
before and between: three sessions serve everybody.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pooler import pooled, pooler_missing
from tests.support.postgres import PostgresServer, wheel_binaries

pytestmark = pytest.mark.slow
CHECKOUT = Path(__file__).resolve().parents[2]

BEGIN = """
import django; django.setup()
from contextlib import ExitStack
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
User = get_user_model()

def others(stack, count=2):
    "So many connections that hold a session each, so that the next transaction gets another."
    for _ in range(count):
        own = stack.enter_context(__import__("contextlib").closing(connection.copy()))
        own.set_autocommit(False)
        own.cursor().execute("SELECT 1")
"""
ROWS = """
User.objects.bulk_create(User(username=f"u{n}", email=f"{n}@x.org") for n in range(20))
seen = []
for name in User.objects.order_by("username").values_list("username", flat=True).iterator(chunk_size=2):
    if len(seen) == 4:
        with ExitStack() as stack:
            others(stack)
            User.objects.count()
    seen.append(name)
    User.objects.filter(username=name).update(first_name="seen")
assert len(seen) == 20, seen
"""
LOCK = """
from outerloop.operations.backup.manifest import BackupError
from outerloop.operations.locks import maintenance_lock
with maintenance_lock("one"), ExitStack() as stack:
    for _ in range(4):
        try:
            with maintenance_lock("another"):
                raise SystemExit("two had it at once")
        except BackupError:
            pass
        User.objects.count()
with maintenance_lock("a later one"):
    pass
"""
MESSAGES = """
from outerloop.celery import app
assert settings.CELERY_BROKER_URL.startswith("sqla+")
with app.connection_for_write() as broker:
    queue = broker.SimpleQueue("tests")
    for number in range(30):
        queue.put({"number": number})
    with ExitStack() as stack:
        others(stack, 1)
        found = [queue.get(timeout=20) for _ in range(30)]
    assert [each.payload["number"] for each in found] == list(range(30))
"""
KEPT = """
import sys
call_command("prepare")
call_command("backup", sys.argv[1])
call_command("restore", sys.argv[1], verify=True)
call_command("doctor")
"""
ACTS = {
    "rows in pieces": ROWS,
    "the maintenance lock": LOCK,
    "messages": MESSAGES,
    "a backup": KEPT,
}


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    if lacks := pooler_missing():
        pytest.skip(lacks)
    folder = tmp_path_factory.mktemp("pooler")
    with PostgresServer(wheel_binaries(), durable=False) as server:
        server.execute("CREATE DATABASE pooled")
        with pooled(server, "pooled") as url:
            found = {
                "DJANGO_SETTINGS_MODULE": "outerloop.settings.dev",
                "DATABASE_URL": url,
                "DATABASE_DIRECT_URL": server.url("pooled"),
                "CELERY_BROKER_URL": "",
                "OUTERLOOP_VAR": str(folder / "var"),
                "OUTERLOOP_ARTIFACTS": str(folder / "artifacts"),
            }
            done = carried_out("call_command('migrate', verbosity=0)", found)
            assert done.returncode == 0, done.stderr[-3000:]
            yield found


def carried_out(
    code: str, surroundings: dict[str, str], *words: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BEGIN + code, *words],
        cwd=CHECKOUT, env={**os.environ, **surroundings}, capture_output=True, text=True,
        check=False, timeout=600,
    )  # fmt: skip


@pytest.mark.parametrize("act", list(ACTS))
def test_it_is_done_whole_through_the_pooler(
    act: str, surroundings: dict[str, str], tmp_path: Path
) -> None:
    done = carried_out(ACTS[act], surroundings, str(tmp_path / "kept.tar"))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    if act == "a backup":
        assert (
            "ok    Past the pooler: DATABASE_DIRECT_URL leads to the same database" in done.stdout
        )


@pytest.mark.parametrize("act", ["rows in pieces", "the maintenance lock"])
def test_without_the_way_past_it_they_fail(act: str, surroundings: dict[str, str]) -> None:
    """So that the tests above can fail: nothing of a session holds through this pooler."""
    code = ACTS[act].replace('f"u{n}"', 'f"v{n}"').replace('f"{n}@x.org"', 'f"v{n}@x.org"')
    done = carried_out(code, {**surroundings, "DATABASE_DIRECT_URL": ""})
    assert done.returncode != 0


def test_doctor_says_that_a_pooler_is_there(surroundings: dict[str, str]) -> None:
    done = carried_out("call_command('doctor')", {**surroundings, "DATABASE_DIRECT_URL": ""})
    assert "note  Pooler: DATABASE_URL leads through one" in done.stdout
