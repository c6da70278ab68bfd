"""A Job and its pods as the API has them -> how the job stands."""

from __future__ import annotations

from typing import Any

import pytest

from training.contracts import JobStanding
from training.runs.backends.kubernetes_status import job_heard
from training.runs.wording import job_words

CREATED = "2026-03-01T22:10:00+00:00"


def job(*conditions: str, suspend: bool = False, nodes: int = 1, **meta: Any) -> Any:
    found = [
        {"type": kind, "status": "True", "reason": "BackoffLimitExceeded"} for kind in conditions
    ]
    return {
        "metadata": {"name": "outerloop-7f-1", "creationTimestamp": CREATED, **meta},
        "spec": {"suspend": suspend, "completions": nodes},
        "status": {"conditions": found},
    }


def pod(phase: str, *, node: str = "", state: Any = None, index: int = 0, **more: Any) -> Any:
    """`more`: `conditions` and further fields of the status; `going` is a deletionTimestamp."""
    going = {"deletionTimestamp": CREATED} if more.pop("going", False) else {}
    annotations = {"batch.kubernetes.io/job-completion-index": str(index)}
    states = [{"name": "program", "state": state}] if state else []
    return {
        "metadata": {
            "name": f"p{index}", "creationTimestamp": CREATED, "annotations": annotations, **going,
        },
        "spec": {"nodeName": node} if node else {},
        "status": {"phase": phase, "containerStatuses": states, **more},
    }  # fmt: skip


def taken(reason: str) -> Any:
    since = "2026-03-01T23:00:00+00:00"
    return [
        {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": reason,
            "lastTransitionTime": since,
        }
    ]


RUNNING = {"running": {"startedAt": CREATED}}
UNSCHEDULABLE = [
    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
     "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."}
]  # fmt: skip


def ended(code: int, reason: str) -> Any:
    return {"terminated": {"exitCode": code, "reason": reason}}


@pytest.mark.parametrize(
    ("the_job", "pods", "begun", "phase", "where", "reason"),
    [
        (job(), [], False, "queued", "", ""),
        (job(suspend=True, labels={"kueue.x-k8s.io/queue-name": "night"}), [], False, "queued",
         "night", "Suspended"),
        (job(suspend=True), [], True, "preempted", "", "Suspended"),
        (job(), [pod("Pending", conditions=UNSCHEDULABLE)], False, "queued", "",
         "Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu."),
        (job(), [pod("Pending", node="n1")], False, "queued", "", "ContainerCreating"),
        (job(), [pod("Pending", node="n1")], True, "preempted", "", "ContainerCreating"),
        (job(), [pod("Running", node="n1", state=RUNNING)], True, "running", "n1", ""),
        (job(nodes=2), [pod("Running", node="n1"), pod("Pending", index=1)], False, "queued", "", ""),
        (job(nodes=2), [pod("Running", node="n1")], False, "queued", "", "1 of 2 pods run"),
        (job(nodes=2), [pod("Running", node="n2", index=1), pod("Running", node="n1")], True,
         "running", "n1,n2", ""),
        (job(), [pod("Running", node="n1", going=True, conditions=taken("PreemptionByScheduler"))],
         True, "preempted", "", "PreemptionByScheduler"),
        (job(), [pod("Failed", node="n1", conditions=taken("EvictionByEvictionAPI"))], True,
         "preempted", "", "EvictionByEvictionAPI"),
        (job(), [pod("Succeeded", node="n1", state=ended(0, "Completed"))], True, "ending", "n1", ""),
    ],
)  # fmt: skip
def test_a_job_that_is_not_over(the_job, pods, begun, phase, where, reason):
    heard = job_heard(the_job, pods, begun=begun)
    assert not heard.over
    status = heard.status
    assert (status.phase, status.where, status.reason) == (phase, where, reason)


@pytest.mark.parametrize(
    ("the_job", "pods", "reason"),
    [
        (None, [], "Kubernetes does not know it any more"),
        (job("Failed"), [], "BackoffLimitExceeded"),
        (job("Failed"), [pod("Failed", node="n1", state=ended(137, "OOMKilled"))], "OOMKilled"),
        (job("Failed"), [pod("Failed", state=ended(1, "Error"))], "its container ended with 1"),
        (job("FailureTarget", nodes=2), [pod("Failed", conditions=taken("DeletionByTaintManager"))],
         "DeletionByTaintManager"),
        (job("Failed"), [pod("Failed", reason="DeadlineExceeded", message="It was active too long")],
         "DeadlineExceeded: It was active too long"),
        (job(deletionTimestamp=CREATED), [], "it was deleted"),
        (job("Complete"), [pod("Succeeded", state=ended(0, "Completed"))], "BackoffLimitExceeded"),
    ],
)  # fmt: skip
def test_a_job_that_is_over_says_what_its_pod_died_of(the_job, pods, reason):
    heard = job_heard(the_job, pods, begun=True)
    assert heard.over
    assert (heard.status.phase, heard.status.reason) == ("ending", reason)


@pytest.mark.parametrize("the_job", [None, job("Failed"), job(deletionTimestamp=CREATED)])
def test_a_job_is_not_over_while_something_of_it_runs(the_job):
    """A pod has its time to save; of one whose time is up the kubelet says Failed before that."""
    going = pod("Running", node="n1", state=RUNNING, going=True)
    failed_already = pod("Failed", node="n1", state=RUNNING, reason="DeadlineExceeded")
    for still in (going, failed_already):
        assert job_heard(the_job, [still], begun=True).over is False


@pytest.mark.parametrize(
    ("reason", "is_fault"),
    [("ImagePullBackOff", True), ("CreateContainerConfigError", True), ("PodInitializing", False)],
)
def test_what_waiting_does_not_mend_is_a_fault(reason, is_fault):
    waiting = {"waiting": {"reason": reason, "message": "as it is\n said"}}
    heard = job_heard(job(), [pod("Pending", node="n1", state=waiting)], begun=False)
    assert heard.status.reason == f"{reason}: as it is said"
    assert heard.fault == (heard.status.reason if is_fault else "")


def test_a_page_says_it_in_words():
    standing = JobStanding("queued", where="night", reason="Suspended")
    assert job_words(standing, "outerloop-7f-1", "Kubernetes") == (
        "Kubernetes job outerloop-7f-1 waits in the queue of night:"
        " its queue has not admitted it yet (Suspended)."
    )
    standing = JobStanding("queued", reason='ImagePullBackOff: Back-off pulling "x:1"')
    assert job_words(standing, "j", "Kubernetes") == (
        "Kubernetes job j waits in the queue: its image cannot be pulled; mend its name, or the"
        ' cluster\'s way to the registry (ImagePullBackOff: Back-off pulling "x:1").'
    )
