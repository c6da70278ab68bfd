"""From what people said of two texts to what they would say at equal length. Pure: no database."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from annotation.contracts import GateLabel
from evaluation.contracts import LengthControl
from evaluation.gates.outcomes import Outcome, candidate_slot
from evaluation.statistics.controlled import length_control
from evaluation.statistics.style import style_differences


def equal_length(
    outcomes: Sequence[Outcome], labels: Sequence[GateLabel], *, candidate: UUID, incumbent: UUID
) -> LengthControl | None:
    """G2's and G10's evidence from the outcomes on texts that differ; None where it does not suffice.

    One text beside itself is a tie by construction and says nothing of people at equal length.
    """
    texts = _texts(labels, candidate=candidate, incumbent=incumbent)
    told = [o for o in outcomes if texts[o.prompt_id][0] != texts[o.prompt_id][1]]
    if not told:
        return None
    return length_control(
        [outcome.value for outcome in told],
        style_differences([texts[outcome.prompt_id] for outcome in told]),
        annotators=[outcome.rater for outcome in told],
        groups=[outcome.group for outcome in told],
    )


def _texts(
    labels: Sequence[GateLabel], *, candidate: UUID, incumbent: UUID
) -> dict[str, tuple[str, str]]:
    """Prompt -> (candidate's, incumbent's) text of its first label on these two versions."""
    found: dict[str, tuple[str, str]] = {}
    for label in labels:
        slot = candidate_slot(label, candidate=candidate, incumbent=incumbent)
        if slot is not None:
            found.setdefault(str(label.prompt_id), (label.texts[slot], label.texts[1 - slot]))
    return found
