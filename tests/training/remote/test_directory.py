"""What of a run directory the next attempt gets: all of one moment, or nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from training.core.run.artifacts import directory_write
from training.digests import path_sha256
from training.remote.directory import directory_listed, directory_staged, staged_units


def written(folder: Path, content: str) -> None:
    (folder / "state.json").write_text(content)
    (folder / "deeper").mkdir()
    (folder / "deeper" / "more").write_text("more")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run directory in the middle of its work."""
    made = tmp_path / "runs" / "7f"
    (made / "jobs" / "1").mkdir(parents=True)
    for name in (
        *("spec.json", "fence", "lock", "pause", "cancel", "error.json", "events.jsonl"),
        *("child.log", "jobs/1/accelerate.yaml", ".hidden.tmp-1", "chosen.partial"),
    ):
        (made / name).write_text(name)
    (made / "samples.jsonl").write_text("one\n")
    directory_write(made / "checkpoints" / "checkpoint-3", lambda at: written(at, "3"))
    return made


def test_what_belongs_to_the_attempt_or_is_being_written_stays_behind(run):
    (run / "checkpoints" / ".checkpoint-4.tmp-9").mkdir()
    (run / "checkpoints" / ".checkpoint-4.tmp-9" / "state.json").write_text("half")
    assert directory_staged(run) is not None
    units = {unit.path: unit for unit in staged_units(run, "runs/7f")}
    assert units.keys() == {"runs/7f/checkpoints/checkpoint-3", "runs/7f/samples.jsonl"}
    checkpoint = units["runs/7f/checkpoints/checkpoint-3"]
    assert checkpoint.folder
    assert set(checkpoint.files) == {"state.json", "deeper/more", "manifest.json"}
    assert checkpoint.sha256 == path_sha256(run / "checkpoints" / "checkpoint-3")
    assert units["runs/7f/samples.jsonl"].sha256 == path_sha256(run / "samples.jsonl")


def test_what_was_staged_outlives_what_the_program_does_next(run):
    directory_staged(run)
    whole = path_sha256(run / "checkpoints" / "checkpoint-3")
    for path in sorted((run / "checkpoints" / "checkpoint-3").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    with (run / "samples.jsonl").open("a") as file:
        file.write("two\n")
    units = {unit.path: unit for unit in staged_units(run, "runs/7f")}
    checkpoint = units["runs/7f/checkpoints/checkpoint-3"]
    assert checkpoint.sha256 == whole
    (samples,) = units["runs/7f/samples.jsonl"].sources.values()
    assert samples.read_text() == "one\n"


def test_a_directory_that_changes_meanwhile_is_looked_at_again(run, monkeypatch):
    copy = shutil.copy2

    def meanwhile(source: Path, target: Path) -> None:
        copy(source, target)
        directory_write(run / "checkpoints" / "checkpoint-4", lambda at: written(at, "4"))

    monkeypatch.setattr(shutil, "copy2", meanwhile)
    assert directory_staged(run) is None
    monkeypatch.setattr(shutil, "copy2", copy)
    assert directory_staged(run) == directory_listed(run)


def test_what_a_manifest_lists_is_kept_as_one_thing(run):
    policy = run / "policy"
    policy.mkdir()
    (policy / "config.json").write_text("{}")
    (policy / "model.safetensors").write_text("weights")
    about = {"name": "policy", "kind": "policy", "path": "policy", "sha256": "0", "bytes": 9}
    (run / "manifest.json").write_text(
        json.dumps(
            {
                **{"run_id": "7f", "kind": "sft", "spec_sha256": "0", "artifacts": [about]},
                **{"results": {}, "environment": {}, "seconds": 1.0, "peak_memory_mb": 1.0},
            }
        )
    )
    directory_staged(run)
    units = {unit.path: unit for unit in staged_units(run, "runs/7f")}
    assert units["runs/7f/policy"].sha256 == path_sha256(policy)
    assert units["runs/7f/policy"].document()["files"].keys() == {
        "config.json",
        "model.safetensors",
    }
    assert "runs/7f/manifest.json" in units
