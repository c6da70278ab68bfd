"""The objects that Kubernetes is sent for an attempt: a Job, and on several nodes the Service that names them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings

from ..job_token import JOB_TOKEN
from ..launching import ADDRESS, SECRET
from .accelerate import MAIN_PORT
from .job_script import SIGNAL_SECONDS, job_name
from .kubernetes_cluster import Cluster
from .kubernetes_script import pod_script
from .protocol import Resources

KEPT_SECONDS = 7 * 24 * 3600
"""So long Kubernetes keeps a job that is over, with its pods and their logs."""

RUN_LABEL, ATTEMPT_LABEL = "outerloop/run", "outerloop/attempt"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"

# Of the worker's machine, where the image has its own.
_OF_THE_MACHINE = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TMPDIR|TEMP|TMP|HOSTNAME|LD_\w+|VIRTUAL_ENV|PYTHON\w+|XDG_\w+"
    r"|SSL_CERT_\w+|\w+_CA_BUNDLE|CC|CXX|CPATH|LIBRARY_PATH|SLURM_\w+|(CUDA|NVIDIA)_VISIBLE_DEVICES"
    r"|MASTER_(ADDR|PORT)"
)
_SIGNED_IN = re.compile(r"://[^/\s]*@")


def manifests(
    argv: Sequence[str],
    environment: Mapping[str, str],
    resources: Resources,
    directory: Path,
    token: int,
    *,
    cluster: Cluster,
) -> list[dict[str, Any]]:
    """In the order in which they are sent, the Job last."""
    job = _job(argv, environment, resources, directory, token, cluster)
    return [job] if resources.nodes == 1 else [_service(directory, token, cluster), job]


def token_secret(job: Mapping[str, Any], token: str) -> dict[str, Any]:
    """The Secret with the token of a job that speaks to the site; it has the job's name, and goes when it does."""
    meta = job["metadata"]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": meta["uid"]}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": meta["name"],
            "namespace": meta["namespace"],
            "labels": {name: meta["labels"][name] for name in (RUN_LABEL, ATTEMPT_LABEL)},
            "ownerReferences": [owner],
        },
        "type": "Opaque",
        "stringData": {JOB_TOKEN: token},
    }


def wants_token(job: Mapping[str, Any]) -> bool:
    """Whether the job's pods take their token from the Secret of its name."""
    (container,) = job["spec"]["template"]["spec"]["containers"]
    named = [each.get("secretRef", {}).get("name") for each in container.get("envFrom") or ()]
    return job["metadata"]["name"] in named


def manifests_yaml(documents: Sequence[dict[str, Any]]) -> str:
    """As a person reads them: fields in their order, the script line by line."""
    apart = json.loads(json.dumps(documents))  # else what stands in two places is an alias in one
    return yaml.dump_all(apart, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)


def pod_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Of what a child would get: nothing that belongs to the worker's machine, and nothing secret, because
    whoever may read jobs reads it."""
    return {
        name: value
        for name, value in sorted(environment.items())
        if not _OF_THE_MACHINE.fullmatch(name)
        and not SECRET.search(name)
        and not _SIGNED_IN.search(value)
        and not (ADDRESS.fullmatch(name) and "@" in value)
    }


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as they are."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _labels(directory: Path, token: int) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "outerloop",
        RUN_LABEL: directory.name,
        ATTEMPT_LABEL: str(token),
    }


def _job(
    argv: Sequence[str],
    environment: Mapping[str, str],
    resources: Resources,
    directory: Path,
    token: int,
    cluster: Cluster,
) -> dict[str, Any]:
    labels = _labels(directory, token)
    several = resources.nodes > 1
    queue = {QUEUE_LABEL: resources.partition} if resources.partition else {}
    script = pod_script(argv, resources, directory, token, python=cluster.python)
    # Of several pods none goes on without the others: the job ends, and the next attempt goes on.
    disrupted = "FailJob" if several else "Ignore"
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(directory, token),
            "namespace": cluster.namespace,
            "labels": {**labels, **queue},
        },
        "spec": {
            "completions": resources.nodes,
            "parallelism": resources.nodes,
            **({"completionMode": "Indexed"} if several else {}),
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": disrupted,
                        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                    }
                ]
            },
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": {
                "metadata": {"labels": labels},
                "spec": _pod(script, environment, resources, cluster, name=job_name(directory, token)),
            },
        },
    }  # fmt: skip


def _pod(
    script: str,
    environment: Mapping[str, str],
    resources: Resources,
    cluster: Cluster,
    *,
    name: str,
) -> dict[str, Any]:
    shared = resources.files == "shared"
    secrets = [*([cluster.secret] if cluster.secret else []), *([] if shared else [name])]
    mount = cluster.mount if shared else Path(settings.OUTERLOOP_JOB_SCRATCH)
    claim: dict[str, Any] = {"persistentVolumeClaim": {"claimName": cluster.claim}}
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": SIGNAL_SECONDS,
        # The pod's, not the job's: time in a queue does not count.
        **({"activeDeadlineSeconds": resources.minutes * 60} if resources.minutes else {}),
        **({"subdomain": name} if resources.nodes > 1 else {}),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        **({"nodeSelector": cluster.node_labels} if cluster.node_labels else {}),
        **({"tolerations": list(cluster.tolerations)} if cluster.tolerations else {}),
        "containers": [
            {
                "name": "program",
                "image": resources.image,
                "workingDir": cluster.folder,
                "command": ["/bin/bash", "-c", script],
                "env": [{"name": n, "value": v} for n, v in pod_environment(environment).items()],
                **({"envFrom": [{"secretRef": {"name": each}} for each in secrets]} if secrets else {}),
                "resources": _asked(resources, cluster),
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [
                    {"name": "store", "mountPath": str(mount)},
                    {"name": "shared-memory", "mountPath": str(Path("/dev", "shm"))},
                ],
            }
        ],
        "volumes": [
            {"name": "store", **(claim if shared else {"emptyDir": {}})},
            {"name": "shared-memory", "emptyDir": {"medium": "Memory"}},
        ],
    }  # fmt: skip


def _asked(resources: Resources, cluster: Cluster) -> dict[str, Any]:
    """A pod may use idle cores beyond those that it asks for; memory and GPUs are its own."""
    memory = {"memory": f"{resources.memory_gb}Gi"} if resources.memory_gb else {}
    gpus = {cluster.gpu: str(resources.gpus)} if resources.gpus else {}
    requests = {**({"cpu": str(resources.cpus)} if resources.cpus else {}), **memory, **gpus}
    limits = {**memory, **gpus}
    return {
        **({"requests": requests} if requests else {}),
        **({"limits": limits} if limits else {}),
    }


def _service(directory: Path, token: int, cluster: Cluster) -> dict[str, Any]:
    """Without an address of its own: the pods find the first of them by its name, before it is ready."""
    labels = _labels(directory, token)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": job_name(directory, token),
            "namespace": cluster.namespace,
            "labels": labels,
        },
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": labels,
            "ports": [{"name": "rendezvous", "port": MAIN_PORT}],
        },
    }
