"""Reward models that learn with a penalty on their gradient's norm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.recipes import events, manifest
from tests.training.recipes.test_reward_model import spec_of, train
from training.contracts import ContractError, ModelSource, RewardModelConfig


def learned(path: Path, name: str, **changes: Any) -> Path:
    spec: Path = spec_of(path, name, members=1, epochs=2, log_every=1, **changes)
    assert train(spec) == 0
    return spec


def test_a_penalty_changes_the_gradient_and_not_what_a_step_says_of_its_loss(
    tmp_path: Path,
) -> None:
    plain = learned(tmp_path, "plain")
    asked = {"gradient_penalty": 0.3, "gradient_probe": 0.3}
    whole = learned(tmp_path, "whole", **asked)
    parts = learned(tmp_path, "parts", micro_batch_size=3, **asked)
    first, second, third = (
        [row["metrics"] for row in events(spec) if row["phase"] == "train member_0"]
        for spec in (plain, whole, parts)
    )
    # The first step has the same weights: one loss, another gradient.
    assert second[0]["loss"] == first[0]["loss"]
    assert second[0]["accuracy"] == first[0]["accuracy"]
    assert second[0]["grad_norm"] != pytest.approx(first[0]["grad_norm"], rel=1e-3)
    for name in ("loss", "accuracy", "grad_norm"):
        assert [row[name] for row in third[:6]] == pytest.approx(
            [row[name] for row in second[:6]], rel=1e-3
        )
    digests = [manifest(spec).artifact("reward_model").sha256 for spec in (plain, whole)]
    assert digests[0] != digests[1]
    assert manifest(whole).results["test"]["ensemble"]["accuracy"] > 0.9


def test_a_probe_without_a_penalty_changes_no_byte(tmp_path: Path) -> None:
    specs = learned(tmp_path, "plain"), learned(tmp_path, "probe", gradient_probe=0.5)
    assert len({manifest(spec).artifact("reward_model").sha256 for spec in specs}) == 1


@pytest.mark.parametrize("changes", [{"gradient_penalty": -0.1}, {"gradient_probe": 0.0}])
def test_what_cannot_work_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ContractError, match="gradient_penalty must not be negative"):
        RewardModelConfig(backbone=ModelSource(), **changes)
