"""Measure a reward model on pairs that it was not trained on.

    accelerate launch -m evaluation.recipes.evaluate_reward_model RUN/spec.json

Inputs: reward_model, held_out_reward_model (optional), preferences, and suites ("suite_1" and on) that
both models are measured on besides. Consistency is measured on both too, on pairs of the test split, or of
the first other one that was measured. Writes the file artifact "measurements"
(`evaluation.contracts.RewardModelMeasurements`). The length-only baseline learns on the train split
whether longer or shorter completions win.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from annotation.rows import PreferenceRow
from evaluation.contracts import (
    ConsistencyMeasurements,
    CriterionAccuracy,
    EvaluateRewardModelConfig,
    RewardModelMeasurements,
    RewardSuiteMeasurements,
    SplitMeasurements,
)
from evaluation.core.consistency import ConsistencyAsked, consistency_ask, consistency_figures
from evaluation.core.reward_pairs import (
    JudgedPairs,
    answers_numbered,
    criterion_measure,
    length_direction,
    split_measure,
)
from evaluation.core.reward_suites import reward_suite_measure
from evaluation.statistics.intervals import FloatArray
from evaluation.suite_files import reward_suite_from_bytes
from training.contracts import require_finite
from training.core.data.json_lines import preferences_read
from training.core.model.shared_base import BasePool
from training.core.reward.scoring import RewardModel, reward_model_load
from training.core.run.errors import UserError
from training.core.run.run_directory import Run, recipe_main

KIND = "evaluate_reward_model"
SUITE = "suite_"


def main(argv: Sequence[str] | None = None) -> int:
    return recipe_main(evaluate, KIND, EvaluateRewardModelConfig, argv)


def evaluate(run: Run[EvaluateRewardModelConfig]) -> None:
    if not run.main:
        return run.finish((), {})
    device, pool = torch.device("cuda" if torch.cuda.is_available() else "cpu"), BasePool()
    model = reward_model_load(run.input("reward_model"), device=device, pool=pool)
    held_out = None
    if "held_out_reward_model" in run.inputs:
        held_out = reward_model_load(run.input("held_out_reward_model"), device=device, pool=pool)
    rows = preferences_read(run.input("preferences"))
    splits = {s: [r for r in rows if r.split == s] for s in run.config.splits}
    if not any(splits.values()):
        raise UserError(
            f"preferences: no row is in {' or '.join(run.config.splits)}; evaluate on pairs that "
            "the reward model was not trained on, or name their split in the config."
        )
    measured = RewardModelMeasurements({}, members=len(model.members))
    direction = _baseline_direction(model, rows)
    for step, (split, judged) in enumerate(splits.items(), start=1):
        run.check_cancel()
        found = _measure(run, split, judged, model, held_out, direction) if judged else None
        if found is not None:
            measured = replace(measured, splits={**measured.splits, split: found})
        run.emit("evaluate", step, len(splits), _headline(measured, split), f"Split {split}.")
    if not measured.splits:
        raise UserError("preferences: no split has untied pairs of two groups; more labels needed.")
    asked = _consistency_asked(run, {split: splits[split] for split in measured.splits})
    measured = replace(
        measured,
        consistency=dict(_consistency(run, asked, model, held_out)) if asked else {},
        suites=tuple(_suites(run, model, held_out, direction)),
    )
    require_finite(measured.to_json(), "measurements")
    content = json.dumps(measured.to_json(), indent=1, sort_keys=True, allow_nan=False) + "\n"
    artifact = run.write_file("measurements", "measurements.json", content.encode())
    return run.finish([artifact], measured.to_json())


def _consistency_asked(
    run: Run[EvaluateRewardModelConfig], splits: dict[str, list[PreferenceRow]]
) -> ConsistencyAsked | None:
    """What consistency is measured on; None where it is not asked for, or too few groups were told apart."""
    pairs = run.config.consistency_pairs
    if not pairs:
        return None
    split = "test" if "test" in splits else next(iter(splits))
    asked = consistency_ask(splits[split], split=split, pairs=pairs, seed=run.spec.seed)
    if asked is None:
        message = f"Consistency is left out: split {split} has no pairs of two groups told apart."
        run.emit("consistency", 0, 1, message=message)
    return asked


def _consistency(
    run: Run[EvaluateRewardModelConfig],
    asked: ConsistencyAsked,
    model: RewardModel,
    held_out: RewardModel | None,
) -> Iterator[tuple[str, ConsistencyMeasurements]]:
    """The same texts for both models."""
    models = {"reward_model": model, "held_out_reward_model": held_out}
    scored = {name: scorer for name, scorer in models.items() if scorer is not None}
    for step, (name, scorer) in enumerate(scored.items(), start=1):
        run.check_cancel()
        found = scorer.score(asked.texts, batch_size=run.config.batch_size)
        scores = found.raw.mean(0).double().numpy()
        measured = consistency_figures(asked, scores, cut=found.cut, level=run.config.level)
        share = {"prompt_swap": measured.prompt_swap.estimate}
        message = f"Consistency on {measured.pairs} pairs: {measured.texts:,} texts scored."
        run.emit("consistency", step, len(scored), share, message)
        yield name, measured


def _suites(
    run: Run[EvaluateRewardModelConfig],
    model: RewardModel,
    held_out: RewardModel | None,
    direction: float,
) -> Iterator[RewardSuiteMeasurements]:
    """Every suite that the order names, in its order."""
    names = sorted(
        (n for n in run.inputs if n.startswith(SUITE)), key=lambda n: int(n[len(SUITE) :])
    )
    for step, name in enumerate(names, start=1):
        run.check_cancel()
        suite = reward_suite_from_bytes(run.input(name).read_bytes())
        found = reward_suite_measure(
            suite,
            model,
            held_out,
            sha256=run.spec.inputs[name].sha256,
            direction=direction,
            batch_size=run.config.batch_size,
            level=run.config.level,
        )
        share = {"accuracy": found.mean.accuracy.estimate}
        message = f"Suite {suite.name}: {found.texts:,} answers scored."
        run.emit("suites", step, len(names), share, message)
        yield found


def _measure(
    run: Run[EvaluateRewardModelConfig],
    split: str,
    rows: Sequence[PreferenceRow],
    model: RewardModel,
    held_out: RewardModel | None,
    direction: float,
) -> SplitMeasurements | None:
    """None where too few groups have untied pairs."""
    untied_groups = {r.group for r in rows if not r.tie}
    if len(untied_groups) < 2:
        message = f"Split {split} is left out: {len(untied_groups)} group with untied pairs."
        run.emit("evaluate", 0, 1, message=message)
        return None
    pairs = _judged(rows, model, held_out, run.config.batch_size)
    found = split_measure(pairs, direction=direction, config=run.config, seed=run.spec.seed)
    return replace(found, criteria=tuple(_criteria(run.config, rows, model)))


def _criteria(
    config: EvaluateRewardModelConfig, rows: Sequence[PreferenceRow], model: RewardModel
) -> Iterator[CriterionAccuracy]:
    """Each head of a mix on the votes on its own criterion; nothing for a model of the overall votes."""
    settings = model.settings
    if not settings.criteria:
        return
    conversations = [(r.messages, text) for r in rows for text in r.completions]
    scores = model.score(conversations, batch_size=config.batch_size)
    assert scores.heads is not None
    heads, mixes = (
        (raw.double().view(len(raw), -1, 2) @ torch.tensor([1.0, -1.0]).double()).numpy()
        for raw in (scores.heads, scores.raw)
    )
    for criterion in settings.criteria:
        own = [i for i, member in enumerate(settings.members) if member.criterion == criterion]
        found = criterion_measure(
            rows,
            heads[own].mean(0),
            mixes.mean(0),
            criterion=criterion,
            weight=float(settings.mixing()[0, own].sum()),
            level=config.level,
        )
        if found is not None:
            yield found


def _judged(
    rows: Sequence[PreferenceRow],
    model: RewardModel,
    held_out: RewardModel | None,
    batch_size: int,
) -> JudgedPairs:
    lengths, difference = _lengths(model, rows), _differences(model, rows, batch_size)
    return JudgedPairs(
        difference=_log_odds(model, difference, calibrated=False),
        held_out=None if held_out is None else _differences(held_out, rows, batch_size).numpy(),
        preference=np.array([r.preference for r in rows]),
        strength=np.array([r.strength for r in rows]),
        longer=lengths[:, 0] - lengths[:, 1],
        length=lengths.max(1),
        groups=[r.group for r in rows],
        raters=[r.rater for r in rows],
        strategies=[r.strategy for r in rows],
        calibrated=_log_odds(model, difference, calibrated=True),
        answers=answers_numbered(rows),
    )


def _differences(
    model: RewardModel, rows: Sequence[PreferenceRow], batch_size: int
) -> torch.Tensor:
    """Raw scores of completion 0 minus completion 1, the mean over the members [N], in float64."""
    conversations = [(r.messages, text) for r in rows for text in r.completions]
    raw = model.score(conversations, batch_size=batch_size).raw.mean(0).double()
    first, second = raw.view(-1, 2).unbind(1)
    return first - second


def _log_odds(model: RewardModel, difference: torch.Tensor, *, calibrated: bool) -> FloatArray:
    return np.asarray(model.win_log_odds(difference, calibrated=calibrated).numpy())


def _lengths(model: RewardModel, rows: Sequence[PreferenceRow]) -> FloatArray:
    """Tokens of both completions [N, 2], as the reward model reads them."""
    encoded = model.encode([(r.messages, text) for r in rows for text in r.completions])
    return np.array([sum(e.trained) for e in encoded], dtype=np.float64).reshape(-1, 2)


def _baseline_direction(model: RewardModel, rows: Sequence[PreferenceRow]) -> float:
    known = [r for r in rows if r.split == "train"] or list(rows)
    lengths = _lengths(model, known)
    preference = np.array([r.preference for r in known])
    return length_direction(lengths[:, 0] - lengths[:, 1], preference)


def _headline(measured: RewardModelMeasurements, split: str) -> dict[str, float | None]:
    found = measured.splits.get(split)
    if found is None:
        return {}
    return {
        "accuracy": found.accuracy.estimate,
        "length_baseline": found.length_baseline.estimate,
        "nll": found.nll,
        "ece": found.ece,
        "ece_calibrated": found.ece_calibrated,
        "temperature": found.temperature,
    }


if __name__ == "__main__":
    sys.exit(main())
