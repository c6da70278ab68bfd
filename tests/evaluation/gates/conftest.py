from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from tests.evaluation.gates.world import LineWorld
from tests.support.people import person_create


@pytest.fixture
def artifacts(settings: Any, tmp_path: Path) -> Path:
    """An artifact store of the test's own."""
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    settings.VAR_DIR = tmp_path / "var"
    return tmp_path


@pytest.fixture
def world(db: None, artifacts: Path) -> LineWorld:
    return LineWorld(artifacts)


@pytest.fixture
def sign_in(client: Client, world: LineWorld) -> Any:
    def enter(role: str) -> Client:
        known = get_user_model().objects.filter(username=f"{role}-person").first()
        client.force_login(known or person_create(f"{role}-person", role, line=world.line))
        return client

    return enter
