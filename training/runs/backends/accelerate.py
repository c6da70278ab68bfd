"""The accelerate configuration of a job, from its resources: nobody writes one on each machine by hand."""

from __future__ import annotations

from .protocol import Resources

MAIN_PORT = 29_500  # of several nodes; their script takes one that belongs to the job


def accelerate_render(resources: Resources) -> str:
    """One process on each GPU, or a single one on the CPU.

    Rank and main address of several nodes are filled in on the node, where they are known.
    """
    several = resources.processes > 1
    kind = ("FSDP" if resources.sharded else "MULTI_GPU") if several else '"NO"'
    lines = [
        "compute_environment: LOCAL_MACHINE",
        f"distributed_type: {kind}",
        f"use_cpu: {'false' if resources.gpus else 'true'}",
        *(["gpu_ids: all"] if several else []),
        f"num_processes: {resources.processes}",
        f"num_machines: {resources.nodes}",
        "machine_rank: 0",
        f"main_process_port: {MAIN_PORT if resources.nodes > 1 else 0}",
        *(["rdzv_backend: static", "same_network: true"] if resources.nodes > 1 else []),
        f'mixed_precision: "{resources.mixed_precision}"',
    ]
    if kind == "FSDP":
        lines += ["fsdp_config:", "  fsdp_version: 2", "  fsdp_reshard_after_forward: true"]
    return "\n".join(lines) + "\n"
