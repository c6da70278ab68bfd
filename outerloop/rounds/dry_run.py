"""What a start of a round would do now, and what stands in its way or weakens it."""

from __future__ import annotations

from dataclasses import dataclass

from annotation import facade as annotation
from annotation.contracts import PromptWear
from evaluation import facade as evaluation
from training.contracts import ContractError

from .models import PolicyLine
from .plan import optimizer_words
from .selectors import active_round, fresh_labels, line_plan
from .suites import suites_attached, suites_words

CANDIDATES = {"trained": "a newly trained policy", "incumbent": "the deployed policy itself"}
STARTS = {"base": "the base policy", "incumbent": "the deployed policy"}


@dataclass(frozen=True)
class StartCheck:
    """Whether a round could start now, and if not, why; `facts` are what a dry run shows, `notes`
    sentences on what a start would suffer from."""

    reasons: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        return not self.reasons


def start_check(*, line: PolicyLine, forced: bool = False) -> StartCheck:
    """What stands in the way of a round now. `forced` leaves the minimum of new labels aside."""
    fresh = fresh_labels(line)
    reasons = _reasons(line, fresh, forced)
    try:
        plan = line_plan(line)
    except ContractError as error:
        return StartCheck((*reasons, f"The plan is not valid: {error}"), ())
    labels, wear = evaluation.label_budget(line.id).labels, annotation.prompt_wear(line_id=line.id)
    facts = (
        ("New labels", str(fresh)),
        ("Candidate", CANDIDATES[plan.candidate]),
        ("Training starts from", STARTS[plan.init]),
        ("Reward models", f"{plan.reward_model.members}, and the held-out one"),
        ("Policy trained by", optimizer_words(plan)),
        ("Evaluation prompts", f"{wear.prompts:,}, of which {wear.fresh:,} are fresh"),
        ("Labels for the gate", f"{labels:,} at most"),
        ("Suites", suites_words(suites_attached(line))),
        ("A promotion", "is deployed at once" if line.deploys_by_itself else "waits for a lead"),
    )
    notes = (evaluation.prompts_short(line.id), _worn(wear, labels))
    return StartCheck(tuple(reasons), facts, tuple(note for note in notes if note))


def _reasons(line: PolicyLine, fresh: int, forced: bool) -> list[str]:
    reasons = []
    running = active_round(line)
    if running is not None:
        reasons.append(f"{running} is still active ({running.get_state_display().lower()}).")
    if line.base_version is None or evaluation.deployed_version(line.id) is None:
        reasons.append("The line has no base policy; set one first.")
    if fresh < line.minimum_fresh_labels and not forced:
        reasons.append(
            f"{fresh} new labels since the last round; {line.minimum_fresh_labels} are needed."
        )
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
