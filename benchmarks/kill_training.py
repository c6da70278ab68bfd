"""SIGKILL at seeded random moments of a PPO run and of a reward-model run: are the weights bit-equal?

    python -m benchmarks.kill_training [--recipe ppo reward_model] [--kills 10] [--seed 7]

Each run is carried out once undisturbed. Then, for every kill, a fresh run of the same order is killed at
a random moment of that time, its newest checkpoint is left alone, cut short, or given a flipped byte (in
turn), and the run is taken up. A damaged checkpoint must be named and passed over; all artifacts must be
those of the undisturbed run, by SHA-256. Models have some 30,000 parameters and run on one thread.

The programs run in forked processes of this one, so that torch is loaded only once. The result is kept in
benchmarks/results/kill_training.json; the status is 1 where anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.results_file import result_head
from tests.support import ppo_runs
from tests.support.tiny_models import TINY_SIZES, json_lines, write_spec
from training.contracts import KlControl, RewardModelConfig, RunManifest
from training.core.run.run_directory import recipe_main
from training.recipes import ppo, reward_model

RESULTS = Path(__file__).parent / "results" / "kill_training.json"
DAMAGES = ("none", "cut short", "flipped byte")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--recipe", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    runs = {}
    for recipe in arguments.recipe:
        with tempfile.TemporaryDirectory(prefix="outerloop-kills-") as folder:
            runs[recipe] = measure(recipe, Path(folder), arguments.kills, arguments.seed)
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    document = {**result_head(), "torch": torch.__version__, "seed": arguments.seed, "runs": runs}
    arguments.results.write_text(json.dumps(document, indent=1) + "\n")
    return 0 if all(run["all equal"] for run in runs.values()) else 1


def measure(recipe: str, folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """Kill `kills` runs of one order, and compare each with the undisturbed one."""
    order, body = RECIPES[recipe]
    spec = order(folder)
    began = time.monotonic()
    code = carried_out(spec, body)
    seconds = time.monotonic() - began
    assert code == 0, (spec.parent / "error.json").read_text()
    reference = artifacts(spec.parent)
    print(
        f"{recipe}: {seconds:.1f} s undisturbed\n{'killed at':<28}{'checkpoint':<14}equal",
        flush=True,
    )
    dice = random.Random(f"{seed} {recipe}")
    rows: list[dict[str, Any]] = []
    while len(rows) < kills:
        damage = DAMAGES[len(rows) % len(DAMAGES)]
        row = one_kill(spec, folder / f"kill{len(rows)}", body, dice.uniform(0, seconds), damage)
        if row is None:  # not the moment that was wanted: draw another
            continue
        row["equal"] = row.pop("artifacts") == reference
        rows.append(row)
        print(
            f"{row['at']:<28}{row['damage']:<14}{'yes' if row['good'] and row['equal'] else 'NO'}",
            flush=True,
        )
    equal = all(row["equal"] and row["good"] for row in rows)
    return {"seconds": round(seconds, 1), "artifacts": reference, "all equal": equal, "kills": rows}


def one_kill(
    spec: Path, directory: Path, body: Callable[[Path], int], after: float, damage: str
) -> dict[str, Any] | None:
    """Kill a fresh run `after` seconds, hurt its newest checkpoint, take it up."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    shutil.copy(spec, directory)
    if carried_out(directory / "spec.json", body, kill_after=after) != -signal.SIGKILL:
        return None
    at, hurt = last_event(directory), checkpoint_damage(directory, damage)
    if damage != "none" and not hurt:  # there was no checkpoint yet
        return None
    code = carried_out(directory / "spec.json", body)
    assert code == 0, (directory / "child.log").read_text()[-2000:]
    refused = [name for name in refusals(directory) if name.startswith("The checkpoint ")]
    named = any(hurt in sentence for sentence in refused) if hurt else not refused
    found = artifacts(directory)
    shutil.rmtree(directory)
    return {"after": round(after, 2), "at": at, "damage": damage if hurt else "none",
            "good": named, "refused": refused, "artifacts": found}  # fmt: skip


