"""Checkpoints: atomic, hashed, never pickled; the newest one that is whole wins.

A state is any nesting of dicts, lists, tuples, numbers, strings, None and tensors. Tensors go to
`state.safetensors` under flat names, everything else (cursors, random states) to `state.json`, so
that reading a checkpoint can run no code.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from training.core.run.artifacts import directory_write
from training.digests import MANIFEST, DigestError, artifact_verify

TENSORS, REST = "state.safetensors", "state.json"


@dataclass(frozen=True)
class Checkpoint:
    step: int
    state: dict[str, Any]


@dataclass
class CheckpointStore:
    """The checkpoints below one directory; `guard` is asked before each write (see `Run.guard`)."""

    directory: Path
    guard: Callable[[], None] = lambda: None
    keep: int = 2
    main: bool = True
    refused: list[str] = field(default_factory=list)

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write the checkpoint of `step`, then drop all but the newest `keep`."""
        if not self.main:
            return
        target = self.directory / f"checkpoint-{step:09d}"
        directory_write(target, lambda path: _write_state(path, state), guard=self.guard)
        for old in self._paths()[self.keep :]:
            shutil.rmtree(old)

    def load(self) -> Checkpoint | None:
        """The newest whole checkpoint, or None. A damaged one is named, removed and passed over."""
        for path in self._paths():
            try:
                if not (path / MANIFEST).exists():
                    raise DigestError(f"{path / MANIFEST}: the file is missing.")
                artifact_verify(path)
                return Checkpoint(step=int(path.name.rpartition("-")[2]), state=_read_state(path))
            except (DigestError, ValueError, OSError) as error:
                self._refuse(path, error)
        return None

    def clear(self) -> None:
        if self.main:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _paths(self) -> list[Path]:
        return sorted(self.directory.glob("checkpoint-*"), reverse=True)

    def _refuse(self, path: Path, error: Exception) -> None:
        message = f"The checkpoint {path.name} is damaged and was passed over: {error}"
        self.refused.append(message)
        print(message, file=sys.stderr, flush=True)
        if self.main:
            self.guard()
            shutil.rmtree(path)


# ------------------------------------------------------------------------- states


def _write_state(directory: Path, state: dict[str, Any]) -> None:
    tensors: dict[str, torch.Tensor] = {}
    document = _pack(state, "", tensors)
    save_file(tensors, directory / TENSORS)
    (directory / REST).write_text(json.dumps(document))


def _read_state(directory: Path) -> dict[str, Any]:
    tensors = load_file(directory / TENSORS)
    state = _unpack(json.loads((directory / REST).read_text()), tensors)
    assert isinstance(state, dict)
    return state


def _pack(value: Any, name: str, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        tensors[name] = value.detach().to("cpu").contiguous().clone()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[k, _pack(v, f"{name}/{k}", tensors)] for k, v in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [_pack(v, f"{name}/{i}", tensors) for i, v in enumerate(value)]}
    if isinstance(value, list):
        return [_pack(v, f"{name}/{i}", tensors) for i, v in enumerate(value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"A checkpoint cannot hold {type(value).__name__} (at {name or 'the top'}).")


def _unpack(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, list):
        return [_unpack(v, tensors) for v in value]
    if not isinstance(value, dict):
        return value
    ((tag, content),) = value.items()
    if tag == "tensor":
        return tensors[content]
    if tag == "dict":
        return {k: _unpack(v, tensors) for k, v in content}
    return tuple(_unpack(v, tensors) for v in content)


# ----------------------------------------------------------------- random numbers


def random_state() -> dict[str, Any]:
    """The states of every global random number generator: Python, NumPy, torch, CUDA."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (
            str(name),
            torch.from_numpy(np.asarray(keys, dtype=np.uint32).astype(np.int64)),
            int(position),
            int(has_gauss),
            float(gauss),
        ),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def random_state_restore(state: dict[str, Any]) -> None:
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


def seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
