"""A command on a database without tables says what to do, in one sentence."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from django.conf import settings

from tests.support.fake_runs import database_url, product_environment
from tests.support.recipe_processes import forked_call

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

SENTENCE = "The database lacks tables that this code needs: run `python manage.py migrate` first."
SOMEBODY = str(uuid.UUID(int=1))

Said = dict[str, tuple[int, str]]

COMMANDS = [
    ["import_judgments", "VOTES"],
    ["export_judgments", "TARGET", "--line", SOMEBODY],
    ["api_token", "somebody"],
    ["erase_person", "somebody", "--yes"],
    ["create_line", "Help desk", "--base", "MODEL"],
    ["reproduce", "line", "1"],
    ["backup", "TARGET"],
    ["retention"],
    ["prepare"],
    ["policy_server", "--port", "0"],
]
PROCESSES = [
    ["-m", "celery", "-A", "outerloop", "worker", "--pool", "solo"],
    ["-m", "celery", "-A", "outerloop", "beat", "--pidfile="],
]
NAMES = [words[4] if words in PROCESSES else words[0] for words in [*COMMANDS, *PROCESSES]]


@pytest.fixture(scope="module")
def empty(django_db_setup: None, django_db_blocker: object) -> Iterator[str]:
    """The address of a database of its own, with nothing in it."""
    name = f"bare_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(database_url(), autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}".encode())
        try:
            place, _, query = database_url().partition("?")
            yield f"{place.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="module")
def said(empty: str, tmp_path_factory: pytest.TempPathFactory) -> Said:
    """How each command line ended on that database, and what it said."""
    place = tmp_path_factory.mktemp("commands")
    forked_call("tests.support.tiny_models", "tiny_policy_artifacts", place / "model")
    (place / "votes.jsonl").write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n')
    places = {
        "VOTES": str(place / "votes.jsonl"),
        "TARGET": str(place / "target"),
        "MODEL": str(place / "model"),
    }
    lines = [[places.get(word, word) for word in words] for words in [*COMMANDS, *PROCESSES]]
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.commands_in_turn"],
        input=json.dumps(lines),
        cwd=settings.BASE_DIR,
        env=product_environment(place / "var", DATABASE_URL=empty),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    return dict(zip(NAMES, answers, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_every_command_and_process_says_to_migrate(said: Said, name: str) -> None:
    code, words = said[name]
    assert code != 0
    assert SENTENCE in words, words
    assert "Traceback" not in words
