"""An API server that is away, slow, wrong or refuses; pods that cannot start: named, and never two jobs."""

from __future__ import annotations

import sys

import pytest

from tests.support.scheduler_runs import until
from tests.training.runs.kubernetes import (
    KUBERNETES,
    Worker,
    execute,
    job_name,
)
from training.contracts import JobPlan
from training.runs.backends import JobRefused, kubernetes
from training.runs.backends.kubernetes import KubernetesBackend
from training.runs.backends.ordering import job_order
from training.runs.claims import directory_prepare, run_claim
from training.runs.execution import RESTARTS, RunFailed, run_execute

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_image_that_cannot_be_pulled_is_named_and_in_time_fails_the_run(
    order, cluster, monkeypatch
):
    monkeypatch.setattr(kubernetes, "FAULT_SECONDS", 1.0)
    cluster.image_fault = ("ImagePullBackOff", 'Back-off pulling image "registry/x:1"')
    run = order()
    worker = Worker(run)
    until(run, lambda job: "ImagePullBackOff: Back-off" in job.get("reason", ""))
    assert isinstance(worker.join(), RunFailed)
    run.refresh_from_db()
    assert 'pod cannot start: ImagePullBackOff: Back-off pulling image "registry/x:1"' in run.error
    assert (run.state, run.job_fence, cluster.names()) == ("failed", None, [])


def test_an_image_that_can_be_pulled_after_all_is_no_fault(behave, order, cluster, monkeypatch):
    monkeypatch.setattr(kubernetes, "FAULT_SECONDS", 30.0)
    cluster.image_fault = ("ErrImagePull", "the registry is away")
    run = order()
    worker = Worker(run)
    until(run, lambda job: "ErrImagePull" in job.get("reason", ""))
    cluster.image_fault = None
    assert worker.join().state == "succeeded"


def test_a_job_whose_answer_was_lost_is_found_by_its_name(behave, order, cluster, settings):
    settings.OUTERLOOP_KUBERNETES_SECONDS = 1
    cluster.mode("POST jobs", "mute")
    behave(updates=3, seconds=0.3)
    run = order()
    worker = Worker(run)
    silent = until(run, lambda job: job.get("silence", "") != "")
    assert silent["silence"] == "the API server said nothing within 1 s"
    cluster.mode("POST jobs", "403")
    assert worker.join().state == "succeeded"
    assert cluster.created == [job_name(run)]


def test_a_second_submit_of_one_attempt_is_a_conflict_and_not_a_second_job(order, cluster):
    cluster.held = "no room"
    run = run_claim(order().id, "w")
    directory_prepare(run)
    resources = job_order("ppo", KUBERNETES).resources
    ids = [
        KubernetesBackend().submit([sys.executable], {}, resources, run.directory, run.fence)
        for _ in range(2)
    ]
    assert ids == [job_name(run)] * 2
    assert (cluster.created, cluster.count("POST jobs")) == ([job_name(run)], 2)


def test_a_job_of_that_name_that_is_not_ours_is_left_alone(order, cluster):
    run = run_claim(order().id, "w")
    resources = job_order("ppo", KUBERNETES).resources
    cluster.held = "no room"
    backend = KubernetesBackend()
    backend.submit([sys.executable], {}, resources, run.directory, run.fence)
    next(iter(cluster.jobs.values()))["metadata"]["labels"]["outerloop/attempt"] = "9"
    with pytest.raises(JobRefused, match="there is another Job by the name"):
        backend.submit([sys.executable], {}, resources, run.directory, run.fence)


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        ("hang", "the API server said nothing within 1 s"),
        ("429", "the API server answered 429: too many requests, please try again later"),
        ("500", "the API server answered 500: etcdserver: request timed out"),
        ("401", "the API server answered 401: it is so"),
        ("403", "it is so"),
        ("cut", "the API server cannot be reached (ProtocolError"),
        ("garble", "the API server's answer is no JSON"),
        ("down", "the API server cannot be reached ("),
    ],
)
def test_a_scheduler_that_does_not_answer_is_waited_for(
    behave, order, cluster, settings, mode, says
):
    settings.OUTERLOOP_KUBERNETES_SECONDS = 1
    behave(updates=40, seconds=0.1)
    run = order()
    worker = Worker(run)
    until(run, lambda job: job.get("phase") == "running")
    if mode == "down":
        cluster.down()
    else:
        cluster.mode("GET jobs", mode)
    silent = until(run, lambda job: job["silence"] != "")
    assert silent["silence"].startswith(says)
    assert silent["phase"] == "running"
    if mode == "down":
        cluster.up()
    cluster.mode("GET jobs", "")
    until(run, lambda job: not job["silence"])
    assert worker.join().state == "succeeded"
    assert cluster.created == [job_name(run)]


def test_before_it_is_submitted_an_api_that_is_away_is_waited_for(behave, order, cluster):
    cluster.down()
    run = order()
    worker = Worker(run)
    assert until(run, lambda job: job.get("silence", ""))["phase"] == "submitting"
    cluster.up()
    assert worker.join().state == "succeeded"
    assert cluster.created == [job_name(run)]


def test_a_slow_answer_is_an_answer(behave, order, cluster, settings):
    settings.OUTERLOOP_KUBERNETES_SECONDS = 5
    cluster.mode("POST jobs", "slow")
    assert execute(order()).state == "succeeded"
    assert len(cluster.created) == 1


def test_a_job_that_is_refused_fails_the_run_in_one_sentence(behave, order, cluster, settings):
    settings.OUTERLOOP_KUBERNETES_NAMESPACE = "elsewhere"
    run = order()
    with pytest.raises(RunFailed, match=r'refused the job: namespaces "elsewhere" not found. Mend'):
        execute(run)
    run.refresh_from_db()
    assert (run.state, run.job_fence) == ("failed", None)
    settings.OUTERLOOP_KUBERNETES_NAMESPACE = "research"
    assert execute(run).attempts == 2


def test_without_the_client_the_sentence_says_what_to_install(behave, order, cluster, monkeypatch):
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    run = order()
    with pytest.raises(RunFailed, match=r"pip install outerloop\[kubernetes\]"):
        execute(run)
    assert run_execute(run_id=run.id, owner="w", jobs=JobPlan(backend="local")).state == "succeeded"


def test_without_a_way_to_sign_in_the_sentence_names_the_setting(order, cluster, settings):
    cluster.kubeconfig.write_text("apiVersion: v1\nkind: Config\n")
    with pytest.raises(RunFailed, match=r"cannot sign in to the cluster .*KUBERNETES_CONFIG"):
        execute(order())


def test_a_container_that_cannot_begin_fails_with_what_the_cluster_says(order, cluster):
    cluster.start_fault = "/bin/none"
    run = order()
    with pytest.raises(RunFailed, match=r"without getting further \(StartError: .*/bin/none"):
        execute(run)
    assert len(cluster.created) == 1 + RESTARTS
    assert "--- pod outerloop-" in (run.directory / "child.log").read_text()
