"""How many labels the gate of a round asks for, on how many prompts, and what becomes of them after it."""

from __future__ import annotations

from math import ceil

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from annotation import facade as annotation
from annotation.contracts import LabelsReleased
from evaluation import facade as evaluation
from outerloop.rounds.steps.context import StepContext
from web.services import audit_record

SAME_AT_FIRST, MOST_SAME = 0.5, 0.75
SPARE = 1.1


def gate_budget(context: StepContext) -> evaluation.LabelBudget:
    return evaluation.label_budget(context.line.id, as_of=context.round.created_at)


def prompts_sampled(context: StepContext) -> int:
    """Enough that, of those on which the two policies differ, there is one for each label that the gate
    may ask for: labels / (1 - share of equal texts), and a tenth more.

    That share is the one that the line's last decided round found, between 0 and `MOST_SAME`; a line
    without one is taken to have `SAME_AT_FIRST`. Each prompt costs a completion of candidate, incumbent
    and reference, and their scores.
    """
    return _sampled(context, gate_budget(context), before=context.round.number)


def _next_sampled(context: StepContext) -> int:
    """How many the gate after this round's would sample: by the settings of now, and with what this round,
    if it has decided, found."""
    budget = evaluation.label_budget(context.line.id, as_of=timezone.now())
    return _sampled(context, budget, before=context.round.number + 1)


def _sampled(context: StepContext, budget: evaluation.LabelBudget, *, before: int) -> int:
    share = min(_same_text_share(context, before=before), MOST_SAME)
    return max(context.plan.evaluation_prompts, ceil(SPARE * budget.labels / (1 - share)))


def _same_text_share(context: StepContext, *, before: int) -> float:
    """On which share of its prompts the candidate of the last decided round wrote what its incumbent did."""
    others = context.line.rounds.filter(number__lt=before).exclude(verdict="")
    for earlier in others.exclude(candidate=F("incumbent")).order_by("-number"):
        evidence = evaluation.decided_on(earlier.id)
        if evidence is not None and evidence.policy is not None:
            return evidence.identical_pairs / evidence.policy.prompts
    return SAME_AT_FIRST


def gate_labels_release(context: StepContext) -> str:
    """Let the gate labels of the line's decided rounds into training, as its rule says; a sentence with
    how many they are, or empty. Rounds that ended without a decision keep theirs out.

    By default that needs enough fresh prompts: as many that no gate has shown as the next gate samples. It
    can then be served without a prompt of an earlier gate, so that retiring those costs no later test
    anything; with fewer, they are what the next gate would have to come back to.
    """
    if not _releases(context):
        return ""
    decided = context.line.rounds.exclude(verdict="").values_list("id", flat=True)
    with transaction.atomic():
        released = annotation.gate_labels_release(line_id=context.line.id, round_ids=set(decided))
        if not released.rounds:
            return ""
        audit_record(
            actor="round",
            verb="released gate labels",
            target=f"{context.line.slug}/{context.round.number}",
            line=context.line.id,
            detail={"labels": released.labels, "prompts": released.roots},
        )
    return _released_sentence(released)


def _released_sentence(released: LabelsReleased) -> str:
    if released.labels:
        said = f"{released.labels:,} gate labels may train from the next round on"
        return f" {said}; their prompts are retired."
    if released.roots:
        return f" No gate label counts; questions that were answered and are retired now: {released.roots:,}."
    return ""


def _releases(context: StepContext) -> bool:
    context.line.refresh_from_db(fields=["release_gate_labels"])
    if context.line.release_gate_labels != "enough":
        return context.line.release_gate_labels == "always"
    fresh = annotation.prompt_wear(line_id=context.line.id).fresh
    return fresh >= _next_sampled(context)
