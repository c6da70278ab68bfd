from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from outerloop.rounds.models import PolicyLine
from outerloop.webhooks import tasks
from tests.outerloop.rounds.world import bare_line
from tests.support.receivers import Receiver, receiver


@pytest.fixture
def line(db: None) -> PolicyLine:
    return bare_line()


@pytest.fixture
def inside(settings: Any) -> Iterator[Receiver]:
    """A receiver on this machine, which the operator allows."""
    settings.OUTERLOOP_OUTGOING_ALLOW = ["127.0.0.1"]
    settings.OUTERLOOP_OUTGOING_HTTP = True
    with receiver() as told:
        yield told


@pytest.fixture(autouse=True)
def hints(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The messages to the sender, which no broker gets."""
    sent: list[str] = []
    monkeypatch.setattr(tasks.send, "apply_async", lambda: sent.append("send"))
    return sent
