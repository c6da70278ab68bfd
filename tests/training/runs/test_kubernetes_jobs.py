"""A run as a Job of Kubernetes, against a stand-in for the cluster that runs its containers: whoever dies, one
program works."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest
import yaml

from tests.support.fake_runs import attempts, eventually, updates
from tests.support.scheduler_runs import standing, until
from tests.training.runs.kubernetes import (
    Worker,
    execute,
    job_name,
    kill_worker_at,
    worked_at_once,
)
from training.contracts import JobPlan, JobResources
from training.runs import execution
from training.runs.backends.kubernetes import KubernetesBackend
from training.runs.execution import RunCancelled, run_execute
from training.runs.services import run_cancel

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_job_ends_with_what_a_child_would_have_made(behave, order, cluster):
    behave(updates=3)
    run = order()
    record = execute(run)
    assert (record.state, record.attempts, record.backend) == ("succeeded", 1, "kubernetes")
    assert record.job_id == job_name(run)
    assert updates(record.directory) == [1, 2, 3]
    here = run_execute(run_id=order().id, owner="w")
    assert [a["sha256"] for a in record.artifacts] == [a["sha256"] for a in here.artifacts]
    assert (here.backend, here.job_id) == ("local", "")
    assert cluster.created == [job_name(run)]
    assert "goes on from update 0" in (run.directory / "child.log").read_text()


def test_what_was_sent_lies_beside_the_attempt_for_a_person_to_read(behave, order, cluster):
    run = order()
    execute(run)
    sent = yaml.safe_load((run.directory / "jobs" / "1" / "manifest.yaml").read_text())
    (kept,) = cluster.jobs.values()
    assert sent["spec"]["template"]["spec"] == kept["spec"]["template"]["spec"]
    assert sent["spec"]["backoffLimit"] == 0


def test_a_job_gets_named_variables_and_no_secret(behave, order, cluster, monkeypatch, settings):
    told = {
        "DATABASE_URL": "postgresql://me:word@host/loop", "OUTERLOOP_SECRET_KEY": "s" * 50,
        "HF_TOKEN": "word", "SLURM_JOB_ID": "7", "VIRTUAL_ENV": "/here", "NCCL_DEBUG": "INFO",
        "LOOP_STORE": "s3://me:word@host/x",
    }  # fmt: skip
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    settings.OUTERLOOP_CHILD_VARIABLES = [*told, "FAKE_RECIPE"]
    settings.OUTERLOOP_KUBERNETES_SECRET = "tokens"
    cluster.secrets["tokens"] = {"HF_TOKEN": "of the cluster"}
    behave(updates=2)
    run = order()
    assert execute(run).state == "succeeded"
    (container,) = next(iter(cluster.jobs.values()))["spec"]["template"]["spec"]["containers"]
    given = {entry["name"]: entry["value"] for entry in container["env"]}
    assert given.keys() & {*told, "PATH", "HOME"} == {"NCCL_DEBUG"}
    assert "word" not in str(cluster.jobs)


def test_a_pod_without_a_node_says_why_and_then_where_it_runs(behave, order, cluster):
    cluster.held = "1 Insufficient nvidia.com/gpu"
    run = order()
    said: list[str] = []
    worker = Worker(run, beat=lambda event: said.append(event.message) if event else None)
    waiting = until(run, lambda job: job.get("phase") == "queued" and job["reason"])
    assert waiting["reason"] == (
        "Unschedulable: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    )
    assert waiting["since"]
    behave(updates=2)
    cluster.held = ""
    until(run, lambda job: job.get("phase") == "running" and job["where"] == "node1")
    assert worker.join().state == "succeeded"
    assert said[0].startswith(f"Kubernetes job {job_name(run)} waits in the queue")


def test_a_job_of_a_queue_waits_until_it_is_admitted_and_that_is_no_work(behave, order, cluster):
    plan = JobPlan(backend="kubernetes", every_step=JobResources(partition="night"))
    run = order()
    worker = Worker(run, jobs=plan, time_limit_seconds=6)
    waiting = until(run, lambda job: job.get("phase") == "queued" and job["reason"])
    assert (waiting["where"], waiting["reason"]) == ("night", "Suspended")
    time.sleep(6.5)
    assert not cluster.pods
    cluster.admit(job_name(run))
    assert worker.join().state == "succeeded"
    run.refresh_from_db()
    assert run.compute_seconds < 6


def test_a_killed_worker_leaves_its_job_and_the_next_goes_on_with_it(behave, order, cluster):
    behave(updates=12, seconds=0.2)
    run = order()
    kill_worker_at(run, 2)
    record = execute(run)
    assert (record.state, record.attempts, record.job_id) == ("succeeded", 1, job_name(run))
    assert cluster.created == [job_name(run)]
    assert len(attempts(run.directory)) == 1
    assert updates(run.directory) == list(range(1, 13))


def test_a_job_that_ended_while_nobody_looked_is_taken_in(behave, order, cluster):
    behave(updates=3, seconds=0.1)
    run = order()
    kill_worker_at(run, 1)
    eventually(lambda: (run.directory / "jobs" / "1" / "exit").exists())
    cluster.down()
    assert execute(run).state == "succeeded"


def test_a_deleted_job_is_followed_by_another_once_its_pod_has_ended(behave, order, cluster):
    behave(updates=6, seconds=0.3, deaf=True)
    cluster.grace = 0.6
    run = order()
    worker = Worker(run)
    eventually(lambda: len(updates(run.directory)) >= 2)
    with cluster.lock:
        cluster.job_delete(("research", job_name(run)), orphan=False)
    record = worker.join()
    assert (record.state, record.attempts, record.job_id) == ("succeeded", 2, job_name(run, 2))
    assert updates(run.directory) == [1, 2, 3, 4, 5, 6]
    assert worked_at_once(run) == 1


def test_a_preempted_pod_saves_and_another_of_the_same_job_goes_on(behave, order, cluster):
    behave(updates=8, seconds=0.2)
    run = order()
    phases: list[str] = []
    worker = Worker(run, beat=lambda event: phases.append(event.phase) if event else None)
    eventually(lambda: len(updates(run.directory)) >= 2)
    cluster.held = "no room"
    cluster.preempt(job_name(run))
    taken = until(run, lambda job: job.get("phase") == "preempted" and "room" in job["reason"])
    assert taken["reason"].startswith("Unschedulable")
    cluster.held = ""
    record = worker.join()
    assert (record.state, record.attempts, record.job_id) == ("succeeded", 1, job_name(run))
    assert [a["from"] > 0 for a in attempts(run.directory)] == [False, True]
    assert updates(run.directory) == list(range(1, 9))
    assert worked_at_once(run) == 1
    assert cluster.created == [job_name(run)]
    assert phases.count("job preempted") == 1


def test_a_pod_that_is_killed_is_followed_by_another_attempt(behave, order, cluster):
    behave(updates=6, seconds=0.2)
    run = order()
    worker = Worker(run)
    eventually(lambda: len(updates(run.directory)) >= 2)
    os.kill(cluster.process(job_name(run)).pid, signal.SIGKILL)
    record = worker.join()
    assert (record.state, record.attempts) == ("succeeded", 2)
    assert [a["token"] for a in attempts(run.directory)] == ["1", "2"]
    assert updates(run.directory) == [1, 2, 3, 4, 5, 6]
    assert worked_at_once(run) == 1


def test_a_job_near_its_time_limit_saves_and_another_goes_on(behave, order, cluster):
    behave(updates=8, seconds=0.2)
    run = order()
    worker = Worker(run)
    eventually(lambda: len(updates(run.directory)) >= 2)
    os.kill(cluster.process(job_name(run)).pid, signal.SIGUSR1)  # as the script's own timer does
    record = worker.join()
    assert (record.state, record.attempts) == ("succeeded", 2)
    assert updates(run.directory) == list(range(1, 9))
    assert "the time of the job is nearly over" in (run.directory / "child.log").read_text()


def test_a_cancelled_run_deletes_its_waiting_job(order, cluster):
    cluster.held = "no room"
    run = order()
    worker = Worker(run)
    until(run, lambda job: job.get("phase") == "queued")
    run_cancel(run_id=run.id)
    assert isinstance(worker.join(), RunCancelled)
    run.refresh_from_db()
    assert (run.state, run.job_fence) == ("cancelled", None)
    assert (cluster.names(), cluster.propagations) == ([], ["Background"])
    assert (run.directory / "fence").read_text() == "closed"


def test_a_line_that_changes_its_scheduler_goes_on_there_with_the_next_attempt(
    behave, order, cluster
):
    """The job under way is finished where it is; only one that is lost has a successor elsewhere."""
    behave(updates=6, seconds=0.2)
    run = order()
    kill_worker_at(run, 1)
    worker = Worker(run, jobs=JobPlan(backend="slurm"))
    until(run, lambda job: job.get("phase") == "running")
    run.refresh_from_db()
    assert run.backend == "kubernetes"
    assert worker.join().state == "succeeded"


FIRST_POD_ONLY = (
    "import os, sys\n"
    "if os.environ['JOB_COMPLETION_INDEX'] == '0':\n"
    "    os.execv(sys.executable, [sys.executable, '-m', 'tests.support.fake_recipe', *sys.argv[1:]])\n"
    "print('node', os.environ['JOB_COMPLETION_INDEX'], 'has done its part')\n"
)


def test_several_nodes_are_one_indexed_job_behind_a_service_that_goes_with_it(
    behave, order, cluster, monkeypatch, tmp_path
):
    def command(run, config):
        spec = str(run.directory / "spec.json")
        return [sys.executable, "-c", FIRST_POD_ONLY, spec, "--token", str(run.fence)]

    monkeypatch.setattr(execution, "child_command", command)
    (tmp_path / "names").mkdir()
    getent = tmp_path / "names" / "getent"  # the cluster's names are not this machine's
    getent.write_text(f'#!/bin/sh\necho "$2" >> {tmp_path}/asked\n')
    getent.chmod(0o755)
    cluster.image["PATH"] = f"{getent.parent}:{os.environ['PATH']}"
    plan = JobPlan(backend="kubernetes", every_step=JobResources(nodes=2, gpus=1))
    run = order()
    record = execute(run, jobs=plan)
    assert (record.state, record.attempts) == ("succeeded", 1)
    first = f"{job_name(run)}-0.{job_name(run)}"
    assert (tmp_path / "asked").read_text().split() == [first, first]
    assert "node 1 has done" in (run.directory / "jobs" / "1" / "node-1.log").read_text()
    ((_, service),) = cluster.services.items()
    (owner,) = service["metadata"]["ownerReferences"]
    (job,) = cluster.jobs.values()
    assert (owner["kind"], owner["uid"]) == ("Job", job["metadata"]["uid"])
    KubernetesBackend().cancel(job_name(run))
    assert not cluster.services
    assert not standing(run)["silence"]
