"""The tutorial for programs, done: its commands and its code are read out of its text and run as they stand."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from annotation.accounts.models import Rater
from annotation.comparisons.models import Judgment
from annotation.exchange import services, tasks
from outerloop.rounds import api
from outerloop.rounds.models import Round
from tests.outerloop.rounds.world import LoopWorld
from tests.support.people import person_create

TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "tutorial" / "by-program.md"


@pytest.mark.django_db(transaction=True)
def test_the_tutorial_imports_labels_exports_and_starts_a_round(
    live_server: Any,
    settings: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings.VAR_DIR, settings.ARTIFACT_ROOT = tmp_path / "var", tmp_path / "artifacts"
    monkeypatch.setattr(tasks.import_run, "delay", lambda job: services.import_run(job_id=job))
    monkeypatch.setattr(tasks.export_run, "delay", lambda job: services.export_run(job_id=job))
    monkeypatch.setattr(api, "advance_enqueue", lambda round_id, state: None)
    monkeypatch.chdir(tmp_path)
    world = LoopWorld(tmp_path, labels=0)
    for role in ("engineer", "annotator"):
        person_create(role, role, line=world.line.id)

    commands, program = re.findall(
        r"^```(?:python)?\n(.*?)^```$", TUTORIAL.read_text(), re.M | re.S
    )
    for command in commands.splitlines():
        _, name, who, *options = command.split()
        call_command(name, who, *options)
        monkeypatch.setenv(f"{who.upper()}_TOKEN", capsys.readouterr().out.strip())
    monkeypatch.setenv("OUTERLOOP", live_server.url)
    monkeypatch.setenv("LINE", world.line.slug)
    assert len(ast.parse(program).body) <= 12
    exec(compile(program, str(TUTORIAL), "exec"), {})

    (promised,) = re.findall(r"^It prints `([^`]+)`", TUTORIAL.read_text(), re.M)
    assert capsys.readouterr().out.strip() == promised
    rater = Rater.objects.get(user__username="annotator")
    said_why = Judgment.objects.filter(rater=rater, rationale="A kilometre is 1000 m.")
    given = said_why.filter(assignment__comparison__purpose="training")  # a repeat may come on top
    assert given.count() == 20
    for judgment in given:
        first = judgment.assignment.comparison.slots.get(position=1).completion.text
        assert judgment.values.get().value == (1 if first.endswith("000 m") else 7)
    assert Path("labels.jsonl.gz").stat().st_size > 0
    assert Round.objects.get().line == world.line
