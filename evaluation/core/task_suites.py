"""Candidate and incumbent on a task of lm-evaluation-harness, paired item by item."""

from __future__ import annotations

import copy
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from importlib import import_module

import numpy as np

from evaluation.contracts import EvaluatePolicyConfig, SuiteExample, SuiteRate, TaskSuite, TypeRate
from evaluation.core.task_library import TaskRefused, TaskScores, task_opened, task_scored
from evaluation.core.task_models import Answerer, model_watched
from evaluation.statistics.intervals import FloatArray, cluster_share_interval
from evaluation.statistics.paired import paired_difference_interval, paired_spread
from training.core.model.loading import LoadedModel
from training.core.run.errors import UserError

__all__ = ["task_suite_measure"]

EXAMPLES = 5
BATCHES = 4  # asked between two looks at whether to go on
TOLD_SECONDS = 5.0
SIDES = ("candidate", "incumbent")


def task_suite_measure(
    suite: TaskSuite,
    policies: Mapping[str, LoadedModel],
    *,
    sha256: str,
    config: EvaluatePolicyConfig,
    seed: int,
    go_on: Callable[[], None],
    tell: Callable[[str], None],
) -> SuiteRate:
    """The accuracy of "candidate" and "incumbent" by the task's own score.

    `go_on` is called between batches and may raise; `tell` hears a sentence every few seconds. Raises
    `UserError` where the task is not what it was when the suite was attached.
    """
    sides: dict[str, TaskScores] = {}
    try:
        with task_opened(suite) as opened:
            for name in SIDES:
                beat = _beat(f"{suite.name}: the {name}", go_on, tell)
                model = model_watched(
                    _answerer(policies[name], config),
                    beat,
                    size=BATCHES * config.scoring_batch_size,
                )
                sides[name] = task_scored(suite, opened, model, seed=seed)
    except TaskRefused as error:
        raise UserError(f"The suite {suite.name} cannot be measured. {error}") from error
    except (AssertionError, ValueError) as error:  # so the library says what it cannot do
        raise UserError(
            f"The suite {suite.name} cannot be measured: lm-eval says: {error}"
        ) from error
    _same_items_check(suite, sides)
    return _rate(suite, sides, sha256, config)


def _answerer(policy: LoadedModel, config: EvaluatePolicyConfig) -> Answerer:
    """The library's own model around ours; it turns its tokenizer's padding, so it gets one of its own."""
    model = import_module("lm_eval.models.huggingface").HFLM(
        pretrained=policy.model,
        tokenizer=copy.deepcopy(policy.tokenizer),
        backend="causal",
        batch_size=config.scoring_batch_size,
    )
    return Answerer(
        model.tokenizer_name,
        lambda kind, requests: getattr(model, kind)(requests, disable_tqdm=True),
        model.apply_chat_template,
    )


def _beat(
    who: str, go_on: Callable[[], None], tell: Callable[[str], None]
) -> Callable[[int, int], None]:
    last = time.monotonic()

    def beat(answered: int, total: int) -> None:
        nonlocal last
        go_on()
        if answered == total or time.monotonic() - last >= TOLD_SECONDS:
            last = time.monotonic()
            tell(f"{who} has answered {answered:,} of {total:,} requests.")

    return beat


def _same_items_check(suite: TaskSuite, sides: Mapping[str, TaskScores]) -> None:
    for scores in sides.values():
        if scores.digest != suite.digest or len(scores.values) != suite.items:
            raise UserError(
                f"The items of {suite.task} are not those that the suite {suite.name} was attached with"
                f" ({suite.items:,} then, {len(scores.values):,} now): detach the suite and attach it anew."
            )


def _rate(
    suite: TaskSuite,
    sides: Mapping[str, TaskScores],
    sha256: str,
    config: EvaluatePolicyConfig,
) -> SuiteRate:
    ours, theirs = sides["candidate"], sides["incumbent"]
    candidate, incumbent = np.array(ours.values), np.array(theirs.values)
    each, level = range(len(candidate)), config.level
    return SuiteRate(
        suite=suite.name,
        sha256=sha256,
        rate="accuracy",
        items=len(candidate),
        draws=int(any(ours.texts) or any(theirs.texts)),
        candidate=cluster_share_interval(candidate, each, level=level),
        incumbent=cluster_share_interval(incumbent, each, level=level),
        difference=paired_difference_interval(candidate, incumbent, level=level),
        spread=paired_spread(candidate, incumbent),
        chance=ours.chance,
        types=_types(ours.parts, candidate, incumbent),
        examples=_examples(ours, theirs),
    )


def _types(
    parts: tuple[str, ...], candidate: FloatArray, incumbent: FloatArray
) -> tuple[TypeRate, ...]:
    """By part of a group of tasks; nothing where the task is one."""
    rows: dict[str, list[int]] = defaultdict(list)
    for i, part in enumerate(parts):
        if part:
            rows[part].append(i)
    return tuple(
        TypeRate(part, len(at), float(candidate[at].mean()), float(incumbent[at].mean()))
        for part, at in rows.items()
    )


def _examples(ours: TaskScores, theirs: TaskScores) -> tuple[SuiteExample, ...]:
    """The first items whose reply scores less than the incumbent's."""
    worse = [
        SuiteExample(ours.prompts[i], ours.texts[i], theirs.texts[i])
        for i, (a, b) in enumerate(zip(ours.values, theirs.values, strict=True))
        if a < b and (ours.texts[i] or theirs.texts[i])
    ]
    return tuple(worse[:EXAMPLES])