def carried_out(spec: Path, body: Callable[[Path], int], kill_after: float | None = None) -> int:
    """Run a recipe in a process of its own; its exit code, negative where a signal ended it."""
    pid = os.fork()
    if pid == 0:
        log = os.open(spec.parent / "child.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os._exit(body(spec))
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def last_event(directory: Path) -> str:
    path = directory / "events.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    if not lines:
        return "before the start"
    event = json.loads(lines[-1])
    return f"{event['phase']} {event['step']}/{event['total_steps']}"


def checkpoint_damage(directory: Path, damage: str) -> str:
    """Hurt the newest checkpoint; its name, or "" where there is none to hurt."""
    found = sorted(
        directory.glob("checkpoints/**/checkpoint-*"), key=lambda p: p.stat().st_mtime_ns
    )
    if damage == "none" or not found:
        return ""
    target = found[-1] / "state.safetensors"
    content = bytearray(target.read_bytes())
    if damage == "cut short":
        del content[len(content) // 2 :]
    else:
        content[len(content) // 2] ^= 1
    target.write_bytes(content)
    return found[-1].name


def manifest_of(directory: Path) -> RunManifest:
    return RunManifest.from_json(json.loads((directory / "manifest.json").read_text()))


def artifacts(directory: Path) -> dict[str, str]:
    return {ref.name: ref.sha256 for ref in manifest_of(directory).artifacts}


def refusals(directory: Path) -> list[str]:
    results = manifest_of(directory).results
    return list(results.get("checkpoints_refused") or results.get("refused_checkpoints") or [])


# ------------------------------------------------------------------------- orders


def ppo_order(folder: Path) -> Path:
    policy = ppo_runs.write_policy(folder / "policy")
    inputs = {
        "policy": policy,
        "reference": policy,
        "prompts": ppo_runs.write_prompts(folder / "prompts.jsonl"),
        "reward_model": ppo_runs.write_reward_model(folder / "reward_model", seed=1),
        "held_out_reward_model": ppo_runs.write_reward_model(
            folder / "held_out", members=1, seed=9
        ),
    }
    kl = KlControl(kind="adaptive", target=0.1, horizon=100)
    config = ppo_runs.tiny_config(updates=20, checkpoint_every=2, kl=kl, reward_function="")
    return ppo_runs.write_order(folder / "run", config, inputs)


def reward_order(folder: Path) -> Path:
    dice = random.Random(3)
    rows = []
    for number in range(240):
        texts = ["Use the kill command." + " then check." * dice.randrange(3), "I can't help."]
        preference = float(dice.random() < 0.8)
        rows.append({
            "id": str(number), "group": f"group {number // 2}",
            "messages": [{"role": "user", "content": f"How do I end a process {number % 5}?"}],
            "completions": texts, "preference": preference, "strength": 7 - 5 * preference,
            "split": ("train", "train", "train", "validation", "test")[number // 2 % 5],
        })  # fmt: skip
    config = {
        "backbone": {"kind": "fresh", **TINY_SIZES}, "epochs": 8, "batch_size": 8,
        "learning_rate": 0.01, "max_length": 64, "checkpoint_every": 5, "log_every": 2,
    }  # fmt: skip
    data = json_lines(folder / "preferences.jsonl", rows)
    return write_spec(folder / "run", "reward_model", config, {"preferences": data})


def ppo_body(spec: Path) -> int:
    return int(ppo.main([str(spec)]))


def reward_body(spec: Path) -> int:
    return recipe_main(reward_model.main, "reward_model", RewardModelConfig, [str(spec)])


RECIPES: dict[str, tuple[Callable[[Path], Path], Callable[[Path], int]]] = {
    "ppo": (ppo_order, ppo_body),
    "reward_model": (reward_order, reward_body),
}

if __name__ == "__main__":
    sys.exit(main())
