import random

import numpy as np
import pytest
import torch

from training.core.run.checkpoints import (
    CheckpointStore,
    random_state,
    random_state_restore,
    seed_everything,
)


def loaded_step(store):
    checkpoint = store.load()
    assert checkpoint is not None
    return checkpoint.step


def loaded_state(directory):
    checkpoint = CheckpointStore(directory).load()
    assert checkpoint is not None
    return checkpoint.state


def test_nested_state_comes_back_equal(tmp_path):
    weight = torch.randn(3, 2)
    state = {
        "model": {"w": weight, "tied": weight},
        "optimizer": {
            "state": {0: {"step": torch.tensor(4.0)}},
            "groups": [{"betas": (0.9, 0.95)}],
        },
        "cursor": 7,
        "best": None,
        "kl": 0.1 + 0.2,
        "tensor": "a name",
    }
    store = CheckpointStore(tmp_path)
    store.save(3, state)
    assert loaded_step(store) == 3
    loaded = loaded_state(tmp_path)
    assert torch.equal(loaded["model"]["w"], weight)
    assert torch.equal(loaded["model"]["tied"], weight)
    assert loaded["optimizer"]["state"][0]["step"] == 4.0
    assert loaded["optimizer"]["groups"][0]["betas"] == (0.9, 0.95)
    assert (loaded["cursor"], loaded["best"], loaded["kl"]) == (7, None, 0.1 + 0.2)
    assert loaded["tensor"] == "a name"


def test_optimizer_state_survives(tmp_path):
    parameter = torch.nn.Parameter(torch.ones(4))
    optimizer = torch.optim.AdamW([parameter], lr=0.1)
    parameter.grad = torch.arange(4.0)
    optimizer.step()
    CheckpointStore(tmp_path).save(1, {"optimizer": optimizer.state_dict()})
    again = torch.optim.AdamW([parameter], lr=0.5)
    again.load_state_dict(loaded_state(tmp_path)["optimizer"])
    assert again.param_groups[0]["lr"] == 0.1
    assert torch.equal(again.state[parameter]["exp_avg"], optimizer.state[parameter]["exp_avg"])


def test_only_the_last_two_are_kept(tmp_path):
    store = CheckpointStore(tmp_path)
    for step in (1, 2, 3):
        store.save(step, {"x": torch.tensor(step)})
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "checkpoint-000000002",
        "checkpoint-000000003",
    ]


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path):
    path.write_bytes(path.read_bytes()[:10])


@pytest.mark.parametrize("damage", [flip_a_bit, truncate, lambda path: path.unlink()])
@pytest.mark.parametrize("name", ["state.safetensors", "state.json", "manifest.json"])
def test_damaged_checkpoint_is_named_and_the_one_before_is_used(tmp_path, damage, name):
    store = CheckpointStore(tmp_path)
    store.save(1, {"x": torch.zeros(100)})
    store.save(2, {"x": torch.ones(100)})
    target = tmp_path / "checkpoint-000000002" / name
    damage(target)
    assert loaded_step(store) == 1
    assert "checkpoint-000000002 is damaged" in store.refused[0]


def test_no_checkpoint_is_none(tmp_path):
    assert CheckpointStore(tmp_path / "none").load() is None


def test_code_cannot_be_stored(tmp_path):
    with pytest.raises(TypeError, match="at /callback"):
        CheckpointStore(tmp_path).save(1, {"callback": print})


def draws():
    return random.random(), np.random.normal(), float(torch.rand(())), np.random.randint(1000)


def test_random_numbers_continue_where_they_were(tmp_path):
    seed_everything(3)
    np.random.normal()  # leaves a cached gaussian behind
    CheckpointStore(tmp_path).save(1, random_state())
    expected = draws()
    seed_everything(99)
    random_state_restore(loaded_state(tmp_path))
    assert draws() == expected
