from __future__ import annotations

from typing import Any

from training.core.tuning.progress import TrainingProgress


def test_a_checkpoint_of_the_first_release_is_read_and_written() -> None:
    kept = {"at": 3, "row": {"kl_k1": 0.5}, "weights": [], "best_held_out": None, "best_at": None}
    stored: dict[str, Any] = {
        "stopped_by": "",
        "pace": {"seconds": {"rollout": 1.5}, "tokens": {"rollout": 40}},
        "kept": {**kept, "waited": 0, "rows": [], "alarm": {}},
    }
    progress = TrainingProgress.from_state(stored)
    assert progress.throughput.tokens == {"rollout": 40}
    assert progress.to_state() == stored
