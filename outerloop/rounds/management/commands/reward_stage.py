"""`manage.py reward_stage LINE`: train and measure a reward model alone, on the labels of a line.

Nothing is deployed and no round is opened. With imported votes (several raters a pair) the votes of a
pair become one soft label, so that a pair counts once however many people saw it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from annotation import facade as annotation
from annotation.contracts import SnapshotRecipe
from annotation.rows import PreferenceRow
from evaluation import facade as evaluation
from evaluation.contracts import (
    ConsistencyMeasurements,
    EvaluateRewardModelConfig,
    RewardModelMeasurements,
)
from evaluation.formatting import number, share
from outerloop.rounds.models import PolicyLine
from outerloop.rounds.plan import numbers_problem
from training import facade as training
from training.contracts import (
    ContractError,
    ModelSource,
    RewardModelConfig,
    RunEvent,
    canonical_json,
)


class Command(BaseCommand):
    help = (
        "Train a reward model on a line's labels and print its accuracy beside the length baseline."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("line", help="slug of a line, or the id that an import printed")
        parser.add_argument(
            "--model", help="Hugging Face name or path (default: a fresh small decoder)"
        )
        parser.add_argument("--encoder", action="store_true", help="a fresh encoder instead")
        parser.add_argument("--hidden-size", type=int, default=96)
        parser.add_argument("--layers", type=int, default=3)
        parser.add_argument("--max-length", type=int, default=256)
        parser.add_argument("--epochs", type=int, default=1)
        parser.add_argument("--learning-rate", type=float, default=6e-4)
        parser.add_argument("--members", type=int, default=1)
        parser.add_argument(
            "--pairs", type=int, default=0, help="use so many training pairs (0: all)"
        )
        parser.add_argument("--seed", type=int, default=7)

    def handle(self, *args: Any, **options: Any) -> None:
        config = _config(options)
        line_id = _line_id(options["line"])
        rows = _votes_joined(
            annotation.preferences_stream(line_id=line_id, recipe=SnapshotRecipe())
        )
        rows = _thinned(rows, options["pairs"], options["seed"])
        if not rows:
            raise CommandError(f"There are no training labels under {options['line']}.")
        path = _write(line_id, rows)
        console = Console()
        try:
            with Progress(console=console) as progress:
                measured = _train_and_measure(line_id, path, config, options, progress)
        except (training.RunFailed, training.ArtifactMismatch, ContractError) as error:
            raise CommandError(str(error)) from error
        console.print(_table(measured, rows))
        for name, found in measured.consistency.items():
            console.print(f"Consistency, {name.replace('_', ' ')}: {_consistency_words(found)}.")


def _line_id(text: str) -> UUID:
    line = PolicyLine.objects.filter(slug=text).first()
    if line is not None:
        return line.id
    try:
        return UUID(text)
    except ValueError as error:
        raise CommandError(
            f"{text!r} is neither the slug of a line nor an id that an import printed."
        ) from error


def _votes_joined(rows: Iterable[PreferenceRow]) -> list[dict[str, Any]]:
    """One row per pair: the preference is the mean of its votes, a tie counting one half."""
    pairs: dict[str, dict[str, Any]] = {}
    votes: dict[str, list[tuple[float, float, float]]] = {}
    for row in rows:
        key = canonical_json([row.messages, row.completions])
        pairs.setdefault(key, row.to_json())
        votes.setdefault(key, []).append((row.preference, row.strength, row.weight))
    for key, pair in pairs.items():
        means = (sum(column) / len(column) for column in zip(*votes[key], strict=True))
        pair["preference"], pair["strength"], pair["weight"] = means
        pair["rater"] = f"{len(votes[key])} raters"
        pair.pop("part", None)  # the votes of several rankings are one label here
    return list(pairs.values())


def _thinned(rows: list[dict[str, Any]], pairs: int, seed: int) -> list[dict[str, Any]]:
    """A seeded sample of the training pairs; validation and test stay whole."""
    train = [row for row in rows if row["split"] == "train"]
    rest = [row for row in rows if row["split"] != "train"]
    if pairs and len(train) > pairs:
        train = random.Random(seed).sample(sorted(train, key=lambda row: row["id"]), pairs)
    return train + rest


def _write(line_id: UUID, rows: list[dict[str, Any]]) -> Path:
    folder = Path(settings.ARTIFACT_ROOT) / "reward-stages" / str(line_id)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "preferences.jsonl"
    path.write_text("".join(canonical_json(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _source(options: dict[str, Any]) -> ModelSource:
    if options["model"]:
        return ModelSource(kind="pretrained", name=options["model"])
    return ModelSource(
        kind="fresh",
        name="reward model",
        architecture="bert" if options["encoder"] else "llama",
        hidden_size=options["hidden_size"],
        feed_forward=options["hidden_size"] * 3,
        layers=options["layers"],
        max_positions=options["max_length"],
        init_std=0.02,
        vocabulary_limit=8000,
    )


def _config(options: dict[str, Any]) -> RewardModelConfig:
    """CommandError names the first number that cannot work, before anything is read."""
    try:
        config = RewardModelConfig(
            backbone=_source(options),
            members=options["members"],
            epochs=options["epochs"],
            learning_rate=options["learning_rate"],
            max_length=options["max_length"],
        )
    except ContractError as error:
        raise CommandError(str(error)) from error
    document = {"reward_model": config.to_json(), "seed": options["seed"]}
    if problem := numbers_problem(document, config.backbone, optimizer="ppo"):
        raise CommandError(problem)
    if options["pairs"] < 0:
        raise CommandError(f"--pairs is {options['pairs']}; set it to 0 (all) or more.")
    return config


def _train_and_measure(
    line_id: UUID,
    path: Path,
    config: RewardModelConfig,
    options: dict[str, Any],
    progress: Progress,
) -> RewardModelMeasurements:
    preferences = training.input_from_path(path)
    trained = _run(line_id, "reward_model", config, {"preferences": preferences}, options, progress)
    inputs = {
        "preferences": preferences,
        "reward_model": training.input_from_run(trained, "reward_model"),
        "held_out_reward_model": training.input_from_run(trained, "held_out_reward_model"),
    }
    run = _run(
        line_id, "evaluate_reward_model", EvaluateRewardModelConfig(), inputs, options, progress
    )
    return evaluation.measurements_read(run, RewardModelMeasurements)


def _run(
    line_id: UUID, kind: str, config: Any, inputs: Any, options: dict[str, Any], progress: Progress
) -> training.RunRecord:
    run = training.run_create(
        line_id=line_id,
        kind=kind,
        seed=options["seed"],
        config=config.to_json(),
        inputs=inputs,
        models_anywhere=True,
    )
    task = progress.add_task(kind.replace("_", " "), total=None)

    def beat(event: RunEvent | None) -> None:
        if event is not None:
            progress.update(
                task, description=f"{event.phase}", completed=event.step, total=event.total_steps
            )

    return training.run_execute(run_id=run.id, owner="command", beat=beat)


def _table(measured: RewardModelMeasurements, rows: list[dict[str, Any]]) -> Table:
    trained = sum(row["split"] == "train" for row in rows)
    table = Table(title=f"Reward model on {trained} training pairs; whole groups held out")
    for column in ("split", "pairs", "groups", "reward model", "choosing by length", "ECE"):
        table.add_column(column)
    for name, split in measured.splits.items():
        table.add_row(
            name,
            f"{split.pairs} (+{split.ties} ties)",
            str(split.groups),
            share(split.accuracy, digits=1),
            share(split.length_baseline, digits=1),
            f"{split.ece:.3f}",
        )
    return table


def _consistency_words(found: ConsistencyMeasurements) -> str:
    """How often a reply comes first under its own prompt, the most flips, and the dearest probe."""
    said = [f"own prompt ahead of another {share(found.prompt_swap)}"]
    if found.rewordings:
        worst = max(found.rewordings, key=lambda each: each.flipped.estimate)
        said.append(f"order changed by {worst.name} {share(worst.flipped)}")
    if found.probes:
        dearest = max(found.probes, key=lambda each: each.shift.estimate)
        said.append(f"{dearest.name} {number(dearest.shift)} standard deviations")
    return "; ".join(said)
