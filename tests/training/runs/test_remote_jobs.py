"""Jobs on machines that share no folder with worker or site: real processes, HTTP to a live server, moto's S3."""

from __future__ import annotations

import json
import os
import re
import signal
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.urls import reverse

from tests.support import scheduler_runs
from tests.support.fake_runs import alive, eventually
from tests.support.object_storage import KEYS, Relay
from tests.support.people import person_create
from tests.support.storage_fixtures import *  # noqa: F403
from training import facade as training
from training.contracts import InputRef, JobPlan, JobResources
from training.digests import path_sha256
from training.runs.backends import remote_script
from training.runs.execution import RunCancelled, RunFailed, run_execute
from training.runs.models import JobReport, Run
from training.runs.services import run_create, run_take_up

pytestmark = pytest.mark.django_db(transaction=True)

SLURM = JobPlan(backend="slurm", every_step=JobResources(minutes=10))
Worker = partial(scheduler_runs.Worker, jobs=SLURM)


@pytest.fixture
def node(tmp_path: Path) -> Path:
    folder = tmp_path / "node"
    folder.mkdir()
    return folder


@pytest.fixture
def site(live_server: Any, machine_is: Any, settings: Any, node: Path, monkeypatch: Any) -> Any:
    """Jobs reach this server and the bucket, and work in a folder that nobody else reads."""
    machine_is("worker")
    settings.OUTERLOOP_JOB_FILES = "site"
    settings.OUTERLOOP_JOB_SITE = live_server.url
    settings.OUTERLOOP_JOB_SCRATCH = str(node)
    monkeypatch.setattr(remote_script, "EVERY_SECONDS", 0.1)
    monkeypatch.setattr("training.runs.scheduler_job.TAKE_SECONDS", 0.1)
    return live_server


def execute(run: Run, **options: Any) -> Any:
    return run_execute(run_id=run.id, owner="w", **{"jobs": SLURM, **options})


def steps(run: Run) -> list[int]:
    return list(run.events.filter(phase="update").order_by("seq").values_list("step", flat=True))


def checkpointed(run: Run) -> bool:
    """Whether the site knows of a checkpoint for the next attempt."""
    report = JobReport.objects.filter(run=run).first()
    return report is not None and f"runs/{run.id}/checkpoint" in report.tree


def pid_of(slurm: Any, job: str) -> int:
    return int((slurm.folder / f"{job}.pid").read_text())


def test_a_job_ends_with_what_a_child_would_have_made(
    behave, order, slurm, site, bucket, settings, node
):
    behave(updates=3)
    run = order()
    record = execute(run)
    assert (record.state, record.attempts, record.backend) == ("succeeded", 1, "slurm")
    assert steps(run) == [1, 2, 3]
    here = run_execute(run_id=order().id, owner="w")
    assert [a["sha256"] for a in record.artifacts] == [a["sha256"] for a in here.artifacts]
    assert (
        "attempt with token 1 goes on from update 0" in (record.directory / "child.log").read_text()
    )
    assert list(node.iterdir()) == [node / f"outerloop-{run.id}-1.log"]
    kept = {each.key.split("/")[2] for each in bucket.listed(f"runs/{run.id}/")}
    assert kept == {"policy", "child.log"}
    assert not JobReport.objects.filter(run=run).exists()


def test_a_killed_job_goes_on_in_an_empty_folder_from_what_it_had_sent(
    behave, order, slurm, site, node
):
    behave(updates=12, seconds=0.3)
    run = order()
    worker = Worker(run)
    eventually(lambda: checkpointed(run) and steps(run))
    os.killpg(pid_of(slurm, "1"), signal.SIGKILL)
    done = worker.join()
    assert (done.state, done.attempts) == ("succeeded", 2)
    begun = re.findall(r"goes on from update (\d+)", (done.directory / "child.log").read_text())
    assert begun[0] == "0"
    assert int(begun[1]) >= 1
    assert sorted(set(steps(run))) == list(range(1, 13))
    seqs = list(run.events.order_by("seq").values_list("seq", flat=True))
    assert seqs == list(range(1, len(seqs) + 1))
    here = run_execute(run_id=order().id, owner="w")
    assert [a["sha256"] for a in done.artifacts] == [a["sha256"] for a in here.artifacts]


