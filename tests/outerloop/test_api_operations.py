"""Schemathesis over every operation, with data behind them: no 500, and nothing but what the document says.

Each actor by token, with well-formed and with malformed requests; the ids in the addresses are those of
things that are there, and in a part of the cases of nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from outerloop.rounds import tasks as rounds
from tests.access.table import ANNOTATOR, CHIEF, ENGINEER, LEAD, NOBODY, OUTSIDER
from tests.access.world import House, house_build

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
CASES = {CHIEF: 6, ENGINEER: 3, LEAD: 1, ANNOTATOR: 3, NOBODY: 1, OUTSIDER: 1}


@pytest.fixture
def house(
    db: None, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[House]:
    settings.VAR_DIR = tmp_path
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    settings.OUTERLOOP_API_PER_MINUTE = 1_000_000
    monkeypatch.setattr(logging.getLogger("django.request"), "disabled", True)
    # The message itself: a module first imported now would keep a function in its place for ever.
    for task in (rounds.advance, rounds.base_take):
        monkeypatch.setattr(task, "apply_async", lambda args, queue: None)
    signals = (request_started, request_finished)
    for signal in signals:  # as Django's own test client does: the test's connection stays open
        signal.disconnect(close_old_connections)
    yield house_build(tmp_path)
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.mark.slow
@pytest.mark.parametrize("actor", CASES)
def test_every_operation_answers_as_the_document_says(house: House, actor: str) -> None:
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", get_wsgi_application())
    headers = {"Authorization": f"Bearer {house.tokens[actor]}"} if actor != OUTSIDER else {}
    found: Any = schema.get_all_operations()
    operations = [each.ok() for each in found]
    assert len(operations) > 35
    statuses: dict[str, set[int]] = {}
    for operation in operations:
        _asked(operation, house, headers, CASES[actor], statuses.setdefault(operation.label, set()))
    if actor == OUTSIDER:
        assert set.union(*statuses.values()) == {401}
    if actor in (CHIEF, ENGINEER):  # what was asked went behind the schemas
        answered = {label for label, found in statuses.items() if min(found) < 300}
        assert len(answered) > 20, statuses


def _asked(
    operation: Any, house: House, headers: dict[str, str], examples: int, found: set[int]
) -> None:
    wanted = {
        p["name"] for p in operation.definition.raw.get("parameters", ()) if p["in"] == "path"
    }
    own = {"job_id": house.arguments["import_id"]} if "/imports/" in operation.path else {}
    there = {name: str({**house.arguments, **own}[name]) for name in wanted}
    good = operation.as_strategy(GenerationMode.POSITIVE, path_parameters=there or None)
    anything = operation.as_strategy(GenerationMode.POSITIVE)
    bad = operation.as_strategy(GenerationMode.NEGATIVE, path_parameters=there or None)

    @seed(20)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.one_of(good, good, bad, anything))
    def answers(case: Any) -> None:
        with transaction.atomic():
            if isinstance(case.body, dict) and "line" in case.body and case.meta is not None:
                case.body["line"] = str(house.line)
            answer = case.call(headers=headers)
            found.add(answer.status_code)
            transaction.set_rollback(True)
        case.validate_response(answer, checks=CHECKS)

    answers()
