"""Which backend runs a program, and with what: the plan of the line, and what it leaves open by settings."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any

from django.conf import settings

from training.contracts import ContractError, JobBackend, JobPlan, JobResources

from .kubernetes_cluster import cluster_configured
from .protocol import Resources

_QUEUE = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?")

STEPS = {
    "reward_model": "reward_training",
    "ppo": "policy_training",
    "dpo": "policy_training",
    "best_of_n": "policy_training",
    "evaluate_reward_model": "evaluation",
    "evaluate_policy": "evaluation",
    "sample_pairs": "sampling",
}
"""Kind of run -> the field of the plan with resources of its own; another has those of `every_step`."""


@dataclass(frozen=True)
class JobOrder:
    backend: JobBackend
    resources: Resources


def files_by_site(order: JobOrder) -> bool:
    """Whether the program works in a folder that its worker does not see."""
    return order.backend != "local" and order.resources.files == "site"


def job_order(kind: str, plan: JobPlan | None) -> JobOrder:
    """Raises `ContractError` where the resources cannot be used together."""
    plan = plan or JobPlan()
    backend: Any = settings.OUTERLOOP_JOBS if plan.backend == "default" else plan.backend
    own = getattr(plan, STEPS[kind]) if kind in STEPS else plan.every_step
    installed = _installed(backend)
    resources = Resources(
        **{f.name: _first(f.name, own, plan.every_step, installed) for f in fields(Resources)}
    )
    if backend != "local":
        _scheduled_check(kind, resources)
        _files_check(kind, resources)
    if backend == "kubernetes":
        _kubernetes_check(kind, resources)
    elif backend == "slurm" and resources.image:
        raise ContractError(
            f"The jobs of {kind} ask for the image {resources.image}, but Slurm runs them from the"
            " checkout; leave `image` out."
        )
    return JobOrder(backend, resources)


def _scheduled_check(kind: str, resources: Resources) -> None:
    if resources.nodes > 1 and not resources.gpus:
        raise ContractError(
            f"The jobs of {kind} ask for {resources.nodes} nodes without a GPU; give `gpus`, or one node."
        )
    if resources.sharded and resources.mixed_precision == "fp16":
        raise ContractError(
            f"The jobs of {kind} ask for sharded weights in fp16, which cannot be trained; give bf16, or no"
            " sharding."
        )


def _files_check(kind: str, resources: Resources) -> None:
    if resources.files == "shared":
        return
    if not settings.OUTERLOOP_ARTIFACT_STORE:
        raise ContractError(
            f"The jobs of {kind} share no folder with the workers (`files` is site), and artifacts lie in a"
            " folder: set OUTERLOOP_ARTIFACT_STORE to a bucket, or give `files` as shared."
        )
    if resources.nodes > 1:
        raise ContractError(
            f"The jobs of {kind} ask for {resources.nodes} nodes without a folder in common (`files` is site);"
            " give one node, or `files` as shared."
        )


def _kubernetes_check(kind: str, resources: Resources) -> None:
    for name, value in (("account", resources.account), ("options", resources.options)):
        if value:
            raise ContractError(
                f"The jobs of {kind} give `{name}`, which is Slurm's alone; leave it out for Kubernetes."
            )
    if not _QUEUE.fullmatch(resources.partition):
        raise ContractError(
            f"The jobs of {kind} ask for {resources.partition!r}, which is no name of a queue of Kueue;"
            " give `partition` one of lower-case letters, digits and hyphens, or leave it empty."
        )
    if not resources.image:
        raise ContractError(
            f"The jobs of {kind} have no image to run in: give `image` in the plan, or set"
            " OUTERLOOP_KUBERNETES_IMAGE."
        )
    cluster_configured(files=resources.files)


def _first(name: str, *asked: JobResources) -> Any:
    return next(value for one in asked if (value := getattr(one, name)) is not None)


def _installed(backend: JobBackend) -> JobResources:
    precision: Any = settings.OUTERLOOP_JOB_PRECISION
    files: Any = settings.OUTERLOOP_JOB_FILES
    on_kubernetes = backend == "kubernetes"
    return JobResources(
        gpus=settings.OUTERLOOP_JOB_GPUS,
        nodes=settings.OUTERLOOP_JOB_NODES,
        cpus=settings.OUTERLOOP_JOB_CPUS,
        memory_gb=settings.OUTERLOOP_JOB_MEMORY_GB,
        minutes=settings.OUTERLOOP_JOB_MINUTES,
        partition=settings.OUTERLOOP_KUBERNETES_QUEUE
        if on_kubernetes
        else settings.OUTERLOOP_SLURM_PARTITION,
        account="" if on_kubernetes else settings.OUTERLOOP_SLURM_ACCOUNT,
        options=() if on_kubernetes else tuple(settings.OUTERLOOP_SLURM_OPTIONS),
        image=settings.OUTERLOOP_KUBERNETES_IMAGE if on_kubernetes else "",
        mixed_precision=precision,
        sharded=settings.OUTERLOOP_JOB_SHARDED,
        files=files,
    )