def test_near_the_end_of_its_time_a_job_saves_and_another_goes_on(behave, order, slurm, site):
    behave(updates=12, seconds=0.3)
    run = order()
    worker = Worker(run)
    eventually(lambda: checkpointed(run) and steps(run))
    os.kill(pid_of(slurm, "1"), signal.SIGUSR1)
    done = worker.join()
    assert (done.state, done.attempts, steps(run)) == ("succeeded", 2, list(range(1, 13)))
    said = (done.directory / "child.log").read_text()
    assert "the time of the job is nearly over; a checkpoint is asked for" in said


def test_a_run_cancelled_on_its_page_saves_stops_and_can_be_taken_up(
    behave, order, slurm, site, client
):
    behave(updates=200, seconds=0.1)
    run = order()
    worker = Worker(run)
    eventually(lambda: checkpointed(run) and steps(run))
    client.force_login(person_create("ada", "engineer"))
    page = client.get(reverse("runs:run", args=[run.id])).content.decode()
    assert "It last spoke to the site on" in page
    assert "goes on from update 0" in page
    client.post(reverse("runs:cancel", args=[run.id]))
    assert isinstance(worker.join(), RunCancelled)
    eventually(lambda: not alive(pid_of(slurm, "1")))
    run_take_up(run_id=run.id)
    done = max(steps(run))
    behave(updates=done + 1)
    assert execute(run).attempts == 2
    assert steps(run) == list(range(1, done + 2))


def test_a_replaced_attempt_changes_nothing_and_its_program_is_stopped(
    behave, order, slurm, site, node
):
    behave(updates=300, seconds=0.1, deaf=True)
    run = order()
    with pytest.raises(scheduler_runs.WorkerKilled):
        execute(run, beat=_dies_at_the_first_update)
    Run.objects.filter(pk=run.pk).update(fence=2, job_fence=None)
    eventually(lambda: not alive(pid_of(slurm, "1")))
    told = run.events.count()
    said = (node / f"outerloop-{run.id}-1.log").read_text()
    assert "job 1 ends: Attempt 1 of this run is over, or was replaced." in said
    assert not (node / f"outerloop-{run.id}-1").exists()
    assert run.events.count() == told
    assert JobReport.objects.get(run=run).exit_code is None


def _dies_at_the_first_update(event: Any) -> None:
    if event is not None and event.phase == "update":
        raise scheduler_runs.WorkerKilled


def test_while_the_answers_of_the_site_are_lost_the_job_goes_on_and_nothing_is_told_twice(
    behave, order, slurm, site, node, settings
):
    relay = Relay(site.url)
    settings.OUTERLOOP_JOB_SITE = relay.address
    behave(updates=15, seconds=0.2)
    run = order()
    worker = Worker(run)
    eventually(lambda: len(steps(run)) >= 2)
    relay.allowed = 0
    eventually(lambda: "the program goes on" in (node / f"outerloop-{run.id}-1.log").read_text())
    cut = relay.cut
    eventually(lambda: relay.cut > cut + 3)
    relay.allowed = float("inf")
    done = worker.join()
    assert (done.state, done.attempts, steps(run)) == ("succeeded", 1, list(range(1, 16)))
    relay.close()


def test_the_next_worker_on_another_machine_goes_on_with_the_job(
    behave, order, slurm, site, machine_is
):
    behave(updates=12, seconds=0.2)
    run = order()
    scheduler_runs.kill_worker_at(run, 2, jobs=SLURM)
    machine_is("another")
    record = execute(run)
    assert (record.state, record.attempts, record.job_id) == ("succeeded", 1, "1")
    assert steps(run) == list(range(1, 13))
    assert len(slurm.calls("sbatch")) == 1
    assert len((record.directory / "events.jsonl").read_text().splitlines()) == run.events.count()


