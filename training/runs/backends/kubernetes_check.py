"""Whether a cluster is there, and lets this process do what jobs need; for `manage.py doctor`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from .kubernetes_api import ClientMissing, ClusterApi, NotThere
from .kubernetes_cluster import cluster_configured
from .protocol import JobRefused, SchedulerAway

NEEDED = (
    *(("batch", "jobs", verb) for verb in ("create", "get", "delete")),
    *(("", resource, verb) for resource, verb in (("pods", "list"), ("pods/log", "get"))),
)
SEVERAL_NODES = (("", "services", "create"), ("", "services", "patch"))
TOKENS = (("", "secrets", "create"),)
"""Group, resource and verb of each right; the latter two only where a job has several nodes, or gets a token."""


@dataclass(frozen=True)
class ClusterCheck:
    """`problems` are sentences, each with what to mend."""

    version: str
    namespace: str
    problems: tuple[str, ...]


def cluster_check(
    queues: Collection[str], *, several_nodes: bool, shared: bool, tokens: bool
) -> ClusterCheck:
    """`queues`: those of Kueue that jobs name; `shared`: some find the store on a volume, `tokens`: some speak to
    the site. Raises `SchedulerAway`, or `ContractError` for settings with which there is no job."""
    namespace = settings.OUTERLOOP_KUBERNETES_NAMESPACE
    try:
        api = ClusterApi()
        version = api.called(api.library.VersionApi(api.client).get_code)
        rights = (*NEEDED, *(SEVERAL_NODES if several_nodes else ()), *(TOKENS if tokens else ()))
        lacking = [right for right in rights if not _allowed(api, namespace, *right)]
        problems = [
            f"this process may not {verb} {resource} in the namespace {namespace}; give its user or service"
            " account that right"
            for _, resource, verb in lacking
        ]
        problems += _claim_problem(api, namespace) if shared else []
        problems += [words for queue in queues for words in _queue_problem(api, namespace, queue)]
    except (ClientMissing, JobRefused, NotThere) as error:
        raise SchedulerAway(str(error)) from error
    return ClusterCheck(version["gitVersion"], namespace, tuple(problems))


def _allowed(api: ClusterApi, namespace: str, group: str, resource: str, verb: str) -> bool:
    name, _, part = resource.partition("/")
    asked = {"namespace": namespace, "group": group, "resource": name, "verb": verb}
    body = {"spec": {"resourceAttributes": {**asked, **({"subresource": part} if part else {})}}}
    review = api.library.AuthorizationV1Api(api.client).create_self_subject_access_review
    return bool(api.called(review, body)["status"]["allowed"])


def _claim_problem(api: ClusterApi, namespace: str) -> list[str]:
    """None where it is not for this process to see: a pod would say so."""
    read, claim = api.core.read_namespaced_persistent_volume_claim, cluster_configured().claim
    words = f"there is no PersistentVolumeClaim {claim} in the namespace {namespace}"
    return _missing(api, words, read, claim, namespace)


def _queue_problem(api: ClusterApi, namespace: str, queue: str) -> list[str]:
    read = api.library.CustomObjectsApi(api.client).get_namespaced_custom_object
    words = f"Kueue has no queue {queue} in the namespace {namespace}: its jobs would wait for ever"
    kueue = ("kueue.x-k8s.io", "v1beta1", namespace, "localqueues", queue)
    return _missing(api, words, read, *kueue)


def _missing(api: ClusterApi, words: str, read: Any, *what: str) -> list[str]:
    try:
        api.called(read, *what)
    except NotThere:
        return [words]
    except JobRefused:
        return []
    return []
