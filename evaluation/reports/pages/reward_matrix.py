"""The section on reward models over rounds: what each thinks of every policy, old and new."""

from __future__ import annotations

from collections.abc import Iterator

from evaluation.contracts import RewardMatrix, RoundRecord
from evaluation.formatting import number, rounds_called
from evaluation.reports.pages.parts import Row, Table
from evaluation.reports.pages.suite_sections import SuiteSection
from evaluation.statistics.intervals import independent_difference

NOT_KEPT = "not kept"
NOT_MEASURED = (
    "Not measured: no earlier round of the line had come to a decision, the candidate has not been compared"
    " with the incumbent, an earlier release measured this round, or its plan asked for none (past_rounds 0)."
)
READING = (
    "Mean reward by round: reward model in the rows, policy in the columns, each on the evaluation prompts of"
    " the policy's round. z is on each reward model's own scale, 0 what its reference policy writes: compare"
    " along a row. Where an earlier model does not see the rise that the last row shows, the two disagree on"
    " whether the policies got better; people's win rates say who is right."
)


def reward_matrix_section(record: RoundRecord) -> SuiteSection:
    found = record.policy.reward_matrix if record.policy else None
    if found is None:
        return SuiteSection(NOT_MEASURED)
    names: dict[int | None, str] = {n: f"round {n}" for n in found.rounds}
    names[None] = f"round {record.number}"
    says = " ".join((READING, *_rises(found, record.number), *_missing(found)))
    return SuiteSection(says, (_table(found, names),))


def _table(found: RewardMatrix, names: dict[int | None, str]) -> Table:
    rows = [
        Row(
            f"Reward model of {names[model]}",
            tuple(_cell(found, model, policy) for policy in names),
        )
        for model in names
    ]
    prompts = Row("Groups of prompts", tuple(_groups(found, policy) for policy in names))
    headings = tuple(f"policy of {name}" for name in names.values())
    return Table("Reward of each round's candidate (z)", headings, (*rows, prompts))


def _cell(found: RewardMatrix, model: int | None, policy: int | None) -> str:
    reward = found.reward(model, policy)
    return NOT_KEPT if reward is None else number(reward)


def _groups(found: RewardMatrix, policy: int | None) -> str:
    return next((f"{c.reward.n:,}" for c in found.cells if c.policy == policy), NOT_KEPT)


def _rises(found: RewardMatrix, this: int) -> Iterator[str]:
    """What this round's reward model, and the oldest, say of the candidate over the oldest policy."""
    first = next((n for n in found.rounds if found.reward(None, n) is not None), None)
    if first is None:
        return
    oldest = next((n for n in found.rounds if found.reward(n, None) is not None), None)
    for model in dict.fromkeys((None, oldest)):
        now, then = found.reward(model, None), found.reward(model, first)
        if now is not None and then is not None:
            gain = number(independent_difference(now, then), "z")
            who = f"round {this if model is None else model}"
            yield f"The reward model of {who} puts this candidate {gain} above that of round {first}."


def _missing(found: RewardMatrix) -> Iterator[str]:
    models = [n for n in found.rounds if all(c.reward_model != n for c in found.cells)]
    policies = [n for n in found.rounds if all(c.policy != n for c in found.cells)]
    for things, numbers in (("reward model", models), ("samples", policies)):
        if numbers:
            noun = things if things == "samples" or len(numbers) == 1 else f"{things}s"
            yield f"The {noun} of {rounds_called(numbers)} can no longer be read: not kept by retention, or damaged."
