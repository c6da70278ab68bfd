"""Measure a candidate policy against the incumbent on evaluation prompts.

    accelerate launch -m evaluation.recipes.evaluate_policy RUN/spec.json

Inputs: candidate, incumbent, reference, reward_model, held_out_reward_model, prompts, and suites
("suite_1" and on) that candidate and incumbent answer besides. Some prompts get further completions of
the reference, of which the reward model picks the best of n. Of earlier rounds it takes reward models and
what their candidates wrote (`evaluation.core.reward_matrix`). Writes three file artifacts: "samples"
(samples.jsonl, one prompt's completions a line), "highlights" (a JSON list of `SamplePair`) and
"measurements" (`PolicyMeasurements`). All sides draw with the same
settings and the same seed for each prompt, so that an A/A comparison differs by exactly nothing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from annotation.rows import PromptRow
from evaluation.contracts import (
    BestOfNCurve,
    EvaluatePolicyConfig,
    PolicyMeasurements,
    RewardMatrix,
    SuiteRate,
)
from evaluation.core.comparison import Side, policy_compare
from evaluation.core.completions import DrawnCompletion, completions_draw
from evaluation.core.divergence import sequence_kl
from evaluation.core.highlights import highlights_pick
from evaluation.recipes.beside import (
    STEPS,
    Scorers,
    best_of_n_measure,
    input_sha,
    matrix_build,
    side_score,
    suites_answer,
)
from evaluation.statistics.intervals import FloatArray
from training.contracts import ArtifactRef, require_finite
from training.core.data.json_lines import prompts_read
from training.core.model.loading import LoadedModel, policy_load_path
from training.core.model.shared_base import BasePool
from training.core.reward.scoring import reward_model_load
from training.core.run.errors import UserError
from training.core.run.run_directory import Run, recipe_main

KIND = "evaluate_policy"
POLICIES = ("candidate", "incumbent", "reference")
REWARD_MODELS = ("reward_model", "held_out_reward_model")


@dataclass(frozen=True)
class Evidence:
    """Everything drawn and scored; `rows` names the prompt of each completion."""

    rows: tuple[PromptRow, ...]
    sides: Mapping[str, Side]
    kl: Mapping[str, FloatArray]
    suites: tuple[SuiteRate, ...]
    best_of_n: BestOfNCurve | None
    reward_matrix: RewardMatrix | None

    @property
    def groups(self) -> list[str]:
        return [row.group or row.id for row in self.rows]


def main(argv: Sequence[str] | None = None) -> int:
    return recipe_main(evaluate, KIND, EvaluatePolicyConfig, argv)


def evaluate(run: Run[EvaluatePolicyConfig]) -> None:
    if not run.main:
        return run.finish((), {})
    evidence = collect(run)
    measured = measure(run, evidence)
    artifacts = write(run, evidence, measured)
    run.emit("evaluate", STEPS, STEPS, _headline(measured), "Measured.")
    return run.finish(artifacts, measured.to_json())


def collect(run: Run[EvaluatePolicyConfig]) -> Evidence:
    """Draw every side's completions, score them, and take the candidate's divergence."""
    prompts = prompts_read(run.input("prompts"))
    chosen = prompts[: run.config.max_prompts] if run.config.max_prompts else prompts
    _check_prompts(chosen)
    for name in (*POLICIES, *REWARD_MODELS):
        run.input(name)  # names the one that is missing before a token is drawn
    rows = tuple(row for row in chosen for _ in range(run.config.samples_per_prompt))
    policies = _policies(run)
    drawn = _draw(run, policies, chosen)
    kl = _divergence(run, policies, drawn["candidate"])
    scorers = _scorers(run)
    sides = _score(run, drawn, rows, scorers)
    curve = best_of_n_measure(run, policies["reference"], chosen, sides["reference"], scorers)
    suites = suites_answer(run, policies)
    policies.clear()  # what comes last loads reward models in their place
    matrix = matrix_build(run, rows, drawn["candidate"], scorers.train)
    return Evidence(rows, sides, kl, suites, curve, matrix)


def measure(run: Run[EvaluatePolicyConfig], evidence: Evidence) -> PolicyMeasurements:
    run.check_cancel()
    found = policy_compare(
        evidence.sides,
        kl=evidence.kl,
        prompt_ids=[row.id for row in evidence.rows],
        groups=evidence.groups,
        config=run.config,
        seed=run.spec.seed,
        identical=input_sha(run, "candidate") == input_sha(run, "incumbent"),
    )
    more = run.config.samples_per_prompt < run.config.samples_limit
    return replace(
        found,
        more_samples_possible=more,
        suites=evidence.suites,
        best_of_n=evidence.best_of_n,
        reward_matrix=evidence.reward_matrix,
    )


def write(
    run: Run[EvaluatePolicyConfig], evidence: Evidence, measured: PolicyMeasurements
) -> list[ArtifactRef]:
    require_finite(measured.to_json(), "measurements")
    pairs = highlights_pick(evidence.sides, evidence.rows, kl=evidence.kl["reference"])
    lines = "".join(_json(line, None) for line in _sample_lines(evidence))
    highlights = _json([pair.to_json() for pair in pairs], 1)
    return [
        run.write_file("samples", "samples.jsonl", lines.encode()),
        run.write_file("highlights", "highlights.json", highlights.encode()),
        run.write_file("measurements", "measurements.json", _json(measured.to_json(), 1).encode()),
    ]


# ------------------------------------------------------------------------- collecting


def _check_prompts(prompts: Sequence[PromptRow]) -> None:
    if len({row.id for row in prompts}) < len(prompts):
        raise UserError("prompts: two rows share an id; every prompt needs its own.")
    if len({row.group or row.id for row in prompts}) < 2:
        raise UserError("prompts: an interval needs prompts of at least two groups.")


def _policies(run: Run[EvaluatePolicyConfig]) -> dict[str, LoadedModel]:
    """The policies by name; inputs with the same digest share one loaded model."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    by_digest: dict[str, LoadedModel] = {}
    for name in POLICIES:
        path, digest = run.input(name), input_sha(run, name)
        if digest not in by_digest:
            by_digest[digest] = policy_load_path(path)
            by_digest[digest].model.to(device)
    return {name: by_digest[input_sha(run, name)] for name in POLICIES}


