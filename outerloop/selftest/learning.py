"""The learning half of an arm: first policy, labels, reward models, PPO, and what the runs show."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from evaluation.contracts import CheckpointRewards
from outerloop.demo.world import DemoPrompt, demonstrations, prompts
from outerloop.selftest.bench import Bench, Finished
from outerloop.selftest.labels import Text, preference_rows
from outerloop.selftest.results import Curve
from outerloop.selftest.sizes import SINGLE, Arm, Sizes
from training.contracts import PpoConfig, RunEvent

GOLD_METRIC = "reward_verifier"


@dataclass
class World:
    """What the arms of a seed begin with; each part is made when it is first asked for."""

    bench: Bench
    seed: int
    sizes: Sizes

    @cached_property
    def asked(self) -> list[DemoPrompt]:
        return prompts(self.seed, self.sizes.prompts + self.sizes.judged_prompts)

    @property
    def learned_from(self) -> list[DemoPrompt]:
        return self.asked[: self.sizes.prompts]

    @cached_property
    def prompts_file(self) -> Path:
        return self.bench.rows("prompts", prompt_rows(self.learned_from))

    @cached_property
    def judged_file(self) -> Path:
        return self.bench.rows("judged", prompt_rows(self.asked[self.sizes.prompts :]))

    @cached_property
    def policy(self) -> Path:
        inputs = {
            f"phase{i}": self.bench.rows(
                f"phase{i}", demonstrations(self.seed, i, self.sizes.demonstrations)
            )
            for i in (1, 2)
        }
        return self.bench.run("sft", self.seed, inputs, self.sizes.sft).artifact("policy")

    @cached_property
    def completions(self) -> Path:
        """Two of the first policy's answers to every prompt that is learned from."""
        inputs = {"policy": self.policy, "prompts": self.prompts_file}
        return self.bench.run("sample_pairs", self.seed, inputs, self.sizes.pairs).artifact(
            "completions"
        )

    def pairs(self) -> list[list[Text]]:
        with self.completions.open(encoding="utf-8") as lines:
            drawn = {row["prompt_id"]: row["completions"] for row in map(json.loads, lines)}
        return [
            [(c["text"], c["ended"]) for c in drawn[prompt.external_id]]
            for prompt in self.learned_from
        ]


@dataclass(frozen=True)
class RewardModels:
    """The labels of an arm and what was learned from them; `ensemble` only where an arm needs one."""

    preferences: Path
    single: Finished
    ensemble: Finished | None

    def inputs(self, run: str) -> dict[str, Path]:
        """The held-out model is the same for every run of an arm."""
        trained = self.single if run == SINGLE or self.ensemble is None else self.ensemble
        return {
            "reward_model": trained.artifact("reward_model"),
            "held_out_reward_model": self.single.artifact("held_out_reward_model"),
        }


def reward_models(world: World, arm: Arm) -> RewardModels | None:
    """None for an arm that asks nobody."""
    if not arm.annotators:
        return None
    labels = min(arm.labels, world.sizes.prompts)
    rows = preference_rows(
        world.seed, arm.annotators, world.learned_from[:labels], world.pairs()[:labels]
    )
    inputs = {
        "policy": world.policy,
        "preferences": world.bench.rows("preferences", rows),
        "prompts": world.prompts_file,
        "reference_samples": world.completions,
    }
    single = world.bench.run("reward_model", world.seed, inputs, world.sizes.reward)
    ensemble = None
    if set(arm.runs) - {SINGLE}:
        config = replace(world.sizes.reward, members=world.sizes.members)
        ensemble = world.bench.run("reward_model", world.seed, inputs, config)
    return RewardModels(inputs["preferences"], single, ensemble)


def ppo_run(world: World, arm: Arm, name: str, models: RewardModels | None) -> Finished:
    config = PpoConfig.from_json(world.sizes.ppo.to_json() | arm.runs[name])
    inputs = {
        "policy": world.policy,
        "reference": world.policy,
        "prompts": world.prompts_file,
        **(models.inputs(name) if models else {}),
    }
    return world.bench.run("ppo", world.seed, inputs, config)


def curve_of(run: Finished) -> Curve:
    """Each policy of a run, the first one before any update."""
    rows = measured(run)
    return Curve(
        kl=_column(rows, "kl_k1"),
        proxy=_column(rows, "reward_train"),
        held_out=_column(rows, "reward_held_out"),
        gold=_column(rows, GOLD_METRIC),
    )


def checkpoints(run: Finished) -> list[CheckpointRewards]:
    """What the mismatch meter reads."""
    return [
        CheckpointRewards(at, float(row["reward_train"] or 0), float(row["reward_held_out"] or 0))
        for at, row in enumerate(measured(run))
        if row.get("reward_held_out") is not None
    ]


def measured(run: Finished) -> list[dict[str, float | None]]:
    """Figures by update; one that was reported twice, after a kill, counts once."""
    by_step: dict[int, RunEvent] = {event.step: event for event in run.events("ppo")}
    last = run.events("final")[-1:]
    return [event.metrics for _, event in sorted(by_step.items())] + [e.metrics for e in last]


def _column(rows: Sequence[Mapping[str, float | None]], name: str) -> tuple[float, ...]:
    """Empty where the run does not measure it."""
    values = [row.get(name) for row in rows]
    return tuple(float(v) for v in values if v is not None) if None not in values else ()


def prompt_rows(asked: Sequence[DemoPrompt]) -> list[dict[str, Any]]:
    return [
        {"id": p.external_id, "messages": list(p.messages), "group": p.external_id} for p in asked
    ]
