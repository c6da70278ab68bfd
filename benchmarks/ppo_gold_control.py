"""The control arm: PPO on the demo world's gold reward must rise.

    OUTERLOOP_THREADS=2 python -m benchmarks.ppo_gold_control [--updates 10] [--seeds 1 2 3]

No reward model is between PPO and the truth here, so a reward that does not rise is a fault of PPO.
Prints the gold reward of the first and of the last policy for each seed, and a 95 % t-interval of the
gain over seeds; exits 1 where it does not exclude 0.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.ppo_update_time import prepare, run
from outerloop.demo.settings import PPO
from tests.support import ppo_runs

REWARD = "outerloop.demo.gold:gold_reward"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--updates", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--sft-steps", type=int, default=700)
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        root = arguments.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        inputs = prepare(root, arguments.sft_steps)
        inputs = {name: inputs[name] for name in ("policy", "reference", "prompts")}
        gains = [control(inputs, seed, arguments.updates) for seed in arguments.seeds]
    low, high = stats.t.interval(0.95, len(gains) - 1, loc=np.mean(gains), scale=stats.sem(gains))
    print(f"gain {np.mean(gains):+.3f}, 95 % interval over seeds {low:+.3f} ... {high:+.3f}")
    raise SystemExit(0 if low > 0 else 1)


def control(inputs: dict[str, Path], seed: int, updates: int) -> float:
    config = dataclasses.replace(PPO, updates=updates, reward_function=REWARD)
    with tempfile.TemporaryDirectory() as scratch:
        spec = ppo_runs.write_order(Path(scratch) / "run", config, inputs, seed=seed)
        run(spec)
        first: dict[str, Any] = ppo_runs.events(spec.parent, "ppo")[0]["metrics"]
        final = json.loads((spec.parent / "manifest.json").read_text())["results"]["final"]
    gain = float(final["reward_train"] - first["reward_train"])
    print(
        f"seed {seed}: gold {first['reward_train']:+.3f} -> {final['reward_train']:+.3f} "
        f"(gain {gain:+.3f}) at {final['kl_exact']:.2f} nats from the reference"
    )
    return gain


if __name__ == "__main__":
    main()
