"""What the installation says of its cluster: where jobs go, what their pods are made of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from training.contracts import ContractError, JobFiles


@dataclass(frozen=True)
class Cluster:
    """`mount`: where pods find the volume that holds the artifact store, under the path of the workers; jobs
    that share no folder need neither it nor `claim`.

    `folder`, `python`: where the image has the checkout, and its interpreter. `gpu`: the resource that a GPU
    is asked for by. `secret`: the Secret whose keys become variables.
    """

    namespace: str
    claim: str
    mount: Path
    folder: str
    python: str
    gpu: str
    node_labels: dict[str, str]
    tolerations: tuple[dict[str, Any], ...]
    secret: str


def cluster_configured(*, files: JobFiles = "shared") -> Cluster:
    """As the settings have it; raises `ContractError` where pods could not reach the artifact store."""
    store = Path(settings.ARTIFACT_ROOT)
    mount = Path(settings.OUTERLOOP_KUBERNETES_MOUNT or store)
    shared = files == "shared"
    if shared and not settings.OUTERLOOP_KUBERNETES_CLAIM:
        raise ContractError(
            "Kubernetes runs no job without a volume: set OUTERLOOP_KUBERNETES_CLAIM to the"
            " PersistentVolumeClaim that holds the artifact store, or give `files` as site."
        )
    if shared and not store.is_relative_to(mount):
        raise ContractError(
            f"OUTERLOOP_KUBERNETES_MOUNT is {mount}, but the artifact store lies in {store}: pods must find it"
            " under the same path, so name that folder or one above it."
        )
    return Cluster(
        namespace=settings.OUTERLOOP_KUBERNETES_NAMESPACE,
        claim=settings.OUTERLOOP_KUBERNETES_CLAIM,
        mount=mount,
        folder=settings.OUTERLOOP_KUBERNETES_FOLDER,
        python=settings.OUTERLOOP_KUBERNETES_PYTHON,
        gpu=settings.OUTERLOOP_KUBERNETES_GPU,
        node_labels=dict(
            label.split("=", 1) for label in settings.OUTERLOOP_KUBERNETES_NODE_LABELS
        ),
        tolerations=tuple(map(_toleration, settings.OUTERLOOP_KUBERNETES_TOLERATIONS)),
        secret=settings.OUTERLOOP_KUBERNETES_SECRET,
    )


def _toleration(text: str) -> dict[str, Any]:
    """ "key=value:Effect"; value and effect may be left out."""
    key, value, effect = re.fullmatch(r"([^=:]+)(?:=([^:]*))?(?::(\w+))?", text).groups()  # type: ignore[union-attr]
    equal = {"operator": "Equal", "value": value} if value is not None else {"operator": "Exists"}
    return {"key": key, **equal, **({"effect": effect} if effect else {})}
