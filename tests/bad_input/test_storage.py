"""A disk that is full, read-only or closed: a sentence, nothing half-written, nothing lost."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client

from annotation.exchange import exporting, services
from annotation.exchange.models import ImportJob
from outerloop.rounds.mending import round_take_up
from outerloop.rounds.models import State
from outerloop.rounds.services import round_advance
from tests.annotation.factories import a_campaign
from tests.outerloop.rounds.world import LoopWorld, known, step_of
from tests.support.documented import assert_said
from tests.support.fake_runs import fake_programs
from tests.support.people import person_create
from tests.support.tiny_models import write_spec
from training.contracts import SamplePairsConfig
from training.core.run.run_directory import Run, recipe_main
from training.runs import claims
from training.runs.models import Run as RunRow
from web.storage import storage_sentence

LINE = uuid.UUID(int=72)
READ_ONLY = OSError(errno.EROFS, "Read-only file system", "/store/spec.json")
FULL = OSError(errno.ENOSPC, "No space left on device", "/store/file")


def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A file system of its own on `folder`; skips where this process may not mount."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no mount here: {error}")
    if done.returncode:
        pytest.skip(f"this process may not mount: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    yield from mounted(tmp_path / "disk", "size=256k")


def saves(size: int) -> Callable[[Run[Any]], None]:
    """A program that writes an artifact of so many bytes."""

    def body(run: Run[Any]) -> None:
        def write(path: Path) -> None:
            (path / "weights").write_bytes(os.urandom(size))

        run.finish([run.write_directory("policy", "policy", write)], {})

    return body


def carry_out(body: Callable[[Run[Any]], None], spec: Path) -> int:
    return recipe_main(body, "sample_pairs", SamplePairsConfig, [str(spec)])


def test_a_program_whose_disk_is_full_says_so_and_goes_on_when_there_is_room(
    small_disk: Path, capsys: Any
) -> None:
    ballast = small_disk / "ballast"
    spec = write_spec(small_disk / "run", "sample_pairs", {})
    ballast.write_bytes(bytes(150_000))
    assert carry_out(saves(150_000), spec) == 2
    assert_said("full disk, learning program", capsys.readouterr().err)
    assert json.loads((spec.parent / "error.json").read_text())["kind"] == "storage"
    assert not list(spec.parent.glob(".policy*")), "what is half-written keeps the disk full"
    ballast.unlink()
    assert carry_out(saves(150_000), spec) == 0
    assert (spec.parent / "policy" / "weights").stat().st_size == 150_000


def test_an_artifact_that_could_not_be_written_leaves_the_one_before_it(
    tmp_path: Path, capsys: Any
) -> None:
    """The kernel's own "no space": the new file lies on /dev/full."""
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    spec = write_spec(tmp_path / "run", "sample_pairs", {})

    def body(run: Run[Any]) -> None:
        def write_old(path: Path) -> None:
            (path / "w").write_text("old")

        run.write_directory("policy", "policy", write_old)

        def write(path: Path) -> None:
            (path / "w").symlink_to("/dev/full")
            (path / "w").write_bytes(bytes(100_000))

        run.write_directory("policy", "policy", write)

    assert carry_out(body, spec) == 2
    assert_said("full disk, learning program", capsys.readouterr().err)
    assert (spec.parent / "policy" / "w").read_text() == "old"
    assert [p.name for p in spec.parent.glob(".policy*")] == []


def test_a_program_whose_disk_takes_no_word_at_all_still_says_it(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = write_spec(tmp_path / "run", "sample_pairs", {})

    def refused(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("training.core.run.run_directory.file_write", refused)
    assert carry_out(lambda run: run.finish([], {}), spec) == 2
    assert_said("read-only store, learning program", capsys.readouterr().err)


def test_a_closed_folder_is_named_to_a_program(tmp_path: Path, capsys: Any) -> None:
    spec = write_spec(tmp_path / "run", "sample_pairs", {})

    def closed(run: Run[Any]) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    assert carry_out(closed, spec) == 2
    assert_said("closed folder", capsys.readouterr().err)


@pytest.mark.django_db
def test_a_round_on_a_read_only_store_fails_in_words_and_is_taken_up_when_it_is_mended(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    settings.OUTERLOOP_HEARTBEAT_SECONDS = 0.05
    loop = LoopWorld(tmp_path)
    fake_programs(monkeypatch)
    round_ = loop.round(State.SNAPSHOT)
    round_advance(round_id=round_.id)

    def refused(*_: Any, **__: Any) -> None:
        raise READ_ONLY

    with monkeypatch.context() as patch:
        patch.setattr(claims, "file_write", refused)
        round_advance(round_id=round_.id)
    round_.refresh_from_db()
    assert round_.state == State.FAILED
    assert_said("read-only store", round_.error)
    run = RunRow.objects.get(pk=known(step_of(round_, State.REWARD_TRAINING).run))
    assert (run.state, run.lease_expires_at) == ("cancelled", None), "nobody waits for a dead lease"
    round_take_up(round_=round_, actor="test")
    run.refresh_from_db()
    assert run.state == "pending", "taking the round up lets its run go on"
    round_advance(round_id=round_.id)
    round_.refresh_from_db()
    assert round_.state == State.REWARD_EVALUATION


@pytest.fixture
def engineer(db: None, settings: Any, tmp_path: Path) -> Client:
    settings.VAR_DIR = tmp_path
    client = Client()
    client.force_login(person_create("eve", "engineer", line=LINE))
    person_create("lea", "lead", line=LINE)
    return client


def test_an_upload_to_a_full_disk_is_refused_beside_the_form_and_nothing_stays(
    engineer: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(file: Any, *_: Any, **__: Any) -> Iterator[bytes]:
        yield b"{}"
        raise FULL

    monkeypatch.setattr(SimpleUploadedFile, "chunks", breaks)
    monkeypatch.setattr("django.core.files.uploadedfile.InMemoryUploadedFile.chunks", breaks)
    file = SimpleUploadedFile("prompts.jsonl", b'{"prompt": "Q"}\n')
    data = {"file": file, "line": str(LINE), "format": "auto"}
    text = engineer.post("/data/import/", data).content.decode()
    assert_said("full disk", text.replace("&#x27;", "'"))
    assert not ImportJob.objects.exists()
    assert list((tmp_path / "uploads").iterdir()) == []


@pytest.mark.parametrize(("case", "error"), [("full disk", FULL), ("read-only store", READ_ONLY)])
def test_an_export_that_cannot_be_written_says_so_on_the_page_and_at_the_terminal(
    engineer: Client, case: str, error: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise error

    a_campaign(line_id=LINE)
    monkeypatch.setattr(exporting, "preferences", refused)
    job = services.export_create(line_id=LINE)
    services.export_run(job_id=job.pk)
    assert_said(case, engineer.get(f"/data/exports/{job.pk}/").content.decode())
    with pytest.raises(CommandError) as refusal:
        call_command("export_judgments", str(tmp_path / "out.jsonl"), line=LINE)
    assert_said(case, str(refusal.value))
    assert not list(tmp_path.glob("**/*out.jsonl*"))


def test_every_kind_of_refusal_names_the_place() -> None:
    closed = PermissionError(errno.EACCES, "Permission denied", "/store/x")
    assert_said("closed folder", storage_sentence(closed))
    assert storage_sentence(closed).startswith("/store/x is closed")
    other = OSError(errno.EIO, "Input/output error", "/store/x")
    assert storage_sentence(other) == "/store/x cannot be used: Input/output error."
