"""What people flagged and marked in a round, beside what they preferred."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evaluation.contracts.intervals import Interval
from training.contracts import JsonContract

RemarkKind = Literal["flag", "mark"]


@dataclass(frozen=True)
class RemarkShare(JsonContract):
    """One flag, or one label of marked parts: in how many `labels`, and in what share of all of them."""

    kind: RemarkKind
    key: str
    name: str
    labels: int
    share: Interval


@dataclass(frozen=True)
class SidesRemarked(JsonContract):
    """The same of gate labels, by whose answer it was; a flag on both answers counts on both sides.

    `difference` is the candidate's share less the incumbent's.
    """

    kind: RemarkKind
    key: str
    name: str
    candidate_labels: int
    incumbent_labels: int
    candidate: Interval
    incumbent: Interval
    difference: Interval


@dataclass(frozen=True)
class RoundRemarks(JsonContract):
    """Of the `training_labels` that were new in the round and the `gate_labels` on its two policies; only what
    was raised at least once stands here."""

    training_labels: int
    gate_labels: int
    training: tuple[RemarkShare, ...] = ()
    gate: tuple[SidesRemarked, ...] = ()
