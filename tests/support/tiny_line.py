"""Real artifacts small enough to train on in milliseconds, and their places in the registry."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from tests.support.recipe_processes import forked_call

NAMES = ("policy", "reward_model", "held_out_reward_model")


def artifacts_make(folder: Path) -> dict[str, Path]:
    """A policy and two reward models of about 30,000 parameters, made in a process of its own: the
    site's side of a test loads no torch."""
    forked_call(__name__, "artifacts_write", folder)
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


def artifacts_write(folder: Path) -> None:
    from tests.support import ppo_runs

    ppo_runs.write_policy(folder / "policy")
    ppo_runs.write_reward_model(folder / "reward_model", seed=1)
    ppo_runs.write_reward_model(folder / "held_out_reward_model", members=1, seed=9)
