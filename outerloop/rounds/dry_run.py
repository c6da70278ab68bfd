"""What a start of a round would do now, and what stands in its way or weakens it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from annotation import facade as annotation
from annotation.contracts import PromptWear
from evaluation import facade as evaluation
from training import facade as training
from training.contracts import ContractError, PpoConfig

from .locking import ARCHIVED
from .models import PolicyLine
from .plan import (
    OPTIMIZER_FIELDS,
    RoundPlan,
    jobs_words,
    optimizer_words,
    plan_override,
    programs_of,
)
from .selectors import active_round, fresh_labels, line_plan
from .suites import suites_attached, suites_words, tasks_unmeasurable

CANDIDATES = {
    "trained": "a newly trained policy",
    "incumbent": "the deployed policy itself",
    "again": "the last candidate again; its test goes on",
}
NONE_AGAIN = (
    'The plan says "candidate": "again", and no candidate may be judged again: the last gate test must have'
    " labels that showed nothing either way, and what it was compared with must still be deployed."
)
STARTS = {"base": "the base policy", "incumbent": "the deployed policy"}


@dataclass(frozen=True)
class StartCheck:
    """Whether a round could start now, and if not, why; `facts` are what a dry run shows, `notes`
    sentences on what a start would suffer from, `jobs` what a scheduler would be given."""

    reasons: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()
    jobs: tuple[training.JobPreview, ...] = ()

    @property
    def ready(self) -> bool:
        return not self.reasons


def start_check(
    *, line: PolicyLine, forced: bool = False, changes: dict[str, Any] | None = None
) -> StartCheck:
    """What stands in the way of a round now. `forced` leaves the minimum of new labels aside; `changes`
    depart from the line's plan."""
    fresh = fresh_labels(line)
    reasons = _reasons(line, fresh, forced)
    try:
        plan = line_plan(line)
        plan = plan_override(plan, changes) if changes else plan
        jobs = tuple(training.job_previews(plan.jobs, programs_of(plan)))
    except ContractError as error:
        return StartCheck((*reasons, f"The plan is not valid: {error}"), ())
    if plan.candidate == "again" and evaluation.candidate_unresolved(line.id) is None:
        reasons.append(NONE_AGAIN)
    labels, wear = evaluation.label_budget(line.id).labels, annotation.prompt_wear(line_id=line.id)
    facts = (
        ("New labels", str(fresh)),
        ("Candidate", CANDIDATES[plan.candidate]),
        ("Training starts from", STARTS[plan.init]),
        ("Reward models", f"{plan.reward_model.members}, and the held-out one"),
        ("Policy trained by", optimizer_words(plan)),
        ("Learning programs are run by", jobs_words(plan)),
        ("Evaluation prompts", f"{wear.prompts:,}, of which {wear.fresh:,} are fresh"),
        ("Labels for the gate", f"{labels:,} at most"),
        ("Suites", suites_words(suites_attached(line))),
        ("A promotion", "is deployed at once" if line.deploys_by_itself else "waits for a lead"),
    )
    notes = (evaluation.prompts_short(line.id), _worn(wear, labels), _judged_shorter(plan))
    return StartCheck(tuple(reasons), facts, tuple(note for note in notes if note), jobs)


def _reasons(line: PolicyLine, fresh: int, forced: bool) -> list[str]:
    reasons = []
    if line.archived_at is not None:
        reasons.append(ARCHIVED)
    running = active_round(line)
    if running is not None:
        reasons.append(f"{running} is still active ({running.get_state_display().lower()}).")
    if line.base_version is None or evaluation.deployed_version(line.id) is None:
        reasons.append("The line has no base policy; set one first.")
    if fresh < line.minimum_fresh_labels and not forced:
        reasons.append(
            f"{fresh} new labels since the last round; {line.minimum_fresh_labels} are needed."
        )
    unmeasurable = tasks_unmeasurable(line)
    if unmeasurable:
        reasons.append(unmeasurable)
    return reasons


def _worn(wear: PromptWear, labels: int) -> str:
    """What a round that needs more prompts than are fresh is worth; empty where it needs none."""
    if wear.fresh >= min(labels, wear.prompts):
        return ""
    return (
        f"{wear.fresh:,} of {wear.prompts:,} evaluation prompts are fresh: no gate has shown them yet. A round"
        " that needs more takes the longest unused of the others, and what it finds then holds for prompts"
        " seen before. Import more evaluation prompts."
    )


def _judged_shorter(plan: RoundPlan) -> str:
    """What a plan costs that lets the policy learn from longer prompts than it is judged on."""
    training = plan.policy_training
    measured = training if isinstance(training, PpoConfig) else training.measure
    judged = plan.evaluate_policy.max_prompt_tokens
    if plan.candidate != "trained" or measured.max_prompt_tokens <= judged:
        return ""
    setting = OPTIMIZER_FIELDS[plan.optimizer] + ("" if measured is training else ".measure")
    return (
        f"The policy learns from prompts of up to {measured.max_prompt_tokens:,} tokens, but those that it is"
        f" judged on are cut to {judged:,}. Set evaluate_policy.max_prompt_tokens in the plan"
        f" to {setting}.max_prompt_tokens."
    )
