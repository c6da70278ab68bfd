from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from evaluation.contracts import JudgeSettings
from evaluation.judges import client
from evaluation.judges.models import LineJudge
from evaluation.judges.wording import PairToJudge

Setting = Callable[..., JudgeSettings]


@pytest.fixture(autouse=True)
def inside(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator allows this machine; nobody waits long between tries."""
    settings.OUTERLOOP_OUTGOING_ALLOW = ["127.0.0.1"]
    settings.OUTERLOOP_OUTGOING_HTTP = True
    settings.OUTERLOOP_JUDGE_KEYS = {}
    monkeypatch.setattr(client, "PAUSE_SECONDS", 0.01)


def judge_at(url: str, **changes: Any) -> JudgeSettings:
    told: dict[str, Any] = {"url": url, "model": "wise-1", "rubric": "Be good.", "seconds": 5.0}
    return JudgeSettings(**{**told, **changes})


def line_with_judge(url: str, **changes: Any) -> uuid.UUID:
    line = uuid.uuid4()
    LineJudge.objects.create(
        line=line, active=True, settings=judge_at(url, **changes).to_json(), saved_by="set-up"
    )
    return line


def some_pairs(count: int, *, good: float = 1.0) -> list[PairToJudge]:
    """On the first share `good` the candidate is good and the longer; on the others the incumbent is."""
    pairs = []
    for i in range(count):
        texts = (f"a good answer {i:04}", f"an answer {i:04}")
        ours, theirs = texts if i < good * count else (texts[1], texts[0])
        turns = [{"role": "user", "content": f"Question {i}?"}]
        pairs.append(PairToJudge(str(uuid.uuid4()), f"group-{i}", turns, ours, theirs))
    return pairs
