import math

import torch

from training.core.reward.early_stopping import BestWeights
from training.core.run.checkpoints import CheckpointStore


def weights(value):
    return {"w": torch.tensor([float(value)])}


def observed(best, values, start=1):
    return [best.observe(step, nll, weights(step)) for step, nll in enumerate(values, start)]


def test_best_weights_are_kept_and_patience_ends():
    best = BestWeights(patience=2)
    assert observed(best, [0.7, 0.5, 0.6]) == [True, True, False]
    assert best.worse < best.patience
    observed(best, [0.5], start=4)  # as good is not better
    assert best.exhausted
    assert (best.step, best.nll, best.weights["w"].item()) == (2, 0.5, 2.0)


def test_kept_weights_do_not_follow_the_model():
    best, live = BestWeights(patience=1), weights(1)
    best.observe(1, 0.5, live)
    live["w"] += 1
    assert best.weights["w"].item() == 1.0


def test_better_measurement_restores_patience():
    best = BestWeights(patience=2)
    observed(best, [0.7, 0.8, 0.6, 0.9])
    assert (best.worse, best.exhausted) == (1, False)


def test_state_survives_a_checkpoint(tmp_path):
    store = CheckpointStore(tmp_path)
    for values in ([], [0.7, 0.4, math.nan]):
        best, again = BestWeights(patience=3), BestWeights(patience=3)
        observed(best, values)
        store.save(len(values), {"best": best.state()})
        checkpoint = store.load()
        assert checkpoint is not None
        again.restore(checkpoint.state["best"])
        assert again == best