def _draw(
    run: Run[EvaluatePolicyConfig],
    policies: Mapping[str, LoadedModel],
    prompts: Sequence[PromptRow],
) -> dict[str, list[DrawnCompletion]]:
    """Every side draws for itself, the same weights too: only so can an A/A test fail."""
    drawn = {}
    for step, (name, policy) in enumerate(policies.items(), start=1):
        run.check_cancel()
        drawn[name] = completions_draw(
            policy,
            prompts,
            sampling=run.config.sampling,
            samples_per_prompt=run.config.samples_per_prompt,
            max_prompt_tokens=run.config.max_prompt_tokens,
            seed=run.spec.seed,
        )
        run.emit("sample", step, STEPS, message=_drawn_words(name, drawn[name], run.config))
    return drawn


def _drawn_words(
    name: str, completions: Sequence[DrawnCompletion], config: EvaluatePolicyConfig
) -> str:
    cut = sum(completion.prompt_cut for completion in completions)
    words = f"{len(completions)} completions of the {name}."
    if not cut:
        return words
    limit = config.max_prompt_tokens
    return f"{words} The prompts of {cut} were cut to max_prompt_tokens ({limit}): raise it."


def _divergence(
    run: Run[EvaluatePolicyConfig],
    policies: Mapping[str, LoadedModel],
    completions: Sequence[DrawnCompletion],
) -> dict[str, FloatArray]:
    run.check_cancel()
    kl = {
        name: sequence_kl(
            policies["candidate"],
            policies[name],
            completions,
            temperature=run.config.sampling.temperature,
            batch_size=run.config.scoring_batch_size,
        )
        for name in ("reference", "incumbent")
    }
    run.emit("divergence", 4, STEPS, {"kl_reference": float(kl["reference"].mean())})
    return kl


def _scorers(run: Run[EvaluatePolicyConfig]) -> Scorers:
    run.check_cancel()
    device, pool = torch.device("cuda" if torch.cuda.is_available() else "cpu"), BasePool()
    return Scorers(
        reward_model_load(run.input(REWARD_MODELS[0]), device=device, pool=pool),
        reward_model_load(run.input(REWARD_MODELS[1]), device=device, pool=pool),
    )


def _score(
    run: Run[EvaluatePolicyConfig],
    drawn: Mapping[str, Sequence[DrawnCompletion]],
    rows: Sequence[PromptRow],
    scorers: Scorers,
) -> dict[str, Side]:
    size = run.config.scoring_batch_size
    sides = {name: side_score(c, rows, scorers, size) for name, c in drawn.items()}
    run.emit("score", 5, STEPS, message="Scored by both reward models.")
    return sides


# ---------------------------------------------------------------------------- writing


def _sample_lines(evidence: Evidence) -> list[dict[str, Any]]:
    counts: dict[str, int] = {}
    lines = []
    for i, row in enumerate(evidence.rows):
        sample = counts[row.id] = counts.get(row.id, -1) + 1
        head = {
            "prompt_id": row.id,
            "group": row.group or row.id,
            "messages": list(row.messages),
            "sample": sample,
        }
        sides = {name: _side_json(evidence, name, i) for name in evidence.sides}
        lines.append({**head, **sides})
    return lines


def _side_json(evidence: Evidence, name: str, i: int) -> dict[str, Any]:
    side = evidence.sides[name]
    completion = side.completions[i]
    scores = {"train": float(side.train[i]), "held_out": float(side.held_out[i])}
    if side.spread is not None:
        scores["ensemble_std"] = float(side.spread[i])
    document = {
        "text": completion.text,
        "tokens": len(completion.tokens),
        "ended": completion.ended,
        "seed": completion.seed,
        "scores": scores,
    }
    if name == "candidate":
        document["kl"] = {to: float(values[i]) for to, values in evidence.kl.items()}
    return document


def _json(value: Any, indent: int | None) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n"


def _headline(measured: PolicyMeasurements) -> dict[str, float | None]:
    return {
        "train_gain": measured.train_gain.estimate,
        "held_out_gain": measured.held_out_gain.estimate,
        "kl_reference": measured.kl["reference"].estimate,
        "length_ratio": measured.length_ratio.estimate,
    }


if __name__ == "__main__":
    sys.exit(main())
