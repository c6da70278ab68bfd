"""The weights that old pairs get before reward models learn from them, where the order asks for it.

Inputs beside those of the recipe: `current_policy`, and `writer_ID` for each policy that wrote completions and is
still there; ID is what the rows call it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from accelerate import Accelerator
from accelerate.utils import gather_object

from annotation.rows import PreferenceRow
from training.contracts import OffPolicyConfig, RewardModelConfig
from training.core.model.loading import policy_load_path
from training.core.reward.off_policy import (
    Correction,
    DrawnText,
    importance_factors,
    pair_log_ratios,
    written_by,
    written_log_probs,
)
from training.core.run.errors import UserError
from training.core.run.run_directory import Run
from training.recipes.runtime import own_share
from web.files import file_write

__all__ = ["FACTORS", "rows_corrected"]

CURRENT, WRITER = "current_policy", "writer_"
FACTORS = "off_policy.json"
"""In the run's directory while it learns: an attempt that goes on learns from the very same weights."""
FEW = 0.5
"""Of the pairs that are known; where the weights leave less, it is said before anything is learned."""

Key = tuple[int, int]
Pairs = Sequence[tuple[DrawnText | None, ...]]


def rows_corrected(
    run: Run[RewardModelConfig], accelerator: Accelerator, rows: Sequence[PreferenceRow]
) -> tuple[list[PreferenceRow], dict[str, Any]]:
    """The rows with the weights that the order asks for, and what the results say of them.

    Only rows of the training split change: what is measured is measured on the labels as they are.
    """
    config = run.config.off_policy
    if config.correction == "none":
        return list(rows), {}
    train = [i for i, row in enumerate(rows) if row.split == "train"]
    found = _correction(run, accelerator, [rows[i] for i in train])
    numbers = {
        "known_pairs": found.known,
        "unknown_pairs": len(train) - found.known,
        "effective_pairs": found.effective,
        "effective_share": found.effective_share,
        "capped_pairs": found.capped,
        "largest_factor": max(found.factors, default=1.0),
    }
    run.emit("off policy", len(train), len(train), numbers, message=_said(found, len(train)))
    _check(found, config)
    changed = dict(zip(train, found.factors, strict=True))
    weighed = [replace(row, weight=row.weight * changed.get(i, 1.0)) for i, row in enumerate(rows)]
    return weighed, numbers


def _correction(
    run: Run[RewardModelConfig], accelerator: Accelerator, rows: Sequence[PreferenceRow]
) -> Correction:
    """Kept in the run's directory; every process works out its share of the texts, and all get all."""
    path = run.directory / FACTORS
    if path.exists():
        return Correction(**json.loads(path.read_text()))
    ids = {name.removeprefix(WRITER): name for name in run.inputs if name.startswith(WRITER)}
    pairs = [written_by(row, ids) for row in rows]
    ratios = _log_ratios(run, accelerator, pairs)
    config = run.config.off_policy
    found = importance_factors(
        ratios, [row.weight for row in rows], power=config.power, cap=config.cap
    )
    if run.main:
        run.guard()
        file_write(path, json.dumps(vars(found)))
    return found


def _log_ratios(
    run: Run[RewardModelConfig], accelerator: Accelerator, pairs: Pairs
) -> list[float | None]:
    run.input(CURRENT)  # says so where it is missing
    current = run.spec.inputs[CURRENT].sha256
    asked = {
        (number, side): one
        for number, sides in enumerate(pairs)
        for side, one in enumerate(sides)
        if one is not None and run.spec.inputs[one.writer.model].sha256 != current
    }
    then: dict[Key, float] = {}
    for name in sorted({one.writer.model for one in asked.values()}):
        own = {key: one for key, one in asked.items() if one.writer.model == name}
        then |= _log_probs(run, accelerator, name, own)
    present = _log_probs(run, accelerator, CURRENT, asked) if asked else {}
    lost = {key for key in asked if math.isnan(then[key]) or math.isnan(present[key])}
    kept = [
        tuple(None if (number, side) in lost else one for side, one in enumerate(sides))
        for number, sides in enumerate(pairs)
    ]
    return pair_log_ratios(kept, present, then)


def _log_probs(
    run: Run[RewardModelConfig], accelerator: Accelerator, name: str, asked: Mapping[Key, DrawnText]
) -> dict[Key, float]:
    """log-probability of each text under the policy of an input, which is in memory no longer than that."""
    policy = policy_load_path(run.input(name))
    policy.model.to(accelerator.device).eval()
    keys = list(asked)
    mine = own_share(accelerator, range(len(keys)))
    with accelerator.autocast():
        own = written_log_probs(
            policy,
            [asked[keys[i]] for i in mine],
            batch_size=run.config.batch_size,
            device=accelerator.device,
        )
    found = gather_object([(keys[i], value) for i, value in zip(mine, own.tolist(), strict=True)])
    return {(key[0], key[1]): float(value) for key, value in found}


def _said(found: Correction, pairs: int) -> str:
    """What a person should know of the weights before they wait."""
    if not found.known:
        return (
            "No training pair says which policy of this order wrote it: the labels weigh what they did without"
            " off_policy."
        )
    said = (
        f"{found.known} of {pairs} training pairs are weighed towards the current policy, and count as"
        f" {found.effective:.0f} equal ones."
    )
    if found.effective_share < FEW:
        said += " Few pairs decide; a lower off_policy.power spreads the weight."
    return said


def _check(found: Correction, config: OffPolicyConfig) -> None:
    if found.effective_share < config.least_effective_share:
        raise UserError(
            f"The importance weights leave {found.effective:.1f} effective pairs of {found.known}"
            f" ({found.effective_share:.1%}), below off_policy.least_effective_share"
            f" ({config.least_effective_share:.0%}): lower off_policy.power or off_policy.cap, or set"
            " off_policy.correction to 'none'."
        )
