"""What tests of several recipes begin with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from accelerate.state import AcceleratorState


@pytest.fixture
def mixed_precision(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As with `mixed_precision: bf16` in the configuration; accelerate keeps its choice for the process."""
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
