"""How a job stands, read from the Job and its pods as the API server has them. Pure functions.

Objects are the JSON of the API: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from training.contracts import JobPhase

from .kubernetes_manifest import QUEUE_LABEL
from .protocol import JobStatus

Object = Mapping[str, Any]

CANNOT_START = (
    *("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"),
    *("CreateContainerConfigError", "CreateContainerError", "RunContainerError"),
)  # fmt: skip
"""Why a container waits that will not run before somebody mends something."""

_OVER = ("FailureTarget", "Failed", "SuccessCriteriaMet", "Complete")
_INDEX = "batch.kubernetes.io/job-completion-index"
_LONGEST = 300


class Heard(NamedTuple):
    """`over`: nothing of the job runs any more, or will. `fault`: why its pod cannot start, as it is."""

    status: JobStatus
    over: bool = False
    fault: str = ""


def job_heard(job: Object | None, pods: Sequence[Object], *, begun: bool) -> Heard:
    """`job` is None where Kubernetes does not know it; `begun`: whether its script ever began.

    A job whose pod was taken away by the cluster waits for another: "preempted", as one that waits again.
    """
    live = [pod for pod in pods if _live(pod)]
    condition = _condition(job, *_OVER) if job else None
    if job is None or condition or "deletionTimestamp" in job["metadata"]:
        reason = _end_reason(job, condition, pods)
        return Heard(JobStatus("ending", where=_nodes(pods), reason=reason), over=not live)
    created = _text(job["metadata"].get("creationTimestamp"))
    queue = job["metadata"].get("labels", {}).get(QUEUE_LABEL, "")
    waiting: JobPhase = "preempted" if begun else "queued"
    if job["spec"].get("suspend"):
        return Heard(JobStatus(waiting, since=created, where=queue, reason="Suspended"))
    ending = [pod for pod in live if "deletionTimestamp" in pod["metadata"]]
    if ending or not live:
        return _between_pods(job, ending or pods, waiting, created, queue)
    return _at_work(job, live, waiting, created, queue)


def newest(pods: Sequence[Object]) -> Object | None:
    return max(pods, key=_age, default=None)


def _between_pods(
    job: Object, pods: Sequence[Object], waiting: JobPhase, created: str, queue: str
) -> Heard:
    """No pod is there yet, or the last one is going or gone and the job controller has not said more."""
    taken = next((c for pod in pods if (c := _condition(pod, "DisruptionTarget"))), None)
    if taken:
        since, reason = _text(taken.get("lastTransitionTime")), taken.get("reason", "")
        return Heard(JobStatus("preempted", since=since, where=queue, reason=reason))
    if pods:
        return Heard(JobStatus("ending", where=_nodes(pods), reason=_end_reason(job, None, pods)))
    return Heard(JobStatus(waiting, since=created, where=queue))


def _at_work(
    job: Object, live: Sequence[Object], waiting: JobPhase, created: str, queue: str
) -> Heard:
    wanted = job["spec"].get("completions") or 1
    pending = [pod for pod in live if pod["status"].get("phase") != "Running"]
    if pending:
        reason, fault = _pending_reason(pending[0])
        return Heard(
            JobStatus(waiting, since=created, where=queue, reason=reason),
            fault=reason if fault else "",
        )
    if len(live) < wanted:
        words = f"{len(live)} of {wanted} pods run"
        return Heard(JobStatus(waiting, since=created, where=queue, reason=words))
    begun = max(_text(pod["status"].get("startTime")) for pod in live)
    return Heard(JobStatus("running", since=begun, where=_nodes(live)))


def _pending_reason(pod: Object) -> tuple[str, bool]:
    """Why it does not run, and whether that is a fault that waiting does not mend."""
    for container in pod["status"].get("containerStatuses") or ():
        waits = container.get("state", {}).get("waiting") or {}
        if waits.get("reason"):
            return _with_message(waits), waits["reason"] in CANNOT_START
    for condition in pod["status"].get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return _with_message(condition), False
    return ("ContainerCreating" if pod["spec"].get("nodeName") else ""), False


def _end_reason(job: Object | None, condition: Object | None, pods: Sequence[Object]) -> str:
    """The pod's own is nearer to the cause than "BackoffLimitExceeded"."""
    for pod in sorted(pods, key=_age, reverse=True):
        status = pod["status"]
        if status.get("reason"):
            return _with_message(status)
        if taken := _condition(pod, "DisruptionTarget"):
            return str(taken.get("reason", ""))
        for container in status.get("containerStatuses") or ():
            ended = container.get("state", {}).get("terminated") or {}
            if ended.get("exitCode"):
                told = _with_message(ended) if ended.get("reason") != "Error" else ""
                return told or f"its container ended with {ended['exitCode']}"
    if condition:
        return str(condition.get("reason") or condition["type"])
    if job is None:
        return "Kubernetes does not know it any more"
    return "it was deleted" if "deletionTimestamp" in job["metadata"] else ""


def _live(pod: Object) -> bool:
    """Something of it may still run: a kubelet may call a pod failed before its containers have ended."""
    status = pod["status"]
    if status.get("phase") not in ("Succeeded", "Failed"):
        return True
    containers = status.get("containerStatuses") or ()
    return any((container.get("state") or {}).get("running") for container in containers)


def _condition(thing: Object, *types: str) -> Object | None:
    conditions = (thing.get("status") or {}).get("conditions") or ()
    true = {c["type"]: c for c in conditions if c["status"] == "True"}
    return next((true[name] for name in types if name in true), None)


def _nodes(pods: Sequence[Object]) -> str:
    named = sorted(pods, key=lambda pod: (int(_index(pod)), _age(pod)))
    return ",".join(dict.fromkeys(n for pod in named if (n := pod["spec"].get("nodeName"))))


def _index(pod: Object) -> str:
    return str((pod["metadata"].get("annotations") or {}).get(_INDEX, "0"))


def _age(pod: Object) -> str:
    return _text(pod["metadata"].get("creationTimestamp"))


def _with_message(said: Object) -> str:
    message = " ".join(str(said.get("message") or "").split())
    return f"{said['reason']}: {message[:_LONGEST]}" if message else str(said["reason"])


def _text(moment: Any) -> str:
    return str(moment or "")
