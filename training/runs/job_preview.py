"""The job of a step before there is one: whatever a scheduler would be given, for a person to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from training.contracts import JobPlan

from .backends import JobOrder, backend_title, job_order
from .backends.accelerate import accelerate_render
from .backends.attempts import attempt_folder
from .backends.kubernetes_cluster import cluster_configured
from .backends.kubernetes_manifest import manifests, manifests_yaml, token_secret, wants_token
from .backends.slurm_script import script_render
from .launching import child_environment, launch_command
from .wording import kind_words

FIRST = 1


@dataclass(frozen=True)
class JobPreview:
    """`title` names the step, `scheduler` who gets its job. `document` is what that is given, and `accelerate`
    the file that is written beside it."""

    title: str
    scheduler: str
    document: str
    accelerate: str


def job_previews(plan: JobPlan, kinds: Sequence[str]) -> list[JobPreview]:
    """The jobs of these kinds of runs that a scheduler gets; RUN_ID stands for what only a run has.

    Raises `ContractError` where the plan asks for what cannot be.
    """
    orders = [(kind, job_order(kind, plan)) for kind in kinds]
    return [
        JobPreview(
            title=kind_words(kind),
            scheduler=backend_title(order.backend),
            document=_document(kind, order),
            accelerate=accelerate_render(order.resources),
        )
        for kind, order in orders
        if order.backend != "local"
    ]


def _document(kind: str, order: JobOrder) -> str:
    directory = Path(settings.ARTIFACT_ROOT) / "runs" / "RUN_ID"
    config = attempt_folder(directory, FIRST) / "accelerate.yaml"
    argv = launch_command(kind, directory / "spec.json", token=FIRST, config=config)
    if order.backend == "slurm":
        return script_render(argv, order.resources, directory, FIRST, base=settings.BASE_DIR)
    environment, cluster = child_environment(), cluster_configured(files=order.resources.files)
    documents = manifests(argv, environment, order.resources, directory, FIRST, cluster=cluster)
    if wants_token(documents[-1]):
        named = {**documents[-1]["metadata"], "uid": "that of the Job"}
        documents.append(token_secret({"metadata": named}, "the token of the attempt"))
    return manifests_yaml(documents)
