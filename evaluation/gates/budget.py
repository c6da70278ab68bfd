"""How many labels a round of a line may ask for, of how many people, and whether its prompts suffice."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import ceil
from uuid import UUID

from annotation import facade as annotation
from evaluation.gates.policies import gate_policy_current
from evaluation.policy import check_settings


@dataclass(frozen=True)
class LabelBudget:
    """`labels` at most, read in groups of one label each of `annotators` different people."""

    labels: int
    annotators: int

    def most_per_rater(self, pairs: int) -> int:
        """The share of one person in `pairs`, so that so many people can fill the groups."""
        return ceil(pairs / self.annotators)


def label_budget(line_id: UUID, *, as_of: datetime | None = None) -> LabelBudget:
    """By the gate policy in force (at `as_of`, the start of a round)."""
    settings = gate_policy_current(line_id, as_of=as_of).gate_settings
    thresholds = check_settings(settings)["G1"].thresholds
    return LabelBudget(settings.max_labels, int(thresholds["annotators"]))


def prompts_short(line_id: UUID, *, as_of: datetime | None = None) -> str:
    """A sentence where the line has fewer evaluation prompts than labels may be asked for; else ""."""
    budget = label_budget(line_id, as_of=as_of)
    prompts = annotation.evaluation_prompt_count(line_id=line_id)
    if prompts >= budget.labels:
        return ""
    return (
        f"The gate policy lets a round ask for {budget.labels:,} labels, one a prompt, but this line has"
        f" {prompts:,} evaluation prompts: {prompts:,} labels are the most that a round can get. Import"
        " more prompts, or lower the number."
    )
