"""The command line of a learning program, and the accelerate configuration that it runs under."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from django.conf import settings

from training.contracts import RECIPE_MODULES

SHIPPED = Path(__file__).parents[1] / "configs"
PLAIN = (
    *("--num_processes", "1", "--num_machines", "1"),
    *("--mixed_precision", "no", "--dynamo_backend", "no"),
)


# The system's own, those of numerical libraries and accelerators, and ours for programs.
PASSED_ON = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|TEMP|TMP|HOSTNAME|LD_LIBRARY_PATH|LD_PRELOAD"
    r"|VIRTUAL_ENV|PYTHON\w+|XDG_\w+|SSL_CERT_(FILE|DIR)|(REQUESTS|CURL)_CA_BUNDLE"
    r"|CC|CXX|CPATH|LIBRARY_PATH|SLURM_\w+|(CUBLAS|CUBLASLT|CUDNN|MIOPEN|FI)_\w+"
    r"|(CUDA|NVIDIA|NCCL|GLOO|UCX|HIP|ROCR|HSA|OMP|MKL|KMP|GOMP|OPENBLAS|NUMEXPR|MALLOC|TORCH|TORCHINDUCTOR)_\w+"
    r"|(PYTORCH|TRITON|XLA|ACCELERATE|FSDP|VLLM|HF|TRANSFORMERS|TOKENIZERS|SAFETENSORS)_\w+"
    r"|MASTER_(ADDR|PORT)|OUTERLOOP_(THREADS|MEMORY_CHECK|TRACKERS)|(WANDB|MLFLOW)_\w+"
)
SECRET = re.compile(r"TOKEN$|KEY$|JWT|SECRET|PASSWORD|CREDENTIAL")
ADDRESS = re.compile(r"(HTTP|HTTPS|ALL|NO)_PROXY|MLFLOW_\w+_URI", re.IGNORECASE)


class LaunchError(ValueError):
    """The programs cannot be started as configured; the message names the setting and the fix."""


def shipped_configs() -> list[str]:
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def accelerate_config(setting: str) -> Path | None:
    """The file that OUTERLOOP_ACCELERATE_CONFIG names: a shipped one by its name, or a path.

    None where nothing is set: one process, on the GPU if there is one.
    """
    if not setting:
        return None
    if setting in shipped_configs():
        return SHIPPED / f"{setting}.yaml"
    path = Path(setting)
    if not path.is_file():
        raise LaunchError(
            f"OUTERLOOP_ACCELERATE_CONFIG names {setting}, which is neither a file nor one of"
            f" {', '.join(shipped_configs())}."
        )
    return path


def launch_command(
    kind: str, spec: Path, *, token: int | None = None, config: Path | None = None
) -> list[str]:
    """The line that a person could type as well; `config` is a job's own accelerate configuration."""
    config = config or accelerate_config(settings.OUTERLOOP_ACCELERATE_CONFIG)
    how = ["--config_file", str(config)] if config else [*PLAIN, *([] if has_gpu() else ["--cpu"])]
    launch = [sys.executable, "-m", "accelerate.commands.launch", *how]
    fence = [] if token is None else ["--token", str(token)]
    return [*launch, "-m", RECIPE_MODULES[kind], str(spec), *fence]


def has_gpu() -> bool:
    """Without torch: the driver's device file is there."""
    return Path("/dev/nvidia0").exists()


def child_environment(**forced: str) -> dict[str, str]:
    """What a program of ours finds in its environment: named variables, and no secret of the site.

    It reads models and data that came from elsewhere, and needs neither the database nor the key that
    signs sessions. OUTERLOOP_CHILD_VARIABLES names further ones.
    """
    # Waiting threads that spin cost a shared machine most of its time; a setting of your own wins.
    # What a program reads lies in the store: no library asks a model hub unless it is told to.
    defaults = {"OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1"}
    passed = {name: value for name, value in os.environ.items() if _passed_on(name, value)}
    return {**defaults, **passed, "TOKENIZERS_PARALLELISM": "false", **forced}


def _passed_on(name: str, value: str) -> bool:
    if name in settings.OUTERLOOP_CHILD_VARIABLES:
        return True
    if ADDRESS.fullmatch(name):
        return "@" not in value  # else it signs in with a password
    return bool(PASSED_ON.fullmatch(name)) and not SECRET.search(name)
