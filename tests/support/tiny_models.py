"""Models small enough that a test of the real thing takes milliseconds (< 0.1 M parameters)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from training.contracts import InputRef, ModelSource, RunKind, RunSpec
from training.core.model.loading import LoadedModel, classifier_load, model_save, policy_load
from training.digests import path_sha256

TEXTS = (
    "What is 7 plus 5?",
    "7 plus 5 is 12.",
    "How do I end a process?",
    "Use the kill command, then check that it's gone.",
    "I'm sorry, I can't help with that.",
    "How many metres are 3 km?",
    "3 km are 3000 m.",
)

TINY_SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "layers": 2,
    "heads": 2,
    "feed_forward": 32,
    "max_positions": 96,
    "vocabulary_limit": 300,
}


def tiny_source(**changes: Any) -> ModelSource:
    return ModelSource(**{"kind": "fresh", **TINY_SIZES, **changes})


def tiny_policy(seed: int = 0) -> LoadedModel:
    """A fresh Llama with a word tokenizer learned from `TEXTS`."""
    return policy_load(tiny_source(), {}, texts=TEXTS, seed=seed)


def tiny_policy_artifact(path: Path, seed: int = 0) -> Path:
    path.mkdir(parents=True)
    model_save(tiny_policy(seed), path)
    return path


def tiny_policy_artifacts(*paths: Path) -> None:
    """Policies of as many different weights."""
    for seed, path in enumerate(paths):
        tiny_policy_artifact(path, seed)


def prompt_lengths_write(artifact: Path, talks: list[Any], told: Path) -> None:
    """How many tokens each conversation is as a prompt, as the engine's library counts."""
    tokenizer = AutoTokenizer.from_pretrained(artifact)
    lengths = [
        len(tokenizer.apply_chat_template(talk, add_generation_prompt=True, return_dict=False))
        for talk in talks
    ]
    told.write_text(json.dumps(lengths))


def tiny_classifier(seed: int = 0, architecture: str = "llama") -> LoadedModel:
    """A fresh reward model backbone with its one-output head."""
    source = tiny_source(architecture=architecture)
    return classifier_load(source, {}, texts=TEXTS, seed=seed)


def json_lines(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_spec(
    directory: Path,
    kind: RunKind,
    config: dict[str, Any],
    inputs: dict[str, Path] | None = None,
    *,
    seed: int = 5,
) -> Path:
    """Make a run directory with its spec.json; inputs get their real digests."""
    references = {
        name: InputRef(path=str(path), sha256=path_sha256(path))
        for name, path in (inputs or {}).items()
    }
    spec = RunSpec(run_id="run-1", kind=kind, seed=seed, inputs=references, config=config)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "spec.json").write_text(json.dumps(spec.to_json()))
    return directory / "spec.json"
