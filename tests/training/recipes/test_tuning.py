"""What recipes that tune a policy share: a policy that says nothing teaches nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import ppo_runs
from tests.support.optimiser_runs import best_of_n_config, message, run, write_inputs
from training.contracts import EXIT_USER


@pytest.mark.parametrize("kind", ["ppo", "best_of_n"])
def test_a_policy_whose_first_texts_are_empty_is_not_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr("training.core.rollout.rollouts.decode", lambda *_: "")
    inputs = write_inputs(tmp_path / "inputs")
    config = ppo_runs.tiny_config() if kind == "ppo" else best_of_n_config()
    assert run(kind, tmp_path / "run", inputs, config) == EXIT_USER
    assert "are empty. Look at the policy's chat template" in message(tmp_path / "run")
    assert not ppo_runs.events(tmp_path / "run", "train")
    assert not ppo_runs.events(tmp_path / "run", "ppo")
