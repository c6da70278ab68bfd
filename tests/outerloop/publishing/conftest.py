from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outerloop.publishing import tasks, watching
from outerloop.rounds.models import PolicyLine
from tests.outerloop.rounds.world import bare_line, policy_import
from tests.support.hub_stand_in import TOKEN, Hub, model_hub
from training.facade import ModelVersionRecord


@pytest.fixture
def line(db: None) -> PolicyLine:
    return bare_line()


@pytest.fixture
def version(line: PolicyLine, tmp_path: Path) -> ModelVersionRecord:
    return policy_import(line.pk, tmp_path, "policy v7")


@pytest.fixture
def the_hub(settings: Any) -> Iterator[Hub]:
    """A hub on this machine, which the operator named and allows."""
    settings.OUTERLOOP_OUTGOING_ALLOW = ["127.0.0.1"]
    settings.OUTERLOOP_OUTGOING_HTTP = True
    with model_hub() as hub:
        settings.OUTERLOOP_HUB, settings.OUTERLOOP_HUB_TOKEN = hub.url, TOKEN
        yield hub


@pytest.fixture(autouse=True)
def hints(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The messages to the worker, which no broker gets."""
    sent: list[str] = []
    monkeypatch.setattr(tasks.push_run, "delay", sent.append)
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.02)
    return sent
