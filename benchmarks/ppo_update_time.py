"""Where one PPO update spends its time, at the sizes of the demo world.

    OUTERLOOP_THREADS=2 python -m benchmarks.ppo_update_time [--updates 6] [--sft-steps 700] [--profile]

A policy of 0.4 M parameters is trained briefly on the demo's texts (so that lengths are realistic),
untrained reward models of the same size stand in for trained ones (time does not depend on weights),
and the ordinary recipe runs with the demo's settings. The table gives medians over the updates after
the first. `--keep DIRECTORY` reuses the models of an earlier call.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from outerloop.demo.settings import FIRST_POLICY, PPO
from outerloop.demo.world.completions import demonstrations
from tests.support import ppo_runs
from training.contracts import InputRef, RunSpec, SftConfig
from training.core.run.run_directory import recipe_main
from training.digests import path_sha256
from training.recipes import ppo, sft

PHASES = ("rollout", "score", "train")


def main() -> None:
    arguments = parse()
    with contextlib.ExitStack() as stack:
        root = arguments.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        inputs = prepare(root, arguments.sft_steps)
        spec = order(Path(stack.enter_context(tempfile.TemporaryDirectory())), inputs, arguments)
        if arguments.profile:
            with profile(activities=[ProfilerActivity.CPU]) as profiler:
                run(spec)
            table = profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=25)
            print(table)
        else:
            run(spec)
        report(spec.parent)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--updates", type=int, default=6)
    parser.add_argument("--sft-steps", type=int, default=700)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--profile", action="store_true")
    return parser.parse_args()


def run(spec: Path) -> None:
    if ppo.main([str(spec)]) != 0:
        raise SystemExit("The PPO run failed; its sentence stands above.")


def prepare(root: Path, steps: int) -> dict[str, Path]:
    policy = root / "sft" / "policy"
    if not policy.exists():
        train_policy(root, steps)
    if not (root / "policy").exists():
        (root / "policy").symlink_to(policy)
    for name, members in (("reward_model", 2), ("held_out_reward_model", 1)):
        if not (root / name).exists():
            ppo_runs.write_reward_model(root / name, members=members)
    prompts = root / "prompts.jsonl"
    rows = [
        {"id": str(i), "messages": row["messages"][:1], "group": str(i)}
        for i, row in enumerate(demonstrations(1, 2, 1000))
    ]
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    models = {name: root / name for name in ("reward_model", "held_out_reward_model")}
    return {"policy": policy, "reference": policy, "prompts": prompts, **models}


def train_policy(root: Path, steps: int) -> None:
    """The demo's supervised run with its step counts scaled down to about `steps`."""
    share = steps / sum(phase.steps for phase in FIRST_POLICY.phases)
    phases = tuple(
        dataclasses.replace(phase, steps=max(1, round(phase.steps * share)))
        for phase in FIRST_POLICY.phases
    )
    (root / "sft").mkdir(parents=True, exist_ok=True)
    inputs = {}
    for number, phase in enumerate(phases, start=1):
        path = root / f"{phase.data}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in demonstrations(1, number)))
        inputs[phase.data] = InputRef(str(path), path_sha256(path))
    config = dataclasses.replace(FIRST_POLICY, phases=phases)
    spec = RunSpec("benchmark-sft", "sft", 1, inputs, config.to_json())
    path = root / "sft" / "spec.json"
    path.write_text(json.dumps(spec.to_json()))
    with contextlib.redirect_stdout(io.StringIO()):
        assert recipe_main(sft.main, "sft", SftConfig, [str(path)]) == 0


def order(directory: Path, inputs: dict[str, Path], arguments: argparse.Namespace) -> Path:
    config = dataclasses.replace(PPO, updates=arguments.updates)
    return ppo_runs.write_order(directory / "run", config, inputs)


def report(directory: Path) -> None:
    rows: list[dict[str, Any]] = [event["metrics"] for event in ppo_runs.events(directory, "ppo")]
    later = rows[1:] or rows

    def median(name: str) -> float:
        return float(statistics.median(row[name] for row in later))

    print(f"threads {torch.get_num_threads()}, torch {torch.__version__}, {len(later)} updates")
    print(f"{'phase':<10}{'seconds':>10}{'share':>8}{'tokens/s':>12}")
    for phase in PHASES:
        seconds = median(f"seconds_{phase}")
        share, pace = seconds / median("seconds"), median(f"tokens_per_second_{phase}")
        print(f"{phase:<10}{seconds:>10.3f}{share:>8.0%}{pace:>12,.0f}")
    print(f"{'update':<10}{median('seconds'):>10.3f}{1:>8.0%}")
    print(f"response length {median('response_length'):.1f}, EOS rate {median('eos_rate'):.2f}")


if __name__ == "__main__":
    main()
