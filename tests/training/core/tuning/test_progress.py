from __future__ import annotations

from typing import Any

from training.core.tuning.progress import TrainingProgress

KEPT = {"at": 3, "row": {"kl_k1": 0.5}, "weights": [], "best_held_out": None, "best_at": None}
STORED: dict[str, Any] = {
    "stopped_by": "",
    "step": 3,
    "pace": {"seconds": {"rollout": 1.5}, "tokens": {"rollout": 40}},
    "kept": {**KEPT, "waited": 0, "rows": [], "alarm": {}},
}


def test_a_checkpoint_of_the_first_release_is_read_and_written() -> None:
    progress = TrainingProgress.from_state(STORED)
    assert progress.throughput.tokens == {"rollout": 40}
    assert progress.to_state() == STORED
