"""Small PPO runs for tests: a tiny fresh policy, a few prompts, a run directory with its spec."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from training.contracts import AdapterConfig, InputRef, ModelSource, PpoConfig, RunSpec, Sampling
from training.core.model.adapted_classifier import adapted_new, adapted_save, base_of, base_save
from training.core.model.loading import LoadedModel, classifier_load, model_save, policy_load
from training.core.reward.scoring import SETTINGS, BaseSettings, EnsembleSettings, MemberSettings
from training.digests import path_sha256

WORDS = "red green blue one two three cat dog sun moon yes no"
QUESTIONS = ["name a colour", "count to three", "what is a cat", "say yes", "sun or moon", "why"]


def mention_blue(messages: list[dict[str, str]], text: str) -> float:
    """A scripted reward: 1 where the text says blue, else 0."""
    return float("blue" in re.findall(r"[a-z]+", text))


def tiny_policy(seed: int = 0) -> LoadedModel:
    """About 30,000 parameters and a vocabulary of words and letters."""
    source = ModelSource(
        kind="fresh", hidden_size=24, layers=2, heads=2, feed_forward=48, max_positions=64
    )
    return policy_load(source, {}, texts=[WORDS, *QUESTIONS], seed=seed)


def tiny_config(**changes: Any) -> PpoConfig:
    settings: dict[str, Any] = {
        "updates": 3,
        "prompts_per_update": 16,
        "mini_batches": 2,
        "micro_batch_size": 8,
        "warmup_updates": 1,
        "exact_kl_rollouts": 4,
        "sampling": Sampling(max_new_tokens=6),
        "reward_function": "tests.support.ppo_runs:mention_blue",
    }
    return PpoConfig(**(settings | changes))


def write_prompts(path: Path, questions: list[str] | None = None) -> Path:
    rows = [
        {"id": f"p{i}", "messages": [{"role": "user", "content": q}], "group": f"g{i}"}
        for i, q in enumerate(questions or QUESTIONS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_policy(path: Path, loaded: LoadedModel | None = None) -> Path:
    path.mkdir(parents=True)
    model_save(loaded or tiny_policy(), path)
    return path


def write_reward_model(path: Path, *, members: int = 2, seed: int = 0) -> Path:
    """An untrained ensemble on the tokens of `tiny_policy`, in the layout of a reward artifact."""
    settings = []
    for number in range(members):
        source = ModelSource(kind="pretrained", name=str(path.parent / "policy"))
        loaded = classifier_load(source, {}, seed=seed + number)
        (path / f"member_{number}").mkdir(parents=True)
        model_save(loaded, path / f"member_{number}")
        settings.append(MemberSettings(path=f"member_{number}", mean=0.1 * number, std=0.5))
    ensemble = EnsembleSettings(members=tuple(settings), max_length=64)
    (path / SETTINGS).write_text(json.dumps(ensemble.to_json()))
    return path


def write_adapted_reward_model(path: Path, *, members: int = 2, seed: int = 0) -> Path:
    """The same of adapters, which are random instead of 0, on the backbone of the policy beside it."""
    policy = path.parent / "policy"
    source = ModelSource(kind="pretrained", name=str(policy))
    base = base_of(classifier_load(source, {}, seed=seed))
    (path / "base").mkdir(parents=True)
    base_save(base, path / "base")
    settings = []
    for number in range(members):
        loaded = adapted_new(base, AdapterConfig(kind="lora", rank=3), seed=seed + number)
        torch.manual_seed(seed + number)
        for name, parameter in loaded.model.named_parameters():
            if ".lora_B" in name:
                nn.init.normal_(parameter, std=0.3)
        (path / f"member_{number}").mkdir()
        adapted_save(loaded, path / f"member_{number}")
        settings.append(MemberSettings(path=f"member_{number}", mean=0.1 * number, std=0.5))
    stands = BaseSettings("base", base.sha256(), path_sha256(policy))
    ensemble = EnsembleSettings(members=tuple(settings), max_length=64, base=stands)
    (path / SETTINGS).write_text(json.dumps(ensemble.to_json()))
    return path


def write_order(
    directory: Path, config: PpoConfig, inputs: Mapping[str, Path], *, seed: int = 7
) -> Path:
    """A run directory with its spec; returns the path of the spec."""
    directory.mkdir(parents=True)
    references = {name: InputRef(str(path), path_sha256(path)) for name, path in inputs.items()}
    spec = RunSpec("ppo-test", "ppo", seed, references, config.to_json())
    path = directory / "spec.json"
    path.write_text(json.dumps(spec.to_json()))
    return path


def events(directory: Path, phase: str) -> list[dict[str, Any]]:
    lines = (directory / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["phase"] == phase]


def vowels(messages: list[dict[str, str]], text: str) -> float:
    """A scripted reward that a random policy meets often: vowels among ten characters."""
    return sum(character in "aeiou" for character in text) / 10
