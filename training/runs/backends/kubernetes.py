"""Kubernetes: a plain Job for each attempt, whose name says which; several nodes are an indexed Job.

The name is made from run and attempt, so that the cluster itself refuses a second one. A job's exit code is
what its script left in the run directory.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from django.conf import settings

from training.contracts import ContractError
from web.files import file_write

from ..job_token import job_token
from .attempts import attempt_begun, attempt_exit, attempt_folder
from .endings import Endings
from .job_script import job_name
from .kubernetes_api import ClientMissing, ClusterApi, NameTaken, NotThere
from .kubernetes_cluster import cluster_configured
from .kubernetes_manifest import (
    ATTEMPT_LABEL,
    RUN_LABEL,
    manifests,
    manifests_yaml,
    token_secret,
    wants_token,
)
from .kubernetes_status import Heard, job_heard, newest
from .protocol import JobRefused, JobStatus, Resources, SchedulerAway

FAULT_SECONDS = 300.0
"""So long a pod may be unable to start for one and the same reason; registries have their moments."""

LOG_LINES = 200


class KubernetesBackend:
    title: ClassVar[str] = "Kubernetes"

    def __init__(self) -> None:
        self.endings = Endings()
        self.fault_since: dict[str, float] = {}

    @property
    def namespace(self) -> str:
        return str(settings.OUTERLOOP_KUBERNETES_NAMESPACE)

    @cached_property
    def _signed_in(self) -> ClusterApi:
        return ClusterApi()

    @property
    def api(self) -> ClusterApi:
        try:
            return self._signed_in
        except ClientMissing as error:
            raise SchedulerAway(str(error)) from error

    def submit(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        resources: Resources,
        directory: Path,
        token: int,
    ) -> str:
        try:
            api, cluster = self._signed_in, cluster_configured(files=resources.files)
        except ClientMissing as error:
            raise JobRefused(f"Kubernetes cannot be asked: {error}.") from error
        except ContractError as error:
            raise JobRefused(str(error)) from error
        documents = manifests(argv, environment, resources, directory, token, cluster=cluster)
        path = attempt_folder(directory, token) / "manifest.yaml"
        file_write(path, manifests_yaml(documents), durable=False)
        try:
            for document in documents[:-1]:
                self._made(api, document)
            job = self._made(api, documents[-1])
            self._token_give(api, job, directory, token)
        except JobRefused as error:
            raise JobRefused(
                f"Kubernetes refused the job: {error}. Mend `jobs` in the line's plan, or the"
                " installation's OUTERLOOP_JOB_... and OUTERLOOP_KUBERNETES_... variables."
            ) from error
        if len(documents) > 1:
            api.service_own(job)
        return str(job["metadata"]["name"])

    def find(self, directory: Path, token: int) -> str:
        try:
            job = self.api.job(job_name(directory, token), self.namespace)
            if job["spec"].get("completionMode") == "Indexed":
                self.api.service_own(job)
            self._token_give(self.api, job, directory, token)
        except NotThere:
            return ""
        except JobRefused as error:
            raise SchedulerAway(str(error)) from error
        return str(job["metadata"]["name"])

    def state(self, job_id: str, directory: Path, token: int) -> JobStatus:
        code = attempt_exit(directory, token)
        if code is not None:
            return JobStatus("ended", code)
        begun = attempt_begun(directory, token)
        try:
            heard, pods = self._asked(job_id, begun)
        except JobRefused as error:  # of a question: forbidden, until somebody allows it
            raise SchedulerAway(str(error)) from error
        if heard.over:
            status = heard.status
            status = self.endings.over(job_id, directory, token, status.reason, status.where)
            if status.phase == "lost" and not begun:
                self._log_keep(pods, directory)
            return status
        self.endings.not_over(job_id)
        self._fault_check(job_id, heard.fault)
        return heard.status

    def cancel(self, job_id: str) -> None:
        try:
            self.api.job_delete(job_id, self.namespace)
        except NotThere:
            return
        except JobRefused as error:
            raise SchedulerAway(str(error)) from error

    def logs(self, directory: Path) -> Path:
        return directory / "child.log"

    def _made(self, api: ClusterApi, document: dict[str, Any]) -> dict[str, Any]:
        """The object as the cluster has it; one that is there already must be the same attempt's."""
        try:
            return api.create(document)
        except NotThere as error:
            raise JobRefused(str(error)) from error
        except NameTaken:
            if document["kind"] != "Job":
                return document
        meta = document["metadata"]
        try:
            there = api.job(meta["name"], meta["namespace"])
        except NotThere as error:
            raise SchedulerAway(f"{meta['name']} was there, and is not") from error
        labels = there["metadata"].get("labels") or {}
        if any(labels.get(name) != meta["labels"][name] for name in (RUN_LABEL, ATTEMPT_LABEL)):
            raise JobRefused(f"there is another Job by the name of {meta['name']}")
        return there

    def _token_give(
        self, api: ClusterApi, job: dict[str, Any], directory: Path, token: int
    ) -> None:
        """Pods of the job begin once the Secret is there. Where it cannot be, there is no job either."""
        if not wants_token(job):
            return
        try:
            self._made(api, token_secret(job, job_token(directory.name, token)))
        except JobRefused:
            with suppress(NotThere):
                api.job_delete(job["metadata"]["name"], job["metadata"]["namespace"])
            raise

    def _asked(self, job_id: str, begun: bool) -> tuple[Heard, list[dict[str, Any]]]:
        job: dict[str, Any] | None
        try:
            job = self.api.job(job_id, self.namespace)
        except NotThere:
            job = None  # its pods may still be at work, with their time to save
        pods = self.api.pods(job_id, self.namespace)
        return job_heard(job, pods, begun=begun), pods

    def _fault_check(self, job_id: str, fault: str) -> None:
        if not fault:
            self.fault_since.pop(job_id, None)
            return
        since = self.fault_since.setdefault(job_id, time.monotonic())
        if time.monotonic() - since >= FAULT_SECONDS:
            raise JobRefused(
                f"The job's pod cannot start: {fault}. Mend the image in the line's plan or"
                " OUTERLOOP_KUBERNETES_IMAGE, or what the cluster needs to run it."
            )

    def _log_keep(self, pods: Sequence[Mapping[str, Any]], directory: Path) -> None:
        """What a pod said whose script could not begin, and so wrote no log of the run."""
        pod = newest(pods)
        if pod is None:
            return
        name = pod["metadata"]["name"]
        try:
            said = self.api.pod_log(name, self.namespace, lines=LOG_LINES)
        except (SchedulerAway, JobRefused, NotThere) as error:
            said = f"(its log cannot be read: {error})"
        with self.logs(directory).open("a") as log:
            log.write(f"--- pod {name} ---\n{said.rstrip()}\n")
