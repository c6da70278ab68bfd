"""The command line of a learning program, and the accelerate configuration that it runs under."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from django.conf import settings

from training.contracts import RECIPE_MODULES

SHIPPED = Path(__file__).parents[1] / "configs"
PLAIN = (
    *("--num_processes", "1", "--num_machines", "1"),
    *("--mixed_precision", "no", "--dynamo_backend", "no"),
)


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


def launch_command(kind: str, spec: Path, *, token: int | None = None) -> list[str]:
    """The line that a person could type as well."""
    config = accelerate_config(settings.OUTERLOOP_ACCELERATE_CONFIG)
    how = ["--config_file", str(config)] if config else [*PLAIN, *([] if has_gpu() else ["--cpu"])]
    launch = [sys.executable, "-m", "accelerate.commands.launch", *how]
    fence = [] if token is None else ["--token", str(token)]
    return [*launch, "-m", RECIPE_MODULES[kind], str(spec), *fence]


def has_gpu() -> bool:
    """Without torch: the driver's device file is there."""
    return Path("/dev/nvidia0").exists()


def launch_environment(**forced: str) -> dict[str, str]:
    """What a program of ours finds in its environment."""
    # Waiting threads that spin cost a shared machine most of its time; a setting of your own wins.
    defaults = {"OMP_WAIT_POLICY": "PASSIVE"}
    return {**defaults, **os.environ, "TOKENIZERS_PARALLELISM": "false", **forced}
