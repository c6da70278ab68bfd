from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from evaluation.gates.services import decisions
from outerloop.rounds import tasks
from outerloop.rounds.steps import STEPS
from tests.outerloop.rounds.world import Evidence, LoopWorld, StubSteps, bare_line
from tests.support.fake_runs import fake_programs
from tests.support.people import person_create


@pytest.fixture(autouse=True)
def store(settings: Any, tmp_path: Path) -> Path:
    """An artifact store of the test's own, and a heartbeat that a test can wait for."""
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    settings.OUTERLOOP_HEARTBEAT_SECONDS = 0.05
    return tmp_path / "artifacts"


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The messages to workers, (id of the round or order, queue): tests keep none in a broker."""
    messages: list[tuple[str, str]] = []

    def keep(args: list[str], queue: str) -> None:
        messages.append((args[0], queue))

    monkeypatch.setattr(tasks.advance, "apply_async", keep)
    monkeypatch.setattr(tasks.base_take, "apply_async", keep)
    return messages


@pytest.fixture
def loop(db: None, tmp_path: Path) -> LoopWorld:
    return LoopWorld(tmp_path)


@pytest.fixture
def behave(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    return fake_programs(monkeypatch)


@pytest.fixture
def evidence(monkeypatch: pytest.MonkeyPatch) -> Evidence:
    made = Evidence()
    monkeypatch.setattr(decisions, "round_measure", made)
    return made


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> StubSteps:
    made = StubSteps()
    for state in list(STEPS):
        monkeypatch.setitem(STEPS, state, made.work)
    return made


@pytest.fixture
def actors(loop: LoopWorld) -> dict[str, Any]:
    line = loop.line.id
    return {
        "stranger": person_create("stranger"),
        "annotator": person_create("ann", "annotator", line=line),
        "engineer": person_create("eve", "engineer", line=line),
        "lead": person_create("lea", "lead", line=line),
        "other lead": person_create("leo", "lead", "engineer", line=bare_line().id),
        "lead of all": person_create("all", "lead"),
    }


@pytest.fixture
def as_(client: Client, actors: dict[str, Any]) -> Callable[[str], Client]:
    def sign_in(name: str) -> Client:
        client.force_login(actors[name], backend="django.contrib.auth.backends.ModelBackend")
        return client

    return sign_in
