from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def store(settings: Any, tmp_path: Path) -> Path:
    """An artifact store and a data folder of the test's own."""
    settings.ARTIFACT_ROOT = tmp_path / "var" / "artifacts"
    settings.VAR_DIR = tmp_path / "var"
    return tmp_path / "var" / "artifacts"
