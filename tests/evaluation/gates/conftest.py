from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.gates.world import LineWorld


@pytest.fixture
def artifacts(settings: Any, tmp_path: Path) -> Path:
    """An artifact store of the test's own."""
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    settings.VAR_DIR = tmp_path / "var"
    return tmp_path


@pytest.fixture
def world(db: None, artifacts: Path) -> LineWorld:
    return LineWorld(artifacts)
