"""`manage.py reproduce`: the past round's programs once more, hash by hash."""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from outerloop.rounds.models import Round, RoundStep, State
from tests.outerloop.rounds.world import bare_line
from training import facade as training
from training.contracts import ArtifactRef
from training.runs import reproducing
from training.runs.execution import run_execute
from training.runs.models import Run, Snapshot
from training.runs.reproducing import artifacts_compare, environments_compare

pytestmark = pytest.mark.django_db
KINDS = {State.REWARD_TRAINING: "reward_model", State.POLICY_TRAINING: "ppo"}


@pytest.fixture
def place(settings, tmp_path):
    settings.VAR_DIR = tmp_path / "var"
    return tmp_path / "var" / "reproductions"


@pytest.fixture
def past(behave, monkeypatch):
    """A round whose two programs have run, by the fake program, which makes bytes from the order."""
    monkeypatch.setattr(
        reproducing,
        "launch_command",
        lambda kind, spec, token: [
            *(sys.executable, "-m", "tests.support.fake_recipe", str(spec), "--token", str(token))
        ],
    )
    behave(updates=1)
    line = bare_line()
    round_ = Round.objects.create(line=line, number=1, plan={}, incumbent=uuid.uuid4())
    for position, (state, kind) in enumerate(KINDS.items()):
        run = training.run_create(line_id=line.id, kind=kind, seed=3, config={}, inputs={})
        run_execute(run_id=run.id, owner="w")
        RoundStep.objects.create(round=round_, name=state, position=position, run=run.id)
    return round_


def reproduce(round_, capsys, **options) -> tuple[int, str]:
    code = 0
    try:
        call_command("reproduce", round_.line.slug, str(round_.number), **options)
    except SystemExit as ending:
        code = int(ending.code or 0)
    return code, capsys.readouterr().out


def test_the_same_orders_make_the_same_bytes_and_leave_nothing_behind(past, place, capsys):
    before = list(Run.objects.order_by("pk").values())
    code, said = reproduce(past, capsys)
    assert code == 0
    assert "Every artifact has the same bytes as then." in said
    assert all(name in said for name in ("reward_model", "held_out_reward_model", "policy"))
    assert "NO" not in said
    assert not list(place.glob("*"))
    assert list(Run.objects.order_by("pk").values()) == before


def test_another_hash_ends_with_status_1_and_names_what_else_differs(past, place, capsys):
    run = Run.objects.get(kind="ppo")
    manifest: dict[str, Any] = run.manifest or {}
    manifest["artifacts"][0]["sha256"] = "a" * 64
    manifest["environment"] |= {"python": "2.7.18", "packages": {"torch": "1.0.0"}}
    run.save()
    code, said = reproduce(past, capsys)
    assert code == 1
    assert "aaaaaaaaaaaa" in said
    assert "NO" in said
    assert "differs: python was 2.7.18, is 3." in said
    assert "differs: torch was 1.0.0, is not recorded" in said


def test_steps_are_picked_and_kept(past, place, capsys):
    code, said = reproduce(past, capsys, step=["ppo"], keep=True)
    assert code == 0
    assert "held_out_reward_model" not in said
    (folder,) = place.glob("*/*")
    assert folder.name.startswith("ppo-")
    recorded = Run.objects.get(kind="ppo")
    assert json.loads((folder / "spec.json").read_text()) == recorded.spec
    assert reproduce(past, capsys, step=["ppo"])[0] == 0  # its own folder may be used again


def test_a_changed_snapshot_file_is_a_mismatch(past, place, capsys, settings):
    path = Path(settings.ARTIFACT_ROOT) / "snapshots" / "x.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("{}\n")
    snapshot = Snapshot.objects.create(
        line=past.line_id, recipe={}, sha256="b" * 64, path="snapshots/x.jsonl", rows=1
    )
    Round.objects.filter(pk=past.pk).update(snapshot=snapshot.id)
    code, said = reproduce(past, capsys, step=["ppo"])
    assert code == 1
    assert "bbbbbbbbbbbb" in said


def test_what_cannot_be_carried_out_again_is_said_in_one_sentence(past, behave, place, capsys):
    with pytest.raises(CommandError, match="no round 9"):
        call_command("reproduce", past.line.slug, "9")
    with pytest.raises(CommandError, match="it has: reward_model, ppo"):
        call_command("reproduce", past.line.slug, "1", step=["sft"])
    behave(fail="The input 'policy' cannot be used: it is gone.")
    with pytest.raises(CommandError, match="reward_model: The input 'policy' cannot be used"):
        call_command("reproduce", past.line.slug, "1")


def test_a_folder_with_files_of_others_is_left_alone(past, tmp_path):
    run = Run.objects.get(kind="ppo")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(training.ReproductionFailed, match="name an empty folder"):
        training.run_reproduce(run_id=run.id, directory=mine)
    assert (mine / "thesis.txt").exists()


def test_what_lies_in_the_named_directory_stays_there(past, tmp_path, capsys):
    mine = tmp_path / "mine"
    (mine / "thesis").mkdir(parents=True)
    (mine / "thesis" / "chapter.txt").write_text("three years of work")
    assert reproduce(past, capsys, directory=mine)[0] == 0
    assert [path.name for path in mine.rglob("*")] == ["thesis", "chapter.txt"]
    with pytest.raises(CommandError, match="is a file; name a folder"):
        reproduce(past, capsys, directory=mine / "thesis" / "chapter.txt")


def test_artifacts_of_either_side_are_compared_by_name():
    def made(name, sha256):
        return ArtifactRef(name, "file", name, sha256, 1)

    compared = artifacts_compare((made("a", "1"), made("b", "2")), (made("b", "3"), made("c", "4")))
    assert [(c.name, c.recorded, c.again, c.equal) for c in compared] == [
        ("a", "1", "", False),
        ("b", "2", "3", False),
        ("c", "", "4", False),
    ]
    assert artifacts_compare((made("a", "1"),), (made("a", "1"),))[0].equal


def test_environments_are_compared_fact_by_fact():
    then = {"python": "3.11.1", "threads": 2, "packages": {"torch": "2.6", "numpy": "2.0"}}
    now = {"python": "3.11.1", "threads": 1, "packages": {"torch": "2.7", "numpy": "2.0"}}
    assert environments_compare(then, now) == (("threads", "2", "1"), ("torch", "2.6", "2.7"))
