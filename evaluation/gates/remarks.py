"""How often people flagged answers and marked parts of them in a round. Pure: no database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

import numpy as np

from annotation.contracts import GateLabel, Remark, RemarkedLabel
from evaluation.contracts import Interval, RemarkShare, RoundRemarks, SidesRemarked
from evaluation.gates.outcomes import candidate_slot
from evaluation.statistics.intervals import FloatArray, two_way_share_interval, wilson_interval

Raised = dict[tuple[str, str], Remark]


def round_remarks(
    training: Sequence[RemarkedLabel],
    gate: Sequence[GateLabel],
    *,
    candidate: UUID | None,
    incumbent: UUID,
) -> RoundRemarks | None:
    """None where nobody raised anything."""
    shares = tuple(_training_shares(training))
    sides = [
        (label, slot)
        for label in gate
        if candidate is not None
        and (slot := candidate_slot(label, candidate=candidate, incumbent=incumbent)) is not None
    ]
    by_side = tuple(_sides(sides))
    if not shares and not by_side:
        return None
    return RoundRemarks(len(training), len(sides), shares, by_side)


def _training_shares(labels: Sequence[RemarkedLabel]) -> list[RemarkShare]:
    raters, groups = [label.rater for label in labels], [label.group for label in labels]
    found = []
    for one in _raised(label.remarks for label in labels).values():
        has = np.array([_has(label.remarks, one) for label in labels], dtype=np.float64)
        share = _share(has, raters, groups)
        found.append(RemarkShare(one.kind, one.key, one.name, int(has.sum()), share))
    return sorted(found, key=lambda each: (each.kind, -each.labels, each.key))


def _sides(sides: Sequence[tuple[GateLabel, int]]) -> list[SidesRemarked]:
    raters = [str(label.rater) for label, _ in sides]
    groups = [str(label.group) for label, _ in sides]
    found = []
    for one in _raised(label.remarks for label, _ in sides).values():
        raised = [
            (_has(label.remarks, one, slot), _has(label.remarks, one, 1 - slot))
            for label, slot in sides
        ]
        ours, theirs = np.array(raised, dtype=np.float64).T
        found.append(
            SidesRemarked(
                one.kind,
                one.key,
                one.name,
                int(ours.sum()),
                int(theirs.sum()),
                _share(ours, raters, groups),
                _share(theirs, raters, groups),
                _difference(ours, theirs, raters, groups),
            )
        )
    return sorted(
        found,
        key=lambda each: (each.kind, -each.candidate_labels - each.incumbent_labels, each.key),
    )


def _raised(remarks: Iterable[Sequence[Remark]]) -> Raised:
    found: Raised = {}
    for one in (each for row in remarks for each in row):
        found.setdefault((one.kind, one.key), one)
    return found


def _has(remarks: Sequence[Remark], one: Remark, slot: int | None = None) -> bool:
    """Whether it was raised, of any answer or of that in `slot`."""
    return any(
        (each.kind, each.key) == (one.kind, one.key)
        and (slot is None or each.slot is None or each.slot == slot)
        for each in remarks
    )


def _share(values: FloatArray, raters: Sequence[str], groups: Sequence[str]) -> Interval:
    """Clustered by annotator and by prompt group; Wilson's over the labels where there is one of either alone."""
    if min(len(set(raters)), len(set(groups))) < 2:
        return wilson_interval(float(values.sum()), len(values))
    return two_way_share_interval(values, raters, groups)


def _difference(
    ours: FloatArray, theirs: FloatArray, raters: Sequence[str], groups: Sequence[str]
) -> Interval:
    """Of the two shares on the same labels, in [-1, 1]: the share interval of (1 + ours - theirs) / 2, stretched.
    Where no label tells the sides apart it is as wide as so many clusters leave it, not nothing."""
    found = _share((1 + ours - theirs) / 2, raters, groups)
    estimate, low, high = (2 * value - 1 for value in (found.estimate, found.low, found.high))
    return Interval(estimate, low, high, found.level, found.n, found.method)
