"""Recipes in processes of their own, forked from one that has loaded what they import: a start costs no eight
seconds. Each runs its module as `python -m` does, and is killed, waited for and taken up like any program.

That `accelerate launch` starts them is tested where it is the point: `recipes.recipe_start`, the shipped
configurations in `training/recipes/test_ppo_processes.py`, and every worker in `tests/faults`.
"""

from __future__ import annotations

import importlib
import os
import runpy
import sys
import time
import warnings
from collections.abc import Mapping
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tests.support.postgres import free_port

RECIPES = ("sft", "reward_model", "ppo", "dpo", "best_of_n")
LOADED = [f"training.recipes.{name}" for name in RECIPES]
MODELS = ["transformers.models.llama.modeling_llama", "transformers.models.gpt2.modeling_gpt2"]
FORKS = get_context("forkserver")
FORKS.set_forkserver_preload([*LOADED, *MODELS])


class Forked:
    """The recipe of `spec` in `processes` processes, which speak through gloo on the CPU where they are two.

    `sharded`: each holds a part of what learns, as under `training/configs/cpu-two-fsdp.yaml`.
    """

    def __init__(
        self, module: str, spec: Path, *, processes: int = 1, sharded: bool = False
    ) -> None:
        group = _group(processes, sharded=sharded) if processes > 1 else {}
        self.processes = [
            FORKS.Process(target=_carry_out, args=(module, spec, rank, group), daemon=True)
            for rank in range(processes)
        ]
        for process in self.processes:
            process.start()

    def poll(self) -> int | None:
        """The exit code once all have ended, or as soon as one has failed; None before."""
        codes = [process.exitcode for process in self.processes]
        failed = [code for code in codes if code]
        return failed[0] if failed else None if None in codes else 0

    def kill(self) -> None:
        """SIGKILL."""
        for process in self.processes:
            process.kill()
            process.join()

    def wait(self, timeout: float = 300) -> int:
        """The exit code; where one of two fails the other is ended, as a launcher would."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None and time.monotonic() < deadline:
            time.sleep(0.01)
        self.kill()
        if code is None:
            raise TimeoutError(f"The recipe did not end within {timeout:.0f} s.")
        return code


def forked_call(module: str, function: str, *arguments: Any) -> None:
    """Call a function where torch is loaded, for a test of the site, whose own process loads none."""
    process = FORKS.Process(target=_call, args=(module, function, arguments), daemon=True)
    process.start()
    process.join(180)
    process.kill()
    process.join()
    assert process.exitcode == 0, f"{module}.{function} ended with {process.exitcode}"


def _call(module: str, function: str, arguments: tuple[Any, ...]) -> None:
    getattr(importlib.import_module(module), function)(*arguments)


def _group(processes: int, *, sharded: bool) -> dict[str, str]:
    """The variables by which a launcher lets its processes find each other."""
    return {
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "ACCELERATE_USE_CPU": "true",
        **({"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"} if sharded else {}),
    }


def _carry_out(module: str, spec: Path, rank: int, group: Mapping[str, str]) -> None:
    assert module in sys.modules, f"{module} was not loaded before the fork"
    log = os.open(spec.parent / "child.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    ranks = {"RANK": str(rank), "LOCAL_RANK": str(rank)} if group else {}
    os.environ.update({"OMP_NUM_THREADS": "1", **group, **ranks})
    sys.argv = [module, str(spec)]
    warnings.simplefilter("ignore", RuntimeWarning)  # of the module that is loaded already
    runpy.run_module(module, run_name="__main__", alter_sys=True)
