"""The how-to that `benchmarks.production` types, and its people, on a site of the tests."""

from __future__ import annotations

import json
import re
import ssl
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from annotation.accounts.models import User
from annotation.campaigns.models import Campaign
from annotation.exchange import services as exchange
from annotation.exchange import tasks as exchange_tasks
from benchmarks import production, production_people
from benchmarks.production_systemctl import settings_read
from outerloop.processes.lines import process_lines
from outerloop.rounds import bases, tasks
from outerloop.rounds.models import PolicyLine, State
from tests.outerloop.rounds.world import model_folder
from training import facade as training

UNITS = {f"outerloop-{line.name}" for line in process_lines()}


def test_every_unit_is_started_on_one_machine_of_the_page() -> None:
    started = [
        unit
        for block in production.blocks()
        for line in re.findall(r"^systemctl enable --now (.*)$", block.script, re.M)
        for unit in line.split()
    ]
    assert sorted(started) == sorted(UNITS)


def test_every_block_of_the_page_says_where_it_is_typed() -> None:
    fences = production.PAGE.read_text().count("\n```\n")
    blocks = production.blocks()
    assert fences == 2 * len(blocks)
    assert {name for block in blocks for name in block.machines} == {"site", "worker", "trainer"}
    whole = "".join(block.script for block in blocks)
    assert all(f"{line}\n" in whole for line in production.IN_PLACE)


def test_the_settings_of_the_page_are_ones_that_there_are() -> None:
    written = set(re.findall(r"^([A-Z_]+)=", production.PAGE.read_text(), re.M))
    reference = (production.PAGE.parents[1] / "reference" / "settings.md").read_text()
    assert "DATABASE_DIRECT_URL" in written
    assert not {name for name in written if f"`{name}`" not in reference}


def test_a_units_settings_are_read_as_systemd_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "x.env"
    file.write_text('# words\nA=1\nB="postgresql://u:p@h/d?sslmode=require&x=y"\n')
    assert settings_read(str(file)) == {"A": "1", "B": "postgresql://u:p@h/d?sslmode=require&x=y"}
    assert settings_read(f"-{tmp_path}/none") == {}


@pytest.fixture
def folder(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An allowed model that fits. What workers do is done at once."""
    settings.VAR_DIR, settings.ARTIFACT_ROOT = tmp_path, tmp_path / "artifacts"
    settings.OUTERLOOP_MODEL_FOLDERS = [str(tmp_path / "models")]
    take = exchange.import_run
    monkeypatch.setattr(exchange_tasks.import_run, "delay", lambda job: take(job_id=job))
    monkeypatch.setattr(tasks.advance, "apply_async", lambda **sent: None)
    monkeypatch.setattr(
        tasks.base_take, "apply_async", lambda args, **sent: bases.base_take(args[0])
    )
    fits = "ok   chat template: 'user: What is a cat?'"
    monkeypatch.setattr(training, "model_check", lambda folder, **asked: fits)
    return model_folder(tmp_path / "models" / "base")


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_its_people_set_a_line_up_through_the_pages(
    folder: Path, live_server: Any, settings: Any, capsys: Any
) -> None:
    settings.OUTERLOOP_SITE_URL = live_server.url
    authority = str(ssl.get_default_verify_paths().cafile or "") or None
    call_command("invite", "ada", "ada@example.org")
    lead = production_people.Person(live_server.url, authority)
    lead.join(capsys.readouterr().out.strip(), "ada")
    said: list[str] = []
    loop = production_people.Loop(
        lead, lambda: production_people.Person(live_server.url, authority), said.append
    )
    loop.set_up(str(folder), production.PLAN)
    line = PolicyLine.objects.get()
    assert line.rounds.get().state == State.SAMPLING_PAIRS
    assert (line.plan["next_pairs"], line.plan["policy"]["updates"]) == (40, 2)
    assert Campaign.objects.get().state == "active"
    assert User.objects.count() == 10
    assert loop.label() == 0  # nobody has written pairs yet
    assert json.dumps(said).count("700 prompts") == 1
