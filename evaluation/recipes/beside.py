"""What an evaluation measures beside candidate against incumbent: best of n, suites, and earlier rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from annotation.rows import PromptRow
from evaluation.contracts import (
    PAST_POLICY,
    PAST_REWARD_MODEL,
    BestOfNCurve,
    EvaluatePolicyConfig,
    RewardMatrix,
    SuiteRate,
    TaskSuite,
)
from evaluation.core.best_of_n import curve_measure, curve_places
from evaluation.core.comparison import Side
from evaluation.core.completions import DrawnCompletion, completions_draw
from evaluation.core.reward_matrix import PolicyTexts, matrix_measure, past_rounds, written_read
from evaluation.core.suites import suite_measure
from evaluation.core.task_suites import task_suite_measure
from evaluation.suite_files import suite_from_bytes
from training.core.model.loading import LoadedModel
from training.core.model.shared_base import BasePool
from training.core.reward.scoring import RewardModel, reward_model_load
from training.core.run.errors import UserError
from training.core.run.run_directory import Run

SUITE = "suite_"
STEPS = 9


class Scorers(NamedTuple):
    """What the policy was trained on, and what it never saw."""

    train: RewardModel
    held_out: RewardModel


def side_score(
    completions: Sequence[DrawnCompletion],
    rows: Sequence[PromptRow],
    scorers: Scorers,
    batch_size: int,
) -> Side:
    texts = [(row.messages, c.text) for row, c in zip(rows, completions, strict=True)]
    scores = scorers.train.score(texts, batch_size=batch_size)
    return Side(
        completions,
        train=np.asarray(scores.combined().double().numpy()),
        held_out=np.asarray(
            scorers.held_out.score(texts, batch_size=batch_size).combined().double().numpy()
        ),
        spread=np.asarray(scores.spread.double().numpy()) if scorers.train.voices > 1 else None,
    )


def best_of_n_measure(
    run: Run[EvaluatePolicyConfig],
    reference: LoadedModel,
    prompts: Sequence[PromptRow],
    side: Side,
    scorers: Scorers,
) -> BestOfNCurve | None:
    """Measured on what the reference drew already and on so many further completions as that lacks."""
    config, own = run.config, run.config.samples_per_prompt
    if not config.best_of_n:
        return None
    run.check_cancel()
    places = curve_places(prompts, config.best_of_n_prompts)
    train, held_out = (
        scores.reshape(len(prompts), own)[places, : config.best_of_n]
        for scores in (side.train, side.held_out)
    )
    further = config.best_of_n - own
    if further > 0:
        asked = [prompts[place] for place in places]
        drawn = completions_draw(
            reference,
            asked,
            sampling=config.sampling,
            samples_per_prompt=further,
            max_prompt_tokens=config.max_prompt_tokens,
            seed=run.spec.seed,
            first_sample=own,
        )
        rows = [row for row in asked for _ in range(further)]
        more = side_score(drawn, rows, scorers, config.scoring_batch_size)
        train = np.hstack([train, more.train.reshape(len(asked), further)])
        held_out = np.hstack([held_out, more.held_out.reshape(len(asked), further)])
    message = f"Best of {config.best_of_n} on {len(places)} prompts: {train.size:,} completions."
    run.emit("best_of_n_curve", 6, STEPS, message=message)
    return curve_measure(train, held_out, level=config.level)


def suites_answer(
    run: Run[EvaluatePolicyConfig], policies: Mapping[str, LoadedModel]
) -> tuple[SuiteRate, ...]:
    """Every suite that the order names, answered by candidate and incumbent."""
    rates: list[SuiteRate] = []
    for name in sorted(name for name in run.inputs if name.startswith(SUITE)):
        run.check_cancel()
        suite = suite_from_bytes(run.input(name).read_bytes())
        if isinstance(suite, TaskSuite):
            rates.append(_task_suite(run, suite, policies, input_sha(run, name)))
            items = suite.items
        else:
            rates += suite_measure(
                suite, policies, sha256=input_sha(run, name), config=run.config, seed=run.spec.seed
            )
            items = len(suite.items)
        run.emit("suites", 7, STEPS, message=f"{suite.name}: {items} items answered.")
    return tuple(rates)


def _task_suite(
    run: Run[EvaluatePolicyConfig],
    suite: TaskSuite,
    policies: Mapping[str, LoadedModel],
    sha256: str,
) -> SuiteRate:
    return task_suite_measure(
        suite,
        policies,
        sha256=sha256,
        config=run.config,
        seed=run.spec.seed,
        go_on=run.check_cancel,
        tell=lambda sentence: run.emit("suites", 7, STEPS, message=sentence),
    )


def matrix_build(
    run: Run[EvaluatePolicyConfig],
    rows: Sequence[PromptRow],
    completions: Sequence[DrawnCompletion],
    train: RewardModel,
) -> RewardMatrix | None:
    """This round's reward model and those of earlier rounds, on this candidate and earlier ones."""
    rounds, config = past_rounds(run.inputs), run.config
    if not rounds:
        return None
    own = slice(0, config.past_prompts * config.samples_per_prompt, config.samples_per_prompt)
    texts = [(row.messages, c.text) for row, c in zip(rows[own], completions[own], strict=True)]
    groups = [row.group or row.id for row in rows[own]]
    written: dict[int | None, PolicyTexts] = {
        number: written_read(run.input(f"{PAST_POLICY}{number}")) for number in rounds
    }
    written[None] = PolicyTexts(texts, groups)

    def load(number: int | None) -> RewardModel | None:
        run.check_cancel()
        return train if number is None else _past_model(run, number)

    found = matrix_measure(
        rounds, written, load, batch_size=config.scoring_batch_size, level=config.level
    )
    message = (
        f"{len(found.cells)} pairs of a reward model and a policy of {len(rounds) + 1} rounds."
    )
    run.emit("reward_matrix", 8, STEPS, message=message)
    return found


def _past_model(run: Run[EvaluatePolicyConfig], number: int) -> RewardModel | None:
    """None where it was not kept, or where this release cannot read it any more."""
    name = f"{PAST_REWARD_MODEL}{number}"
    if name not in run.inputs:
        return None
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return reward_model_load(run.input(name), device=device, pool=BasePool())
    except UserError as error:
        message = f"The reward model of round {number} is left out: {error}"
        run.emit("reward_matrix", 8, STEPS, message=message)
        return None


def input_sha(run: Run[EvaluatePolicyConfig], name: str) -> str:
    run.input(name)  # names the input where it is missing
    return run.spec.inputs[name].sha256
