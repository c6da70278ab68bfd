"""Flags and marks of a round: counted by side, with intervals, only where there is any."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from math import sqrt

import pytest

from annotation.contracts import GateLabel, Remark, RemarkedLabel
from evaluation.contracts import RoundRecord
from evaluation.gates.remarks import round_remarks
from tests.evaluation.gates.world import labels_from

NEW, OLD = uuid.UUID(int=1), uuid.UUID(int=2)
Z = 1.959963984540054


def flag(key: str, slot: int | None) -> Remark:
    return Remark("flag", key, key.capitalize(), slot)


def gate(*raised: Sequence[Remark], raters: int = 2) -> list[GateLabel]:
    """A label each, the candidate in slot 0 of the first, in slot 1 of the second, and so on."""
    labels = labels_from([1.0] * len(raised), candidate=NEW, incumbent=OLD, raters=raters)
    return [replace(label, remarks=tuple(r)) for label, r in zip(labels, raised, strict=True)]


def test_nothing_raised_is_nothing_to_tell():
    silent = [RemarkedLabel("r", "g", ())]
    assert round_remarks(silent, gate((), ()), candidate=NEW, incumbent=OLD) is None


def test_gate_labels_are_counted_by_whose_answer_was_flagged():
    labels = gate(
        [flag("unsafe", 0)],  # the candidate's
        [flag("unsafe", 0), flag("refusal", 1)],  # the incumbent's; the candidate's
        [flag("unsafe", None)],  # both
        [],
    )
    found = round_remarks([], labels, candidate=NEW, incumbent=OLD)
    assert found is not None
    assert (found.gate_labels, found.training) == (4, ())
    unsafe, refusal = found.gate
    assert (unsafe.key, unsafe.name) == ("unsafe", "Unsafe")
    assert (unsafe.candidate_labels, unsafe.incumbent_labels) == (2, 2)
    assert unsafe.difference.estimate == 0
    assert (refusal.candidate_labels, refusal.incumbent_labels) == (1, 0)
    assert refusal.candidate.estimate == refusal.difference.estimate == 0.25
    assert refusal.difference.low < 0 < refusal.difference.high


def test_labels_on_other_policies_and_without_a_candidate_are_left_out():
    labels = gate([flag("unsafe", 0)], [flag("unsafe", 0)])
    labels[0] = replace(labels[0], slot_versions=(NEW, uuid.UUID(int=3)))
    found = round_remarks([], labels, candidate=NEW, incumbent=OLD)
    assert found is not None
    assert (found.gate_labels, found.gate[0].incumbent_labels) == (1, 1)
    assert round_remarks([], labels, candidate=None, incumbent=OLD) is None


def test_the_difference_of_one_annotator_is_that_of_wilson_stretched():
    """Of four labels by one person one flags the candidate alone: Wilson of 2.5 of 4, times 2, less 1."""
    found = round_remarks(
        [], gate([flag("unsafe", 0)], [], [], [], raters=1), candidate=NEW, incumbent=OLD
    )
    assert found is not None
    p, n = 2.5 / 4, 4
    middle = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z * sqrt(p * (1 - p) / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n)
    difference = found.gate[0].difference
    assert difference.low == pytest.approx(2 * (middle - half) - 1)
    assert difference.high == pytest.approx(2 * (middle + half) - 1)


def test_training_labels_are_counted_once_however_many_answers_were_marked():
    wrong = [Remark("mark", "wrong", "Wrong fact", slot) for slot in (0, 1, 2)]
    labels = [RemarkedLabel(f"r{i % 4}", f"g{i}", ()) for i in range(18)]
    labels += [RemarkedLabel("r0", "g18", tuple(wrong)), RemarkedLabel("r1", "g19", (wrong[0],))]
    found = round_remarks(labels, [], candidate=None, incumbent=OLD)
    assert found is not None
    (mark,) = found.training
    assert (found.training_labels, mark.labels, mark.share.estimate) == (20, 2, 0.1)
    assert 0 < mark.share.low < 0.1 < mark.share.high < 1
    assert mark.share.method == "two-way cluster Wilson"


def test_a_record_with_remarks_reads_back_and_one_of_before_has_none():
    remarks = round_remarks([], gate([flag("unsafe", 0)], []), candidate=NEW, incumbent=OLD)
    begun = RoundRecord(line="x", number=1, state="CLOSED", created_at="2026-03-01T12:00:00Z")
    record = replace(begun, remarks=remarks)
    assert RoundRecord.from_json(record.to_json()) == record
    stored = begun.to_json()
    del stored["remarks"]
    assert RoundRecord.from_json(stored).remarks is None
