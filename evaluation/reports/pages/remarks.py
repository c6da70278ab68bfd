"""What people flagged and marked, as tables: only where there is any."""

from __future__ import annotations

from collections.abc import Iterator

from evaluation.contracts import Interval, RemarkKind, RoundRecord
from evaluation.formatting import count, share, signed_points
from evaluation.reports.pages.parts import Row, Table
from evaluation.reports.wording import judges

KINDS: dict[RemarkKind, str] = {"flag": "Flag", "mark": "Marked part"}


def remark_tables(record: RoundRecord) -> tuple[Table, ...]:
    """Of the gate, candidate beside incumbent, and of the new training labels; none in records of before."""
    return tuple(_tables(record))


def _tables(record: RoundRecord) -> Iterator[Table]:
    found, who = record.remarks, judges(record)
    if found is None:
        return
    if found.gate:
        yield Table(
            f"What the {who} flagged and marked in {count(found.gate_labels, 'label')} of this round's gate, by whose"
            " answer it was: labels, their share, and the difference with its 95% interval. It decides nothing.",
            ("candidate", "incumbent", "difference (points)"),
            tuple(
                Row(
                    _name(each.kind, each.name),
                    (
                        _cell(each.candidate_labels, each.candidate),
                        _cell(each.incumbent_labels, each.incumbent),
                        signed_points(each.difference),
                    ),
                )
                for each in found.gate
            ),
        )
    if found.training:
        yield Table(
            f"What the {who} flagged and marked in {count(found.training_labels, 'training label')} that"
            f" {'was' if found.training_labels == 1 else 'were'} new when the round started.",
            ("labels",),
            tuple(
                Row(_name(each.kind, each.name), (_cell(each.labels, each.share),))
                for each in found.training
            ),
        )


def _name(kind: RemarkKind, name: str) -> str:
    return f"{KINDS[kind]}: {name}"


def _cell(labels: int, of_all: Interval) -> str:
    """3: 8% (2% to 20%)"""
    return f"{labels:,}: {share(of_all)}"
