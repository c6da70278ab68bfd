"""Jobs of Kubernetes without a shared volume, against the stand-in for the cluster."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_runs import eventually
from tests.support.storage_fixtures import *  # noqa: F403
from tests.training.runs.kubernetes import KUBERNETES, Worker, execute, job_name
from training.runs.backends import remote_script
from training.runs.execution import RunFailed
from training.runs.job_token import JOB_TOKEN
from training.runs.models import JobReport

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def site(live_server: Any, machine_is: Any, settings: Any, tmp_path: Path, monkeypatch: Any) -> Any:
    machine_is("worker")
    settings.OUTERLOOP_JOB_FILES = "site"
    settings.OUTERLOOP_JOB_SITE = live_server.url
    settings.OUTERLOOP_JOB_SCRATCH = str(tmp_path / "node")
    monkeypatch.setattr(remote_script, "EVERY_SECONDS", 0.1)
    monkeypatch.setattr("training.runs.scheduler_job.TAKE_SECONDS", 0.1)
    return live_server


def test_a_pod_gets_its_token_from_a_secret_and_no_volume(
    behave, order, cluster, site, settings, tmp_path
):
    settings.OUTERLOOP_KUBERNETES_CLAIM = ""
    behave(updates=3)
    run = order()
    record = execute(run)
    assert (record.state, record.attempts, record.job_id) == ("succeeded", 1, job_name(run))
    assert cluster.secrets.keys() == {job_name(run)}
    token = cluster.secrets[job_name(run)][JOB_TOKEN]
    assert len(token) > 40
    (job,) = cluster.jobs.values()
    said = [token, base64.b64encode(token.encode()).decode()]
    assert not any(word in str(job) for word in said)
    pod = job["spec"]["template"]["spec"]
    assert pod["volumes"][0] == {"name": "store", "emptyDir": {}}
    written = [p for p in tmp_path.rglob("*") if p.is_file() and token.encode() in p.read_bytes()]
    assert written == []


def test_a_preempted_pod_goes_on_in_another_from_what_it_had_sent(behave, order, cluster, site):
    behave(updates=15, seconds=0.3)
    run = order()
    worker = Worker(run)
    eventually(lambda: _sent(run))
    cluster.preempt(job_name(run))
    record = worker.join()
    assert (record.state, record.attempts) == ("succeeded", 1)
    assert cluster.created == [job_name(run)]
    steps = list(run.events.filter(phase="update").order_by("seq").values_list("step", flat=True))
    assert sorted(set(steps)) == list(range(1, 16))
    assert run.events.filter(phase="start").count() == 2


def _sent(run: Any) -> bool:
    """Whether the site knows of a checkpoint for the next pod."""
    report = JobReport.objects.filter(run=run).first()
    return report is not None and f"runs/{run.id}/checkpoint" in report.tree


def test_a_cluster_that_takes_no_secret_keeps_no_job(behave, order, cluster, site):
    cluster.mode("POST secrets", "403")
    run = order()
    with pytest.raises(RunFailed, match="Kubernetes refused the job"):
        execute(run, jobs=KUBERNETES)
    assert not cluster.jobs
