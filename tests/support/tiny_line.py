"""`python -m tests.support.tiny_line FOLDER`: real artifacts small enough to train on in milliseconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from uuid import UUID

CHECKOUT = Path(__file__).resolve().parents[2]
NAMES = ("policy", "reward_model", "held_out_reward_model")


def artifacts_make(folder: Path) -> dict[str, Path]:
    """A policy and two reward models of about 30,000 parameters, made by a program of its own: the
    site's side of a test loads no torch."""
    command = [sys.executable, "-m", "tests.support.tiny_line", str(folder)]
    subprocess.run(command, cwd=CHECKOUT, check=True, timeout=180)
    return {name: folder / name for name in NAMES}


def version_create(line: UUID, kind: str, path: Path) -> UUID:
    """Enter an artifact below the store in the registry as it lies there."""
    from django.conf import settings

    from training.digests import path_sha256
    from training.runs.models import ModelVersion

    version = ModelVersion.objects.create(
        line=line,
        kind=kind,
        number=1,
        name=f"tiny {kind}",
        path=str(path.relative_to(settings.ARTIFACT_ROOT)),
        sha256=path_sha256(path),
    )
    return version.id


def main(folder: Path) -> None:
    from tests.support import ppo_runs

    ppo_runs.write_policy(folder / "policy")
    ppo_runs.write_reward_model(folder / "reward_model", seed=1)
    ppo_runs.write_reward_model(folder / "held_out_reward_model", members=1, seed=9)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
