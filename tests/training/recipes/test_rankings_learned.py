"""From rankings that people gave to a reward model that has learned them."""

from __future__ import annotations

import pytest

from annotation.contracts import SnapshotRecipe
from tests.annotation.factories import a_campaign, an_annotator, rank_next, some_rankings
from tests.support.recipes import events, manifest
from tests.support.tiny_models import TINY_SIZES, write_spec
from training import facade as training
from training.contracts import RewardModelConfig
from training.core.run.run_directory import recipe_main
from training.recipes import reward_model

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("loss", ["plackett_luce", "bradley_terry"])
def test_rankings_become_a_snapshot_and_a_reward_model_learns_them(settings, tmp_path, loss):
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    campaign = a_campaign(answers=4)
    for n in range(
        8
    ):  # groups of the same names in each run: the held-out model takes some of them
        some_rankings(campaign, 1, group=f"ranked {n}")
    some_rankings(campaign, 4, split="validation")
    some_rankings(campaign, 4, split="test")
    annotator = an_annotator(campaign)
    for n in range(16):
        rank_next(annotator, campaign, *((1, 2, 3, 4) if n % 4 else (1, 2, 2, 3)))
    snapshot = training.snapshot_take(line_id=campaign.line, recipe=SnapshotRecipe())
    assert snapshot.rows == 16 * 6
    spec = write_spec(
        tmp_path / "run",
        "reward_model",
        {
            "backbone": {"kind": "fresh", **TINY_SIZES},
            "loss": loss,
            "members": 1,
            "epochs": 2 if loss == "plackett_luce" else 1,
            "batch_size": 6 if loss == "plackett_luce" else 18,
            "learning_rate": 0.02,
            "max_length": 64,
            "log_every": 1,
        },
        {"preferences": snapshot.path},
    )
    assert recipe_main(reward_model.main, "reward_model", RewardModelConfig, [str(spec)]) == 0
    told = [e for e in events(spec) if e["phase"] == "train member_0"]
    losses = [e["metrics"]["loss"] for e in told]
    assert len(losses) >= 2
    assert losses[-1] < losses[0]
    assert manifest(spec).results["pairs"]["train"] > 0
