"""The few calls of the Kubernetes API that we make, by its own Python client; each ends in time.

The client is an extra, and imported when the first call is made: only a process that hands jobs to
Kubernetes needs it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings

from .protocol import JobRefused, SchedulerAway, call_seconds

CONNECT_SECONDS = 5.0
CALLS = 3
"""So many may follow each other between two heartbeats: a Service, a Job, and its owner told; or a Job, its Secret,
and the Job's end."""

_AGAIN = (401, 408, 409, 429, 500, 502, 503, 504)


class ClientMissing(RuntimeError):
    """This process cannot sign in to a cluster; the message says what to install or to set."""


class NotThere(LookupError):
    """404: the cluster has no object of that name."""


class NameTaken(RuntimeError):
    """409: there is an object of that name already."""


class ClusterApi:
    """Signed in as the kubeconfig says, or as the service account of the pod that this process runs in.

    Calls return the objects as JSON. They raise `SchedulerAway` where the answer may be another one later,
    `JobRefused` where what was sent cannot be, `NotThere`, or `NameTaken`.
    """

    def __init__(self) -> None:
        """Raises `ClientMissing`."""
        try:
            from kubernetes import client
        except ImportError as error:
            raise ClientMissing(
                "the Kubernetes client is not installed here; `pip install outerloop[kubernetes]`"
            ) from error
        self.library = client
        self.client = client.ApiClient(_configuration(client))
        self.batch, self.core = client.BatchV1Api(self.client), client.CoreV1Api(self.client)

    def create(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """A Job, a Service or a Secret; a field that the cluster does not know is refused."""
        kinds = {
            "Job": self.batch.create_namespaced_job,
            "Service": self.core.create_namespaced_service,
            "Secret": self.core.create_namespaced_secret,
        }
        namespace = document["metadata"]["namespace"]
        create = kinds[document["kind"]]
        made: dict[str, Any] = self.called(
            create, namespace, dict(document), field_validation="Strict"
        )
        return made

    def job(self, name: str, namespace: str) -> dict[str, Any]:
        found: dict[str, Any] = self.called(self.batch.read_namespaced_job, name, namespace)
        return found

    def pods(self, job: str, namespace: str) -> list[dict[str, Any]]:
        selector = f"batch.kubernetes.io/job-name={job}"
        found = self.called(self.core.list_namespaced_pod, namespace, label_selector=selector)
        return list(found.get("items") or ())

    def pod_log(self, pod: str, namespace: str, *, lines: int) -> str:
        read = self.core.read_namespaced_pod_log
        return self._answered(read, pod, namespace, tail_lines=lines).decode(errors="replace")

    def job_delete(self, name: str, namespace: str) -> None:
        """Its pods go after it, each with its time to save."""
        delete = self.batch.delete_namespaced_job
        self.called(delete, name, namespace, propagation_policy="Background")

    def service_own(self, job: Mapping[str, Any]) -> None:
        """The Service of this name goes when its Job does."""
        meta = job["metadata"]
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": meta["uid"]}
        body = {"metadata": {"ownerReferences": [owner]}}
        self.called(self.core.patch_namespaced_service, meta["name"], meta["namespace"], body)

    def called(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """The answer as JSON: the client's models refuse what a newer or older cluster leaves out."""
        answer = self._answered(function, *arguments, **named)
        try:
            document = json.loads(answer)
        except ValueError as error:
            raise SchedulerAway(f"the API server's answer is no JSON ({error})") from error
        if not isinstance(document, dict):
            raise SchedulerAway(f"the API server answered {str(document)[:100]!r}")
        return document

    def _answered(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> bytes:
        """What came, whole; whatever else comes instead is one of our errors."""
        import urllib3

        seconds = call_seconds(settings.OUTERLOOP_KUBERNETES_SECONDS, calls=CALLS)
        connect = min(CONNECT_SECONDS, seconds / 2)
        patience = (connect, seconds - connect)
        try:
            answer = function(
                *arguments, _request_timeout=patience, _preload_content=False, **named
            )
            return bytes(answer.data)
        except self.library.ApiException as error:
            raise _problem(error) from error
        except urllib3.exceptions.HTTPError as error:
            raise SchedulerAway(_unreached(error, seconds)) from error


def _configuration(client: Any) -> Any:
    from kubernetes import config

    configuration = client.Configuration()
    configuration.retries = 0  # the client's own would take several times as long
    path, context = settings.OUTERLOOP_KUBERNETES_CONFIG, settings.OUTERLOOP_KUBERNETES_CONTEXT
    try:
        if not path and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=configuration)
        else:
            config.load_kube_config(
                path or None,
                context=context or None,
                client_configuration=configuration,
                persist_config=False,
            )
    except (config.ConfigException, OSError, ValueError) as error:
        raise ClientMissing(
            f"this process cannot sign in to the cluster ({error}); set OUTERLOOP_KUBERNETES_CONFIG to a"
            " kubeconfig file, and OUTERLOOP_KUBERNETES_CONTEXT to one of its contexts"
        ) from error
    return configuration


def _problem(error: Any) -> Exception:
    said = _status_message(error)
    if error.status == 404:
        return NotThere(said)
    if error.status == 409 and _status_reason(error) == "AlreadyExists":
        return NameTaken(said)
    if not error.status or error.status in _AGAIN:
        return SchedulerAway(f"the API server answered {error.status or 'nothing'}: {said}")
    return JobRefused(said)


def _status(error: Any) -> dict[str, Any]:
    """The `Status` object of an answer that is an error; empty where it is none."""
    try:
        document = json.loads(error.body or "")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _status_message(error: Any) -> str:
    said = str(_status(error).get("message") or error.reason or "no reason")
    return " ".join(said.split())[:500].rstrip(".")


def _status_reason(error: Any) -> str:
    return str(_status(error).get("reason") or "")


def _unreached(error: Exception, seconds: float) -> str:
    """In a few words, without the addresses of objects in memory that urllib3 prints."""
    cause = getattr(error, "reason", None) or error
    name = type(cause).__name__
    if "Timeout" in name:
        return f"the API server said nothing within {seconds:.0f} s"
    words = str(cause).rsplit(": ", 1)[-1].rstrip(")\"'")
    return f"the API server cannot be reached ({name}: {words})"
