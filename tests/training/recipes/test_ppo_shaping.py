"""PPO that is paid in preferences over its reference: what that is compared with, and that it lasts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import ppo_runs
from tests.support.optimiser_runs import manifest, message
from tests.support.scripted_ppo import cut_and_resume, inputs_write, ppo_run
from training.contracts import EXIT_USER, AdapterConfig
from training.recipes import ppo

SHAPED: dict[str, Any] = {
    "reward_shaping": "preference_as_reward",
    "reward_function": "tests.support.ppo_runs:vowels",
    "reference_completions": 3,
    "shaping_slope": 2.0,
    "policy_learning_rate": 1e-2,
    "checkpoint_every": 2,
}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return inputs_write(tmp_path_factory.mktemp("inputs"))


def run(directory: Path, inputs: dict[str, Path], **changes: Any) -> int:
    return ppo_run(directory, inputs, SHAPED | changes)


@pytest.mark.parametrize("adapter", [AdapterConfig(), AdapterConfig(kind="lora", rank=2)])
def test_what_is_paid_follows_from_the_reference_and_outlives_a_crash(
    tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch, adapter: AdapterConfig
) -> None:
    changes = {"updates": 4, "adapter": adapter}
    seen: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    shape = ppo.shape

    def noted(parts: Any, progress: Any, rollout: Any, update: int) -> Any:
        paid, row = shape(parts, progress, rollout, update)
        table = progress.reference_scores[ppo.rollout_rows(parts, update)]
        seen.append((rollout.scores.train, table, paid))
        return paid, row

    monkeypatch.setattr(ppo, "shape", noted)
    assert run(tmp_path / "whole", inputs, **changes) == 0
    for scores, table, paid in seen:
        assert table.shape == (16, 3)
        by_hand = 1 / (1 + torch.exp(-2.0 * (scores[:, None] - table)))
        torch.testing.assert_close(paid, by_hand.mean(1))
    assert float(seen[0][1].std()) > 0  # three completions, not one three times
    row = ppo_runs.events(tmp_path / "whole", "ppo")[0]["metrics"]
    assert row["reward_shaped"] == pytest.approx(float(seen[0][2].mean()))

    cut_and_resume(monkeypatch, lambda: run(tmp_path / "cut", inputs, **changes), at=3)
    assert len(ppo_runs.events(tmp_path / "cut", "reference")) == 1  # kept, not drawn again
    whole, cut = manifest(tmp_path / "whole"), manifest(tmp_path / "cut")
    assert cut.artifact("policy").sha256 == whole.artifact("policy").sha256


def test_a_slope_of_nothing_is_refused(tmp_path: Path, inputs: dict[str, Path]) -> None:
    assert run(tmp_path / "run", inputs, shaping_slope=0.0) == EXIT_USER
    assert "shaping_slope is 0.0; set it above 0" in message(tmp_path / "run")


def test_a_verifier_stands_beside_the_reward_and_in_every_row(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    changes: dict[str, Any] = {"reward_shaping": "none", "verifier_seconds": 30.0, "updates": 2}
    checked = changes | {"verifier": "tests.support.verifiers:says_blue", "verifier_weight": 3.0}
    assert run(tmp_path / "plain", inputs, **changes) == 0
    assert run(tmp_path / "checked", inputs, **checked) == 0
    plain, found = (
        ppo_runs.events(tmp_path / name, "ppo")[0]["metrics"] for name in ("plain", "checked")
    )
    added = 3.0 * found["reward_verifier"]
    assert found["reward_train"] == pytest.approx(plain["reward_train"] + added)
    assert found["verifier_failures"] == 0.0
    assert "reward_verifier" not in plain


def test_a_verifier_that_cannot_be_imported_is_refused(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    assert run(tmp_path / "run", inputs, verifier="tests.support.verifiers:nothing") == EXIT_USER
    assert "cannot be imported" in message(tmp_path / "run")
