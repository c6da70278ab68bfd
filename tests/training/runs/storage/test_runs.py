"""Runs whose worker, site and policy server share a bucket and no folder."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.support.fake_runs import product_environment
from tests.support.object_storage import KEYS
from training import facade as training
from training.contracts import InputRef
from training.digests import path_sha256
from training.runs import deliveries, selectors
from training.runs.launching import child_environment
from training.runs.models import Run, RunState
from training.runs.storage import transfers

LINE = uuid.uuid4()


def prompts(root: Path) -> InputRef:
    path = root / "rounds" / "1" / "prompts.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text('{"id": "1", "messages": []}\n')
    return training.input_from_path(path)


def ordered(kind: str, **inputs) -> training.RunRecord:
    return training.run_create(line_id=LINE, kind=kind, seed=3, config={}, inputs=inputs)


def made(run: training.RunRecord, name: str) -> InputRef:
    """What the run made, for the machine that we are at."""
    return training.input_from_run(training.run_get(run.id), name)


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "downloaded"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "model.safetensors").write_bytes(os.urandom(3000))
    return folder


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_what_a_worker_makes_another_machine_reads_with_no_folder_in_common(
    machine_is, server, settings, tmp_path
):
    """The site orders, a worker process of its own carries out, the site reads."""
    site = machine_is("site")
    order = ordered("sample_pairs", prompts=prompts(site))
    worker = tmp_path / "worker"
    environment = product_environment(
        worker / "var",
        OUTERLOOP_ARTIFACTS=str(worker / "artifacts"),
        OUTERLOOP_ARTIFACT_STORE=settings.OUTERLOOP_ARTIFACT_STORE,
        OUTERLOOP_S3_ENDPOINT=server,
        **KEYS,
    )
    program = (
        "import sys, tests.support.fake_runs as fake, training.runs.execution as execution;"
        "execution.child_command = fake.fake_command;"
        f"sys.argv = ['executor', '{order.id}'];"
        "import runpy; runpy.run_module('tests.support.run_executor', run_name='__main__')"
    )
    program = f"import django; django.setup(); {program}"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    run = training.run_get(order.id)
    assert run.state == RunState.SUCCEEDED
    assert not run.directory.exists()
    reference = training.input_from_run(run, "completions")
    read = training.input_local(reference)
    assert read.is_relative_to(site)
    assert path_sha256(read) == reference.sha256
    assert "attempt with token 1" in selectors.run_log_tail(run.id)
    assert training.run_kept(run)
    secret = KEYS["AWS_SECRET_ACCESS_KEY"].encode()
    written = [path for path in worker.rglob("*") if path.is_file()]
    assert len(written) > 5
    assert not any(secret in path.read_bytes() for path in written)


@pytest.mark.django_db
def test_a_worker_fetches_what_another_made_and_only_then_starts(machine_is, behave):
    machine_is("one")
    first = training.run_execute(run_id=ordered("reward_model").id, owner="one")
    two = machine_is("two")
    order = ordered("ppo", reward_model=made(first, "reward_model"))
    assert not list(two.glob("runs/*"))
    training.run_execute(run_id=order.id, owner="two")
    assert (
        path_sha256(two / "runs" / str(first.id) / "reward_model") == first.artifacts[0]["sha256"]
    )


@pytest.mark.django_db
def test_an_input_that_is_damaged_ends_the_run_with_its_name(machine_is, bucket, behave):
    machine_is("one")
    first = training.run_execute(run_id=ordered("reward_model").id, owner="one")
    reference = training.input_from_run(first, "reward_model")
    stored = f"runs/{first.id}/reward_model/{reference.sha256}/"
    files = [each for each in bucket.listed(stored) if not each.key.endswith("manifest.json")]
    weights = max(files, key=lambda each: each.bytes)
    bucket.put(weights.key, os.urandom(weights.bytes))
    machine_is("two")
    order = ordered("ppo", reward_model=made(first, "reward_model"))
    with pytest.raises(training.RunFailed, match=r"An input cannot be fetched: .*was recorded"):
        training.run_execute(run_id=order.id, owner="two")
    assert training.run_get(order.id).state == RunState.FAILED


@pytest.mark.django_db
def test_results_that_cannot_be_sent_are_sent_when_the_run_is_taken_up(
    machine_is, settings, behave
):
    machine_is("one")
    order, address = ordered("ppo"), settings.OUTERLOOP_S3_ENDPOINT
    settings.OUTERLOOP_S3_ENDPOINT = "http://127.0.0.1:9"
    with pytest.raises(
        training.RunFailed, match=r"did not reach the artifact store.*127\.0\.0\.1:9"
    ):
        training.run_execute(run_id=order.id, owner="one")
    settings.OUTERLOOP_S3_ENDPOINT = address
    done = training.run_execute(run_id=order.id, owner="one")
    assert done.state == RunState.SUCCEEDED
    machine_is("two")
    assert training.input_local(made(done, "policy")).exists()


@pytest.mark.django_db
def test_a_long_fetch_prolongs_the_lease_is_told_and_can_be_cancelled(
    machine_is, behave, settings, monkeypatch, caplog
):
    machine_is("one")
    first = training.run_execute(run_id=ordered("reward_model").id, owner="one")
    machine_is("two")
    order = ordered("ppo", reward_model=made(first, "reward_model"))
    settings.OUTERLOOP_HEARTBEAT_SECONDS = 0
    told = []

    def beat(event):
        told.append(event)
        if event is not None:
            Run.objects.filter(pk=order.id).update(cancel_requested_at="2026-01-01T00:00Z")

    with (
        caplog.at_level(logging.INFO, logger=deliveries.__name__),
        pytest.raises(training.RunCancelled),
    ):
        training.run_execute(run_id=order.id, owner="two", beat=beat)
    events = [event for event in told if event is not None]
    assert {event.phase for event in events} == {"fetch"}
    assert events[0].message == "Fetching the input “reward model”"
    assert training.phase_words("fetch") == "Fetching inputs from the artifact store"
    assert "Fetching the input" in caplog.text
    assert training.run_get(order.id).state == RunState.CANCELLED
    assert not (training.run_get(order.id).directory / "attempts.jsonl").exists()


@pytest.mark.django_db
def test_a_finished_run_needs_its_checkpoints_no_more(machine_is, behave):
    machine_is("one")
    order = ordered("ppo")
    checkpoints = training.run_get(order.id).directory / "checkpoints"
    checkpoints.mkdir(parents=True)
    training.run_execute(run_id=order.id, owner="one")
    assert not checkpoints.exists()


@pytest.mark.django_db
def test_an_imported_model_is_served_from_a_copy_that_is_held(machine_is, model):
    machine_is("site")
    version = training.model_version_import(line_id=LINE, kind="policy", path=model, name="base")
    two = machine_is("server")
    training.model_version_verify(version.id)
    assert not (two / "models").exists()  # asking fetched nothing
    held = training.model_version_hold(version.id)
    assert path_sha256(held.path) == version.sha256
    assert held.path.is_relative_to(two)
    held.release()
    (held.path / "model.safetensors").write_bytes(b"damaged here")
    with pytest.raises(training.ArtifactMismatch, match=r"base: .*"):
        training.model_version_hold(version.id)


@pytest.mark.django_db
def test_the_file_of_a_step_is_written_once_by_whatever_machine(machine_is):
    one = machine_is("one")
    reference = prompts(one)
    two = machine_is("two")
    assert training.artifact_found("rounds/1/prompts.jsonl")
    assert not training.artifact_found("rounds/2/prompts.jsonl")
    stored = Path("rounds/1/prompts.jsonl")
    assert path_sha256(two / stored) == reference.sha256


def test_learning_programs_never_see_the_credentials(prefix, monkeypatch):
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == KEYS["AWS_SECRET_ACCESS_KEY"]
    monkeypatch.setenv("AWS_SESSION_TOKEN", "also secret")
    assert not [name for name in child_environment() if name.startswith("AWS_")]


@pytest.mark.django_db
def test_without_the_client_the_store_says_what_to_install(machine_is, monkeypatch):
    root = machine_is("one")
    training.store_enter()
    monkeypatch.setitem(sys.modules, "training.runs.storage.object_store", None)
    monkeypatch.setattr("training.runs.storage.door._object_store", _uncached())
    assert "pip install outerloop[s3]" in training.store_problem()
    assert root.exists()


def _uncached():
    from training.runs.storage.door import _object_store

    return _object_store.__wrapped__


def test_a_stop_ends_the_other_files_too(bucket):
    transfer = transfers.Transfer(bucket, total=1)
    transfer.stop.set()
    with pytest.raises(transfers.Stopped):
        transfer.tick(1)
