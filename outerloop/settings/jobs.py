"""Who runs learning programs where a line's plan says nothing else, and what a scheduler is asked for by default."""

from __future__ import annotations

import tempfile

from .env import (
    env_bool,
    env_choice,
    env_file,
    env_int,
    env_list,
    env_list_matching,
    env_matching,
    env_str,
)

OUTERLOOP_JOBS = env_choice("OUTERLOOP_JOBS", "local", ("local", "slurm", "kubernetes"))
OUTERLOOP_JOB_GPUS = env_int("OUTERLOOP_JOB_GPUS", 0)
OUTERLOOP_JOB_NODES = env_int("OUTERLOOP_JOB_NODES", 1, minimum=1)
OUTERLOOP_JOB_CPUS = env_int("OUTERLOOP_JOB_CPUS", 0)
OUTERLOOP_JOB_MEMORY_GB = env_int("OUTERLOOP_JOB_MEMORY_GB", 0)
OUTERLOOP_JOB_MINUTES = env_int("OUTERLOOP_JOB_MINUTES", 0)
OUTERLOOP_JOB_PRECISION = env_choice("OUTERLOOP_JOB_PRECISION", "no", ("no", "bf16", "fp16"))
OUTERLOOP_JOB_SHARDED = env_bool("OUTERLOOP_JOB_SHARDED", False)

OUTERLOOP_JOB_FILES = env_choice("OUTERLOOP_JOB_FILES", "shared", ("shared", "site"))
OUTERLOOP_JOB_SCRATCH = env_matching(
    "OUTERLOOP_JOB_SCRATCH",
    r"/[^:\n]*",
    "a folder by its full path",
    default=tempfile.gettempdir(),
)

OUTERLOOP_SLURM_PARTITION = env_str("OUTERLOOP_SLURM_PARTITION", "")
OUTERLOOP_SLURM_ACCOUNT = env_str("OUTERLOOP_SLURM_ACCOUNT", "")
OUTERLOOP_SLURM_OPTIONS = env_list("OUTERLOOP_SLURM_OPTIONS")
OUTERLOOP_SLURM_SECONDS = env_int("OUTERLOOP_SLURM_SECONDS", 15, minimum=1)

_NAME = "a name of lower-case letters, digits, hyphens and dots"
_OBJECT = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"
OUTERLOOP_KUBERNETES_NAMESPACE = env_matching(
    "OUTERLOOP_KUBERNETES_NAMESPACE", _OBJECT, _NAME, default="default"
)
OUTERLOOP_KUBERNETES_CONFIG = env_file("OUTERLOOP_KUBERNETES_CONFIG")
OUTERLOOP_KUBERNETES_CONTEXT = env_str("OUTERLOOP_KUBERNETES_CONTEXT", "")
OUTERLOOP_KUBERNETES_IMAGE = env_str("OUTERLOOP_KUBERNETES_IMAGE", "")
OUTERLOOP_KUBERNETES_QUEUE = env_matching("OUTERLOOP_KUBERNETES_QUEUE", _OBJECT, _NAME)
OUTERLOOP_KUBERNETES_CLAIM = env_matching("OUTERLOOP_KUBERNETES_CLAIM", _OBJECT, _NAME)
OUTERLOOP_KUBERNETES_MOUNT = env_matching(
    "OUTERLOOP_KUBERNETES_MOUNT", r"/[^:]*", "a folder by its full path"
)
OUTERLOOP_KUBERNETES_FOLDER = env_matching(
    "OUTERLOOP_KUBERNETES_FOLDER", r"/[^:]*", "a folder by its full path", default="/app"
)
OUTERLOOP_KUBERNETES_PYTHON = env_str("OUTERLOOP_KUBERNETES_PYTHON", "python")
OUTERLOOP_KUBERNETES_GPU = env_matching(
    "OUTERLOOP_KUBERNETES_GPU",
    r"[\w.-]+/[\w.-]+",
    "a resource as vendor/name",
    default="nvidia.com/gpu",
)
OUTERLOOP_KUBERNETES_NODE_LABELS = env_list_matching(
    "OUTERLOOP_KUBERNETES_NODE_LABELS", r"[\w./-]+=[\w.-]*", "a label as name=value"
)
OUTERLOOP_KUBERNETES_TOLERATIONS = env_list_matching(
    "OUTERLOOP_KUBERNETES_TOLERATIONS",
    r"[\w./-]+(=[\w.-]*)?(:(NoSchedule|PreferNoSchedule|NoExecute))?",
    "a taint as key=value:NoSchedule or key:NoSchedule",
)
OUTERLOOP_KUBERNETES_SECRET = env_matching("OUTERLOOP_KUBERNETES_SECRET", _OBJECT, _NAME)
OUTERLOOP_KUBERNETES_SECONDS = env_int("OUTERLOOP_KUBERNETES_SECONDS", 15, minimum=1)
