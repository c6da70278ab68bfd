from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.fake_runs import fake_programs
from training.runs.models import Run
from training.runs.services import run_create


@pytest.fixture(autouse=True)
def store(settings: Any, tmp_path: Any) -> Any:
    """An artifact store of the test's own, and a heartbeat that a test can wait for."""
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    settings.OUTERLOOP_HEARTBEAT_SECONDS = 0.05
    return settings.ARTIFACT_ROOT


@pytest.fixture
def behave(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    return fake_programs(monkeypatch)


@pytest.fixture
def order() -> Callable[..., Run]:
    def create(kind: str = "ppo", **config: Any) -> Run:
        made = run_create(line_id=uuid.uuid4(), kind=kind, seed=3, config=config, inputs={})
        return Run.objects.get(pk=made.id)

    return create
