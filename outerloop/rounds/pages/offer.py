"""What a line can do next, and, where that is nothing, why and what would change it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from annotation import facade as annotation
from outerloop.rounds.models import PolicyLine, Round
from outerloop.rounds.selectors import line_plan
from training import facade as training
from training.contracts import ContractError

Act = Literal["", "start", "first_pairs", "plan", "set_up"]
PAIR_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Offer:
    """`says` is a sentence in words, `act` the button under it; `anyway` where a round may start with
    fewer labels than the line asks for."""

    says: str
    act: Act = ""
    anyway: bool = False


def line_offer(
    line: PolicyLine,
    *,
    running: Round | None,
    fresh: int,
    first_policy: training.RunRecord | None,
) -> Offer:
    if running is not None:
        return Offer(f"Round {running.number} is under way. This page follows it.")
    if line.base_version is None:
        return _without_base(first_policy)
    if not line.rounds.exists() and not anything_to_compare(line):
        return _first_pairs(line)
    try:
        line_plan(line)
    except ContractError as error:
        return Offer(f"The plan of the next round is not valid: {error}", act="plan")
    missing = line.minimum_fresh_labels - fresh
    if missing <= 0:
        return Offer("Enough new labels are in: a round can start.", act="start")
    anyway = fresh > 0 or line.rounds.filter(snapshot__isnull=False).exists()
    return Offer(
        f"Labels are being collected. A round can start once {line.minimum_fresh_labels} new ones"
        " are in.",
        anyway=anyway,
    )


def _without_base(first_policy: training.RunRecord | None) -> Offer:
    if first_policy is None:
        return Offer(
            "This line has no base policy yet, so there is nothing to compare: choose a model, and follow"
            " what becomes of it.",
            act="set_up",
        )
    if first_policy.state in ("pending", "running"):
        return Offer("The first policy is being trained; it then writes the first pairs.")
    if first_policy.state == "succeeded":
        return Offer("The first policy is trained; it is about to become the line's base policy.")
    return Offer("Training the first policy did not succeed; its own page below says why.")


def anything_to_compare(line: PolicyLine) -> bool:
    status = annotation.queue_status(line_id=line.id)
    return status.open_training + status.leased + status.done > 0


def any_prompts(line: PolicyLine) -> bool:
    """Whether there is a prompt that first pairs can be written on."""
    prompts = annotation.prompts_stream(line_id=line.id, splits=PAIR_SPLITS, limit=1)
    return next(iter(prompts), None) is not None


def _first_pairs(line: PolicyLine) -> Offer:
    if not any_prompts(line):
        return Offer("This line has no prompts yet: import some, then its policy can answer them.",
                     act="set_up")  # fmt: skip
    return Offer("There is nothing to compare yet: let the policy write the first pairs.",
                 act="first_pairs")  # fmt: skip
