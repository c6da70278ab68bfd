"""What an arm of a seed found, as a frozen record in a file of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.contracts import ContractError, JsonContract
from web.files import file_write

SMOOTHED = 3  # neighbouring updates in a mean, so that a peak is not the luckiest draw


@dataclass(frozen=True)
class Curve(JsonContract):
    """One PPO run: mean KL to the reference (nats a reply), rewards (z) and gold by update, from 0.

    `held_out` is empty where no reward model was trained.
    """

    kl: tuple[float, ...]
    proxy: tuple[float, ...]
    held_out: tuple[float, ...]
    gold: tuple[float, ...]

    def smoothed(self, name: str) -> list[float]:
        """Means over each update and its neighbours (two at the ends)."""
        values = np.asarray(getattr(self, name), dtype=float)
        if not len(values):
            return []
        padded = np.pad(values, SMOOTHED // 2, constant_values=np.nan)
        windows = np.lib.stride_tricks.sliding_window_view(padded, SMOOTHED)
        return [float(v) for v in np.nanmean(windows, axis=1)]


@dataclass(frozen=True)
class TrialResult(JsonContract):
    """What the gate made of one candidate over `redraws` draws of its labels.

    `gold_win_rate` is the candidate's against the first policy by the gold, `label_win_rate` that which
    the judges' labels have in the long run, `shown_win_rate` the same on what they were shown. `labels` is
    the mean number at the verdict; `held_by` counts for each check the redraws in which it stood in the way.
    `identical_difference` is that of a policy evaluated against itself, which must be 0.
    """

    redraws: int
    promoted: int
    rejected: int
    inconclusive: int
    labels: float
    gold_win_rate: float
    label_win_rate: float
    shown_win_rate: float
    held_by: dict[str, int]
    identical_difference: float | None = None


@dataclass(frozen=True)
class ArmResult(JsonContract):
    """One arm of one seed. `plan` is the digest of sizes and arm, `gate` that of the policy it met, `code`
    that of the sources."""

    arm: str
    seed: int
    plan: str
    gate: str
    policy: str  # of which line; empty: the installation's default
    policy_version: int
    made_at: str
    code: str
    commit: str
    seconds: float
    accuracy: float | None  # of the reward model on fresh labels of its own annotators
    runs: dict[str, Curve]
    trial: TrialResult | None = None


class ResultStore:
    """The results of one gate policy, a file for each arm and seed."""

    def __init__(self, root: Path, policy: str) -> None:
        self.directory = root / "results" / (policy or "_default")

    def read(self, arm: str, seed: int) -> ArmResult | None:
        """None where there is none, or one that this release cannot read any more."""
        return _read(self.directory / f"{arm}-{seed}.json")

    def write(self, result: ArmResult) -> None:
        path = self.directory / f"{result.arm}-{result.seed}.json"
        file_write(path, json.dumps(result.to_json(), indent=1) + "\n")

    def all(self) -> list[ArmResult]:
        """By arm and seed."""
        found = (_read(path) for path in self.directory.glob("*.json"))
        return sorted((r for r in found if r is not None), key=lambda r: (r.arm, r.seed))


def policies_tested(root: Path) -> list[str]:
    """The slugs of the lines whose policy was tested, "" for the default's."""
    folders = (path for path in (root / "results").glob("*") if any(path.glob("*.json")))
    return sorted("" if folder.name == "_default" else folder.name for folder in folders)


def _read(path: Path) -> ArmResult | None:
    try:
        document: Mapping[str, object] = json.loads(path.read_text(encoding="utf-8"))
        return ArmResult.from_json(document)
    except (OSError, ValueError, ContractError):
        return None
