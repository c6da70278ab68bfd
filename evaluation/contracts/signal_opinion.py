"""What a reward head that learned from users' signals says: a second opinion, which decides nothing."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.contracts.intervals import Interval
from training.contracts import JsonContract

__all__ = ["SignalOpinion"]


@dataclass(frozen=True)
class SignalOpinion(JsonContract):
    """Of one round. `problem` says in a sentence why there is no head; then the figures are missing.

    `pairs` are edits and second tries with a thumb up, `votes` other thumbs, `users` who gave them, of whom the
    heaviest weighs `largest_share`. `held_out` of them were not learned from: `pairs_right` of the pairs are
    ordered as the user did, and `thumbs_told` is the chance that a text with a thumb up is scored above one with
    a thumb down, both with intervals over users, beside the same of people's reward model. `agreement` is how
    often the head and people's reward model order a pair of the round's labels alike, `labels_right` how often
    the head orders it as people did, and `labels_right_people` their own reward model, over prompts; `judged` are
    these pairs.
    """

    problem: str = ""
    pairs: int = 0
    votes: int = 0
    users: int = 0
    held_out: int = 0
    largest_share: float = 0.0
    pairs_right: Interval | None = None
    pairs_right_people: Interval | None = None
    thumbs_told: Interval | None = None
    thumbs_told_people: Interval | None = None
    judged: int = 0
    agreement: Interval | None = None
    labels_right: Interval | None = None
    labels_right_people: Interval | None = None
