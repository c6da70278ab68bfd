"""The steps that change the world: deployment, and the pairs that the deployed policy writes next."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from annotation import facade as annotation
from annotation.contracts import NewPair
from evaluation import facade as evaluation
from outerloop.rounds.canaries import candidate_deploy
from outerloop.rounds.models import State
from outerloop.rounds.selection import Chosen, chosen_words, pairs_choose
from outerloop.rounds.steps.context import (
    Move,
    StepContext,
    StepFailed,
    Wait,
    completion_new,
    prompts_file,
    step_run,
    version_input,
)
from training import facade as training


def deploy(context: StepContext) -> Move | Wait:
    """Move the line's pointer: one row, one transaction; or let the candidate answer a share of the users
    first, which moves nothing. The policy server follows either."""
    if context.round.candidate is None:
        raise StepFailed("There is no candidate to deploy.")
    other = evaluation.canary_running(context.line.id)
    if other is not None and other.round_id != context.round.id:
        return Wait("A canary is under way: a lead widens it or takes it back first.")
    training.model_version_verify(context.round.candidate)
    done = candidate_deploy(context.round, actor="round")
    training.model_version_retain(version_id=context.round.candidate, reason="deployed")
    version = training.model_version_get(context.round.candidate)
    return Move(
        State.SAMPLING_PAIRS,
        read=(f"{version.name} {version.sha256}",),
        wrote=(done.wrote,),
        note=done.note,
    )


def sample_pairs(context: StepContext) -> Move:
    """The deployed policy writes the next pairs to compare, whatever the verdict was; or the next answers to
    rank, where the line has an open campaign that ranks as many as are sampled for each prompt."""
    if context.plan.next_pairs == 0:
        return Move(State.CLOSED, note="No next pairs were ordered.")
    deployed = evaluation.deployed_version(context.line.id)
    if deployed is None:
        raise StepFailed("The line has no deployed policy to write the next pairs.")
    policy = version_input(deployed, "deployed policy")
    ranks = annotation.campaign_ranking_id(
        line_id=context.line.id, answers=context.plan.sampling.completions_per_prompt
    )
    # Which of the prompts are ranked is not chosen by scores: all that are sampled are.
    wanted = int(context.plan.next_pairs * (1 if ranks else context.plan.oversample))
    prompts = prompts_file(
        context,
        f"next-prompts-{wanted}.jsonl",
        splits=("train", "validation", "test"),
        limit=wanted,
    )
    inputs = {"policy": policy, "prompts": prompts}
    if context.round.reward_model is not None:
        inputs["reward_model"] = version_input(context.round.reward_model, "reward model")
    run = step_run(
        context,
        kind="sample_pairs",
        config=context.plan.sampling,
        inputs=inputs,
        minutes=context.plan.time_limits.sampling,
    )
    rows = list(_completions(run))
    chosen = pairs_choose(
        rows,
        wanted=context.plan.next_pairs,
        strategy="random" if ranks else context.plan.selection,
        random_share=context.plan.random_share,
        seed=context.seed,
    )
    created = annotation.comparisons_create(
        line_id=context.line.id,
        purpose="training",
        pairs=_pairs(context, chosen, deployed, whole=ranks is not None),
        round_id=context.round.id,
        campaign_id=ranks,
    )
    return Move(
        State.CLOSED,
        read=(f"policy {policy.sha256}", f"prompts {prompts.sha256}"),
        wrote=(f"{created} comparisons",),
        note=_note(created, chosen, ranked=ranks is not None),
    )


def _note(created: int, chosen: list[Chosen], *, ranked: bool) -> str:
    if ranked:
        return f"{created} new prompts wait to be ranked."
    how = f", chosen {chosen_words(chosen)}" if chosen else ""
    return f"{created} new pairs wait for labels{how}."


def _completions(run: training.RunRecord) -> Iterator[dict[str, Any]]:
    path = training.input_local(training.input_from_run(run, "completions"))
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _pairs(
    context: StepContext, chosen: list[Chosen], deployed: UUID, *, whole: bool
) -> Iterator[NewPair]:
    """The chosen two completions of each prompt, or the `whole` of them."""
    version = training.model_version_get(deployed)
    sampling = context.plan.sampling.sampling.to_json()
    for item in chosen:
        texts = item.row["completions"]
        shown = texts if whole else [texts[side] for side in item.sides]
        yield NewPair(
            prompt_id=UUID(item.row["prompt_id"]),
            completions=tuple(completion_new(text, version, sampling) for text in shown),
            strategy=item.strategy,
            probability=item.probability,
        )
