"""What a manifest says of the machine, and numbers made fit for JSON."""

from __future__ import annotations

import math
import os
import platform
import resource
import sys
from importlib import metadata
from typing import Any

from training.checkout import commit

_PACKAGES = (
    "outerloop",
    "torch",
    "transformers",
    "accelerate",
    "tokenizers",
    "safetensors",
    "numpy",
)


def environment_describe() -> dict[str, Any]:
    """Versions and hardware; torch is asked only where the program has loaded it."""
    description: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        "packages": {name: _version(name) for name in _PACKAGES},
        "commit": commit(),
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        description["threads"] = torch.get_num_threads()
        cuda = torch.cuda.is_available()
        description["device"] = torch.cuda.get_device_name(0) if cuda else "cpu"
    return description


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def peak_memory_mb() -> float:
    """The largest resident set of this process so far (Linux counts it in KiB)."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def json_finite(value: Any) -> Any:
    """The value with every NaN and infinity replaced by None, which JSON can carry."""
    if isinstance(value, dict):
        return {str(k): json_finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [json_finite(v) for v in value]
    if isinstance(value, bool | int | str) or value is None:
        return value
    number = float(value)
    return number if math.isfinite(number) else None
