"""Tiny reward artifacts in the layout that `training.core.reward.scoring` reads."""

import json
from pathlib import Path

from tests.support.tiny_models import tiny_classifier
from training.core.model.loading import model_save
from training.core.reward.scoring import SETTINGS, EnsembleSettings, MemberSettings


def tiny_reward_artifact(path: Path, *, members: int = 1, seed: int = 0) -> Path:
    path.mkdir(parents=True)
    for i in range(members):
        model_save(tiny_classifier(seed + i), path / f"member_{i}")
    settings = EnsembleSettings(
        members=tuple(MemberSettings(f"member_{i}", 0.1 * i, 0.5) for i in range(members)),
        max_length=64,
    )
    (path / SETTINGS).write_text(json.dumps(settings.to_json()))
    return path
