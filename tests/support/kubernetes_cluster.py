"""A Kubernetes of one node, as far as Jobs go: its job controller, its scheduler and its kubelet.

Objects are the JSON of the API. A pod's container is a process of this machine: its command in its working
folder, with the variables of `image` and its own, SIGTERM and its grace when the pod is to end, and SIGKILL
for all that is left when its first process has ended.
"""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from tests.support.kubernetes_objects import (
    INDEX,
    JOB_NAME,
    Object,
    condition_set,
    container_statuses,
    expanded,
    failure_action,
    index_of,
    live,
    moment,
)

Name = tuple[str, str]
NODE = "node1"
TICK = 0.03


class Cluster:
    """Steered by a test: `held`, `image_fault`, `start_fault`, `grace`, `preempt`, `admit`, `pod_delete`."""

    def __init__(self, folder: Path, image: Mapping[str, str]) -> None:
        self.folder, self.image = folder, dict(image)
        self.lock = threading.RLock()
        self.jobs: dict[Name, Object] = {}
        self.pods: dict[Name, Object] = {}
        self.services: dict[Name, Object] = {}
        self.claims, self.secrets = {"store"}, dict[str, dict[str, str]]()
        self.queues = {"night"}
        self.created: list[str] = []  # the name of every Job that there ever was
        self.held = ""  # why no node has room
        self.image_fault: tuple[str, str] | None = None
        self.start_fault = ""
        self.grace: float | None = None
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.kill_at: dict[str, float] = {}
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._turn, daemon=True)

    # ------------------------------------------------------------------------- by a test

    def names(self) -> list[str]:
        with self.lock:
            return [name for _, name in self.jobs]

    def pods_of(self, job: str) -> list[Object]:
        with self.lock:
            return [p for p in self.pods.values() if p["metadata"]["labels"][JOB_NAME] == job]

    def preempt(self, job: str, *, reason: str = "PreemptionByScheduler") -> None:
        with self.lock:
            for pod in self.pods_of(job):
                if live(pod):
                    condition_set(pod, "DisruptionTarget", reason, "a pod of higher priority")
                    self._pod_end(pod)

    def pod_delete(self, job: str) -> None:
        with self.lock:
            for pod in self.pods_of(job):
                self._pod_end(pod)

    def admit(self, job: str) -> None:
        """As Kueue does once there is room."""
        with self.lock:
            found = next(j for (_, name), j in self.jobs.items() if name == job)
            found["spec"]["suspend"] = False

    def process(self, job: str) -> subprocess.Popen[bytes]:
        """The first process of the pod that is at work."""
        uids = [pod["metadata"]["uid"] for pod in self.pods_of(job) if live(pod)]
        return self.processes[uids[-1]]

    # ---------------------------------------------------------------- by the API server

    def job_create(self, namespace: str, job: Object) -> Object:
        """The Job as it is kept, with what the API server adds; Kueue suspends what names a queue."""
        meta = job["metadata"]
        kept = copy.deepcopy(job)
        kept["metadata"] |= {"uid": str(uuid.uuid4()), "creationTimestamp": moment()}
        kept["metadata"]["namespace"] = namespace
        spec = kept["spec"]
        spec["suspend"] = "kueue.x-k8s.io/queue-name" in meta.get("labels", {})
        kept["status"] = {}
        template = spec["template"]["metadata"]
        template["labels"] = {**template.get("labels", {}), JOB_NAME: meta["name"]}
        self.jobs[namespace, meta["name"]] = kept
        self.created.append(meta["name"])
        return kept

    def job_delete(self, key: Name, *, orphan: bool) -> None:
        job = self.jobs.pop(key)
        if orphan:
            return
        for pod in self.pods_of(job["metadata"]["name"]):
            self._pod_end(pod)
        for name, service in list(self.services.items()):
            owners = service["metadata"].get("ownerReferences", [])
            if any(owner["uid"] == job["metadata"]["uid"] for owner in owners):
                del self.services[name]

    # --------------------------------------------------------------------- controllers

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        self.ended.set()
        self.thread.join(5)
        for process in self.processes.values():
            _group_kill(process)

    def _turn(self) -> None:
        while not self.ended.wait(TICK):
            with self.lock:
                for pod in list(self.pods.values()):
                    self._kubelet(pod)
                for job in list(self.jobs.values()):
                    self._job_controller(job)

    def _job_controller(self, job: Object) -> None:
        conditions = {c["type"] for c in job["status"].get("conditions", [])}
        pods = self.pods_of(job["metadata"]["name"])
        if conditions & {"Failed", "Complete"} or job["spec"]["suspend"]:
            return
        job["status"].setdefault("startTime", moment())
        if "FailureTarget" in conditions:
            for pod in pods:
                if live(pod) and "deletionTimestamp" not in pod["metadata"]:
                    self._pod_end(pod)
            if not any(live(pod) for pod in pods):
                why = next(c for c in job["status"]["conditions"] if c["type"] == "FailureTarget")
                condition_set(job, "Failed", why["reason"], why["message"])
            return
        failed = [pod for pod in pods if pod["status"]["phase"] == "Failed"]
        for pod in failed:
            action = failure_action(job, pod)
            if action != "Ignore":
                reason = "PodFailurePolicy" if action else "BackoffLimitExceeded"
                condition_set(job, "FailureTarget", reason, "Job has reached its end")
                return
        done = {index_of(pod) for pod in pods if pod["status"]["phase"] == "Succeeded"}
        wanted = range(job["spec"]["completions"])
        if len(done) == len(wanted):
            condition_set(job, "SuccessCriteriaMet", "CompletionsReached", "Reached completions")
            condition_set(job, "Complete", "CompletionsReached", "Reached completions")
            return
        there = {index_of(pod) for pod in pods if pod["status"]["phase"] != "Failed"}
        for index in wanted:
            if index not in there:  # a failed pod is replaced once it has failed wholly
                self._pod_create(job, index)

    def _pod_create(self, job: Object, index: int) -> None:
        template, meta = job["spec"]["template"], job["metadata"]
        name = f"{meta['name']}-{uuid.uuid4().hex[:5]}"
        self.pods[meta["namespace"], name] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": meta["namespace"],
                "uid": str(uuid.uuid4()),
                "creationTimestamp": moment(),
                "labels": dict(template["metadata"]["labels"]),
                "annotations": {INDEX: str(index)},
            },
            "spec": copy.deepcopy(template["spec"]),
            "status": {"phase": "Pending"},
        }

    def _kubelet(self, pod: Object) -> None:
        status, uid = pod["status"], pod["metadata"]["uid"]
        if status["phase"] == "Pending" and "deletionTimestamp" not in pod["metadata"]:
            self._pod_start(pod)
            return
        process = self.processes.get(uid)
        if process is None:
            return
        code = process.poll()
        if code is None:
            self._deadline_check(pod)
            if time.monotonic() > self.kill_at.get(uid, float("inf")):
                _group_kill(process)
            return
        if "terminated" not in status["containerStatuses"][0]["state"]:
            _group_kill(process)
            code = 128 - code if code < 0 else code
            why = "Completed" if code == 0 else "Error"
            status["containerStatuses"][0]["state"] = {
                "terminated": {"exitCode": code, "reason": why, "finishedAt": moment()}
            }
            status["phase"] = "Failed" if code or status.get("reason") else "Succeeded"
        owner = (pod["metadata"]["namespace"], pod["metadata"]["labels"][JOB_NAME])
        if "deletionTimestamp" in pod["metadata"] and owner not in self.jobs:
            del self.pods[pod["metadata"]["namespace"], pod["metadata"]["name"]]

    def _pod_start(self, pod: Object) -> None:
        spec, status = pod["spec"], pod["status"]
        if self.held:
            message = f"0/1 nodes are available: {self.held}."
            condition_set(pod, "PodScheduled", "Unschedulable", message, status="False")
            return
        spec["nodeName"] = NODE
        condition_set(pod, "PodScheduled", "", "")
        container = spec["containers"][0]
        if self.image_fault:
            reason, message = self.image_fault
            waiting = {"reason": reason, "message": message}
            status["containerStatuses"] = container_statuses({"waiting": waiting})
            return
        named = [source["secretRef"]["name"] for source in container.get("envFrom", [])]
        if missing := [name for name in named if name not in self.secrets]:
            message = f'secret "{missing[0]}" not found'
            waiting = {"reason": "CreateContainerConfigError", "message": message}
            status["containerStatuses"] = container_statuses({"waiting": waiting})
            return
        try:
            self.processes[pod["metadata"]["uid"]] = self._process(pod, container)
        except FileNotFoundError as error:
            ended = {"exitCode": 128, "reason": "StartError", "message": str(error)}
            status["containerStatuses"] = container_statuses({"terminated": ended})
            status["phase"] = "Failed"
            return
        status |= {"phase": "Running", "startTime": moment()}
        status["containerStatuses"] = container_statuses({"running": {"startedAt": moment()}})

    def _process(self, pod: Object, container: Object) -> subprocess.Popen[bytes]:
        given = {entry["name"]: entry["value"] for entry in container.get("env", [])}
        for source in container.get("envFrom", []):
            given = {**self.secrets[source["secretRef"]["name"]], **given}
        job = self.jobs[pod["metadata"]["namespace"], pod["metadata"]["labels"][JOB_NAME]]
        if job["spec"].get("completionMode") == "Indexed":
            given["JOB_COMPLETION_INDEX"] = pod["metadata"]["annotations"][INDEX]
        command = [expanded(word, given) for word in container["command"]]
        with self.log_path(pod["metadata"]["name"]).open("ab") as log:
            return subprocess.Popen(
                [self.start_fault or command[0], *command[1:]],
                cwd=container["workingDir"], env={**self.image, **given}, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def log_path(self, pod: str) -> Path:
        return self.folder / f"{pod}.log"

    def _deadline_check(self, pod: Object) -> None:
        deadline, status = pod["spec"].get("activeDeadlineSeconds"), pod["status"]
        if deadline is None or status.get("reason"):
            return
        begun = datetime.fromisoformat(status["startTime"])
        if (datetime.now(UTC) - begun).total_seconds() > deadline:
            status |= {"phase": "Failed", "reason": "DeadlineExceeded"}
            self._signal(pod)

    def _pod_end(self, pod: Object) -> None:
        pod["metadata"].setdefault("deletionTimestamp", moment())
        if pod["metadata"]["uid"] in self.processes:
            self._signal(pod)
        else:
            self.pods.pop((pod["metadata"]["namespace"], pod["metadata"]["name"]), None)

    def _signal(self, pod: Object) -> None:
        """SIGTERM to the first process alone, and later SIGKILL to all."""
        uid = pod["metadata"]["uid"]
        if uid in self.kill_at:
            return
        grace = pod["spec"].get("terminationGracePeriodSeconds", 30)
        self.kill_at[uid] = time.monotonic() + (grace if self.grace is None else self.grace)
        with suppress(ProcessLookupError):
            os.kill(self.processes[uid].pid, signal.SIGTERM)


def _group_kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(5)
