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
from outerloop.rounds import api, bases, line_api
from outerloop.rounds.models import PolicyLine, Round
from tests.outerloop.rounds.world import LoopWorld, model_folder
from tests.support.people import person_create
from tests.support.programs import a_program
from training import facade as training
from web.client import Outerloop, OuterloopError

TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "tutorial" / "by-program.md"


def blocks() -> list[str]:
    return re.findall(r"^```(?:python)?\n(.*?)^```$", TUTORIAL.read_text(), re.M | re.S)


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

    commands, program, _ = blocks()
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


@pytest.mark.django_db(transaction=True)
def test_the_tutorial_makes_a_line_with_nothing_there(
    live_server: Any, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.VAR_DIR, settings.ARTIFACT_ROOT = tmp_path / "var", tmp_path / "artifacts"
    settings.OUTERLOOP_MODEL_FOLDERS = [str(tmp_path / "models")]
    folder = model_folder(tmp_path / "models" / "llama")
    monkeypatch.setattr(training, "model_check", lambda path, **about: "ok   model: it fits")
    monkeypatch.setattr(line_api, "base_enqueue", bases.base_take)
    monkeypatch.setattr(line_api, "advance_enqueue", lambda round_id, state: None)
    token = a_program("engineer", "read", "lines", "campaigns", "import").secret
    engineer = Outerloop(live_server.url, token)
    program = blocks()[2].replace("/srv/models/llama-3.2-1b", str(folder))
    exec(compile(program, str(TUTORIAL), "exec"), {"engineer": engineer})

    line = PolicyLine.objects.get()
    assert (line.name, line.slug) == ("Help desk", "help-desk")
    round_ = Round.objects.get()
    assert (round_.line, round_.number, round_.state) == (line, 0, "SAMPLING_PAIRS")
    assert round_.incumbent == line.base_version
    with pytest.raises(OuterloopError, match="has its base policy already"):
        engineer.base_order(str(line.pk), folder=str(folder))


@pytest.mark.django_db(transaction=True)
def test_a_model_that_is_not_taken_is_told_to_the_program(
    live_server: Any, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unfit(path: Path, **about: Any) -> str:
        raise training.ModelUnfit("It has no chat template.")

    settings.OUTERLOOP_MODEL_FOLDERS = [str(tmp_path)]
    folder = model_folder(tmp_path / "llama")
    monkeypatch.setattr(training, "model_check", unfit)
    monkeypatch.setattr(line_api, "base_enqueue", lambda order_id: None)
    engineer = Outerloop(live_server.url, a_program("engineer", "read", "lines").secret)
    line = engineer.line_create("Help desk", folder=str(folder))["id"]
    with pytest.raises(TimeoutError, match="is queued after 0 s"):
        engineer.base_wait(line, every=0.01, seconds=0)
    bases.base_take(PolicyLine.objects.get().base_orders.get().pk)
    with pytest.raises(RuntimeError, match="It has no chat template"):
        engineer.base_wait(line)