def test_an_input_comes_from_the_bucket_and_a_damaged_one_ends_the_run_by_its_name(
    behave, slurm, site, bucket, machine_is, node
):
    root = machine_is("worker")
    path = root / "rounds" / "1" / "prompts.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text('{"id": "1", "messages": []}\n')
    reference = training.input_from_path(path)
    inputs = {"prompts": reference}
    first, second = (
        run_create(line_id=uuid4(), kind="sample_pairs", seed=3, config={}, inputs=inputs).id
        for _ in range(2)
    )
    machine_is("another")
    done = execute(Run.objects.get(pk=first))
    assert done.state == "succeeded"
    key = f"rounds/1/prompts.jsonl/{reference.sha256}/{reference.sha256}"
    bucket.put(key, b"x" * bucket.size(key))
    with pytest.raises(RunFailed, match=r"An input cannot be used: .*prompts\.jsonl.*damaged"):
        execute(Run.objects.get(pk=second))


def test_an_input_that_is_not_in_the_store_is_refused_before_there_is_a_job(
    behave, slurm, site, tmp_path
):
    outside = tmp_path / "model"
    outside.mkdir()
    (outside / "config.json").write_text("{}")
    inputs = {"base": InputRef(str(outside), path_sha256(outside))}
    made = run_create(line_id=uuid4(), kind="ppo", seed=1, config={}, inputs=inputs)
    with pytest.raises(RunFailed, match=r"cannot read\. Import the model"):
        execute(Run.objects.get(pk=made.id))
    assert not slurm.calls("sbatch")


def test_the_token_is_in_the_environment_alone(behave, order, slurm, site, tmp_path):
    behave(updates=3)
    run = order()
    execute(run)
    token = slurm.environment("1")["OUTERLOOP_JOB_TOKEN"].encode()
    assert len(token) > 40
    holding = [p for p in tmp_path.rglob("*") if p.is_file() and token in p.read_bytes()]
    assert holding == [slurm.folder / "1.environment"]
    script = (run.directory / "jobs" / "1" / "script.sh").read_text()
    assert "python" in script
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in script + json.dumps(slurm.environment("1"))


@pytest.mark.slow
def test_a_real_program_that_is_killed_ends_with_the_very_weights(slurm, site, order, machine_is):
    """The recipe itself, which knows nothing of all this."""
    root = machine_is("worker")
    rows = [
        [{"role": "user", "content": f"{a}?"}, {"role": "assistant", "content": f"It's {a}."}]
        for a in range(8)
    ]
    data = root / "rounds" / "1" / "demonstrations.jsonl"
    data.parent.mkdir(parents=True)
    data.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows))
    clean = training.input_from_path(data)
    sizes = {"hidden_size": 16, "layers": 2, "heads": 2, "feed_forward": 32, "max_positions": 96}
    phase = {"data": "clean", "steps": 120, "learning_rate": 0.01, "batch_size": 8}
    config = {
        "model": {"kind": "fresh", "vocabulary_limit": 300, **sizes},
        "phases": [phase],
        "max_length": 40,
        "checkpoint_every": 10,
        "log_every": 2,
    }
    inputs = {"clean": clean, "validation": clean}
    killed, whole = (
        Run.objects.get(
            pk=run_create(line_id=uuid4(), kind="sft", seed=3, config=config, inputs=inputs).id
        )
        for _ in range(2)
    )
    worker = Worker(killed)
    folder = f"runs/{killed.id}/checkpoints/"
    eventually(
        lambda: any(
            path.startswith(folder)
            for tree in JobReport.objects.values_list("tree", flat=True)
            for path in tree
        ),
        seconds=240,
    )
    os.killpg(pid_of(slurm, "1"), signal.SIGKILL)
    worker.thread.join(300)
    done, undisturbed = worker.outcome, run_execute(run_id=whole.id, owner="w")
    assert (done.state, done.attempts) == ("succeeded", 2)
    assert [a["sha256"] for a in done.artifacts] == [a["sha256"] for a in undisturbed.artifacts]
    first, second = killed.events.filter(phase="start").order_by("seq")
    taken_up = killed.events.filter(phase="train", seq__gt=second.seq).order_by("seq").first()
    assert killed.events.filter(phase="train", seq__range=(first.seq, second.seq)).exists()
    assert taken_up is not None
    assert taken_up.step > 10  # a run that began anew would report its second step
    assert not list((root / "runs" / str(killed.id)).glob("checkpoints/*"))
