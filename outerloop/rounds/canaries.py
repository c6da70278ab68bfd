"""How a candidate that is let through comes before users: all of them at once, or a share of them first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from annotation import facade as annotation
from evaluation import facade as evaluation
from training import facade as training

from .locking import RoundRefused

if TYPE_CHECKING:
    from web.access import User

    from .models import Round

UNCOMPARED = (
    " Signals are off on this line: nothing will be compared, until a lead switches them on."
)


@dataclass(frozen=True)
class CandidateOut:
    """`wrote` names the row, `note` says what it means."""

    wrote: str
    note: str


def candidate_deploy(round_: Round, *, actor: User | str, reason: str = "") -> CandidateOut:
    """By the share that the approving lead chose, else by the line's setting; the gate has let it through."""
    if round_.candidate is None:
        raise RoundRefused("There is no candidate to deploy.")
    name = training.model_version_get(round_.candidate).name
    approved = evaluation.approved_share(round_.id)
    share = round_.line.canary_share if approved is None else approved
    if not share:
        deployment = evaluation.deployment_start(
            line_id=round_.line_id,
            version_id=round_.candidate,
            kind="deploy",
            round_id=round_.id,
            actor=actor,
            reason=reason,
        )
        return CandidateOut(f"deployment {deployment.id}", f"{name} is deployed.")
    canary = evaluation.canary_start(
        line_id=round_.line_id,
        version_id=round_.candidate,
        round_id=round_.id,
        share=share,
        actor=actor,
    )
    if canary.outcome:
        return CandidateOut(
            f"canary {canary.id}", f"{name} was a canary that is over; a new round may follow."
        )
    note = f"{name} answers {share}% of the users; nothing is deployed until a lead widens it."
    return CandidateOut(f"canary {canary.id}", note + _uncompared(round_))


def approval_words(round_: Round, *, approved: bool, share: int) -> str:
    """What a lead is told who has answered."""
    if not approved:
        return "The promotion is held back."
    if not share:
        return "The promotion is approved; the candidate is being deployed."
    said = f"The promotion is approved; the candidate answers {share}% of the users first."
    return said + _uncompared(round_)


def _uncompared(round_: Round) -> str:
    return "" if annotation.signals_on(round_.line_id) else UNCOMPARED
