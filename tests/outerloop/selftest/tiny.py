"""Sizes at which an arm takes seconds: nothing is learned, but everything is done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from evaluation import facade as evaluation
from outerloop.selftest.running import Order
from outerloop.selftest.sizes import ARMS, ORDINARY, SAMPLING, Arm
from training.contracts import SftPhase

SHORT = replace(SAMPLING, max_new_tokens=8)
TINY = replace(
    ORDINARY,
    demonstrations=400,
    prompts=60,
    judged_prompts=40,
    redraws=4,
    look_every=20,
    members=2,
    sft=replace(
        ORDINARY.sft,
        model=replace(ORDINARY.sft.model, hidden_size=16, layers=1, feed_forward=24, heads=2),
        phases=(
            SftPhase(data="phase1", steps=12, learning_rate=4e-3, warmup_steps=2),
            SftPhase(data="phase2", steps=4, learning_rate=2e-3, warmup_steps=1),
        ),
    ),
    reward=replace(ORDINARY.reward, epochs=1),
    ppo=replace(
        ORDINARY.ppo,
        updates=2,
        prompts_per_update=4,
        completions_per_prompt=2,
        micro_batch_size=8,
        mini_batches=1,
        sampling=SHORT,
        checkpoint_every=1,
    ),
    pairs=replace(ORDINARY.pairs, sampling=SHORT),
    evaluation=replace(ORDINARY.evaluation, sampling=SHORT, bootstrap_resamples=100),
)


def order(root: Path, *arms: str, **changes: Any) -> Order:
    found: tuple[Arm, ...] = tuple(
        replace(ARMS[name], labels=50, runs={run: shrunk(c) for run, c in ARMS[name].runs.items()})
        for name in arms
    )
    gate = evaluation.gate_in_force(None)
    return replace(Order(found, (1,), "", gate, root, TINY), **changes)


def shrunk(changes: dict[str, Any]) -> dict[str, Any]:
    """What a run changes of PPO, without the sizes."""
    sizes = ("updates", "prompts_per_update", "mini_batches", "micro_batch_size")
    return {name: value for name, value in changes.items() if name not in sizes} | (
        {"completions_per_prompt": 2} if "completions_per_prompt" in changes else {}
    )
