"""What enters and leaves the annotation room: frozen dataclasses, standard library only.

The scale is 1..7 everywhere, in slot order: 1 slot 1 much better, 4 a tie, 7 slot 2 much better.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

Message = Mapping[str, str]


class AnnotationError(ValueError):
    """A request that the annotation room cannot carry out; the message says why and what to do."""


@dataclass(frozen=True)
class NewPrompt:
    """A conversation to be answered: `messages` is [{"role", "content"}, ...].

    Prompts with the same `group` stay on one side of the split; without one the group is the root
    conversation. `split` is obeyed only where the group is new to the line.
    """

    messages: tuple[Message, ...]
    source: str = ""
    external_id: str = ""
    tags: tuple[str, ...] = ()
    group: str = ""
    split: str = ""


@dataclass(frozen=True)
class NewCompletion:
    text: str
    model_version: UUID | None = None
    artifact_sha256: str = ""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    tokens: int | None = None
    ended: bool = True


@dataclass(frozen=True)
class NewPair:
    """Two completions of a stored prompt, or as many as its campaign ranks; `probability` is that of the pair
    having been selected."""

    prompt_id: UUID
    completions: tuple[NewCompletion, ...]
    strategy: str = "random"
    probability: float = 1.0


@dataclass(frozen=True)
class SnapshotRecipe:
    """Which labels, and how heavily, go into a training snapshot.

    No `campaigns` means all of the line. `weights` multiplies by campaign (id, slug or name).
    `until` is an ISO 8601 time, exclusive; ages for the half-life are counted from it, or from the
    newest label where it is absent, so that the same labels always give the same weights. With `writers`
    each row says which model versions wrote its completions, with `criteria` what was said of the other criteria.
    """

    campaigns: tuple[str, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    recency_half_life_days: float = 0.0
    until: str | None = None
    writers: bool = False
    criteria: bool = False


@dataclass(frozen=True)
class Remark:
    """What a person raised beside the preference: a flag, or a part of an answer marked with a label. `slot` counts
    from 0; None stands for all answers of the comparison."""

    kind: Literal["flag", "mark"]
    key: str
    name: str
    slot: int | None


@dataclass(frozen=True)
class RemarkedLabel:
    """One label with what was raised in it, each once; `group` is the root conversation."""

    rater: str
    group: str
    remarks: tuple[Remark, ...]


@dataclass(frozen=True)
class GateLabel:
    """The first label that counts on one gate comparison; `value` 1..7 in slot order."""

    comparison_id: UUID
    prompt_id: UUID
    group: str
    rater: str
    slot_versions: tuple[UUID | None, ...]
    value: int
    both_bad: bool
    at: datetime
    texts: tuple[str, str]
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True)
class OverlapVote:
    """One of several raters' votes on a comparison."""

    comparison_id: UUID
    group: str
    rater: str
    value: int


@dataclass(frozen=True)
class RaterSummary:
    """What one rater did: `labels` of pairs, and `rankings`, each counted once. Shares are of decided labels, times
    and marks of pairs; None where there is nothing to divide."""

    rater: str
    simulated: bool
    labels: int
    ties: int
    both_bad: int
    left_share: float | None
    median_seconds: float | None
    gold_labels: int
    gold_accuracy: float | None
    rankings: int = 0


@dataclass(frozen=True)
class RankingCount:
    """So many labels were `rankings` of this number of `answers`, from so many `raters`."""

    answers: int
    rankings: int
    raters: int


@dataclass(frozen=True)
class LabelSummary:
    """Labels of a line or round; `agreement` is between raters on decided votes, ties left out. `labels` and all
    that is said of them are of pairs; labels that came as rankings stand beside them, the fewest answers first."""

    raters: tuple[RaterSummary, ...]
    labels: int
    gate_labels: int
    ties: int
    both_bad: int
    median_seconds: float | None
    agreement: float | None
    rankings: tuple[RankingCount, ...] = ()


@dataclass(frozen=True)
class LabelShares:
    """What becomes of labels: how many `train` the reward model (`released` of them decided at a gate
    before), how many measure it (`held_out`), and how many are kept `aside`, by reason in words; as of
    `at`. `chosen` divides those that train or measure by what chose their pairs (`SELECTION_WORDS`)."""

    train: int
    released: int
    held_out: int
    aside: tuple[tuple[str, int], ...]
    at: datetime
    chosen: tuple[tuple[str, int], ...] = ()


SELECTION_WORDS: Mapping[str, str] = {
    "random": "at random",
    "disagreement": "by disagreement",
    "expected_information": "by expected information",
    "double_thompson": "by double Thompson sampling",
    "ensemble_disagreement": "by disagreement, as earlier releases measured it",
    "import": "imported",
    "gate": "for a gate",
}
"""How a pair was chosen (`Comparison.strategy`), in words that follow a number of pairs."""


@dataclass(frozen=True)
class BetterAnswers:
    """A prompt of a file with answers of which all `chosen` are better than all `rejected`.

    `by_style`: as in RM-Bench both list the same number of answers, from terse to embellished.
    """

    messages: tuple[Message, ...]
    chosen: tuple[str, ...]
    rejected: tuple[str, ...]
    subset: str = ""
    by_style: bool = False


@dataclass(frozen=True)
class QueueStatus:
    """Comparisons with a free place by purpose, live leases, labels given, raters of the last day."""

    open_training: int
    open_gate: int
    leased: int
    done: int
    annotators: int


@dataclass(frozen=True)
class LabelsReleased:
    """Of how many gates labels were let into training, how many labels that are, and how many root
    conversations were retired with them."""

    rounds: int
    labels: int
    roots: int


@dataclass(frozen=True)
class GateQueueStatus:
    open: int
    leased: int
    done: int

    def __iter__(self) -> Any:
        return iter((self.open, self.leased, self.done))


@dataclass(frozen=True)
class GateShares:
    """Of a round's gate pairs one rater gets `most_per_rater` at most (None: no limit); `spent` raters
    have had that many. `skipped` counts the pairs that somebody gave up with a reason."""

    most_per_rater: int | None
    spent: int
    skipped: int


@dataclass(frozen=True)
class PromptWear:
    """Of a line's evaluation prompts: how many there are, how many no gate has shown to anybody yet,
    and how many of the prompts asked about an earlier round had shown."""

    prompts: int
    fresh: int
    seen_before: int = 0


@dataclass(frozen=True)
class GateExclusion:
    """Labels that a lead left out of a round's gate before it had decided, or took in again (`back`)."""

    at: datetime
    labels: int
    back: bool


@dataclass(frozen=True)
class CampaignSummary:
    id: UUID
    name: str
    slug: str
    state: str
    open: int
    leased: int
    labels: int
    raters: int
    guidelines: int | None


@dataclass(frozen=True)
class CampaignGauge:
    """What monitoring reads: `open` pairs by purpose; the `recent_` ones are of the last hour."""

    line_id: UUID
    slug: str
    open: Mapping[str, int]
    leased: int
    expired: int
    recent_labels: int
    recent_seconds: float
    recent_raters: int
