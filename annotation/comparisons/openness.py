"""What is still open of a pair: whether its gate has decided, and whether a rater may change what they said."""

from __future__ import annotations

from django.db.models import Q
from django.utils.translation import gettext as _

from .gold import gold_missed
from .models import Assignment, AssignmentState, Purpose


def gate_undecided(path: str = "") -> Q:
    """Pairs of a gate that has not decided, and repeats of them: who has seen their answers could choose
    among them, so that they are shown to nobody. Of comparisons, or of what leads to one by `path`."""
    undecided, again = f"{path}closed_at__isnull", f"{path}repeat_of__"
    return Q(**{f"{path}purpose": Purpose.GATE, undecided: True}) | Q(
        **{
            f"{path}purpose": Purpose.REPEAT,
            f"{again}purpose": Purpose.GATE,
            f"{again}closed_at__isnull": True,
        }
    )


def fixed_why(assignment: Assignment) -> str:
    """Why the pair of this assignment is not open to its rater any more; empty while it is."""
    pair = assignment.comparison
    if pair.closed_at is not None and pair.purpose == Purpose.GOLD:
        return _("This pair is no longer asked, so that your answer can no longer be changed.")
    if pair.closed_at is not None:
        return _("A decision rests on this answer by now; it can no longer be changed.")
    answered = assignment.state == AssignmentState.SUBMITTED
    if answered and pair.campaign.gold_feedback and gold_missed(assignment):
        return _("You were told the right answer to this pair; yours stays as it was.")
    return ""
