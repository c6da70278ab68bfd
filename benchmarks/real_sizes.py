"""How large each part of the benchmark on a real model is, and where it works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SEED = 7
SIZES: dict[str, dict[str, Any]] = {
    "reward": {"models": 4, "minilm_train": 900, "smollm2_train": 160, "validation": 100, "test": 500,
               "smollm2_validation": 40, "smollm2_test": 160},
    "round": {"prompt_tokens": 96, "new_tokens": 32, "updates": 12, "prompts_per_update": 16,
              "evaluation_prompts": 128, "gate_labels": 120},
    "overoptimise": {"updates": 30, "prompts_per_update": 16, "new_tokens": 24, "prompt_tokens": 56},
    "memory": {"arms": 3, "prompts_per_update": 8, "new_tokens": 32, "prompt_tokens": 96},
}  # fmt: skip


@dataclass(frozen=True)
class Bench:
    """Where runs lie, the two models, and the sizes that were asked for."""

    work: Path
    smollm2: Path
    minilm: Path
    sizes: Mapping[str, Mapping[str, Any]]

    def size(self, part: str, name: str) -> Any:
        return self.sizes[part][name]


def sized(sizes: Mapping[str, Mapping[str, Any]], changes: list[str]) -> dict[str, dict[str, Any]]:
    """The sizes with PART.SIZE=NUMBER put in; SystemExit for one that there is not."""
    changed = {part: dict(values) for part, values in sizes.items()}
    for change in changes:
        name, _, number = change.partition("=")
        part, _, size = name.partition(".")
        if size not in changed.get(part, {}) or not number.isdigit():
            raise SystemExit(f"--set {change}: write PART.SIZE=NUMBER with one of {known(sizes)}.")
        changed[part][size] = int(number)
    return changed


def known(sizes: Mapping[str, Mapping[str, Any]]) -> str:
    return ", ".join(f"{part}.{size}" for part, values in sizes.items() for size in values)
