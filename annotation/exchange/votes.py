"""The votes of a batch: worked out in memory against what is stored, then written at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db.models import Max
from django.utils import timezone

from annotation.accounts.models import Rater
from annotation.accounts.services import imported_raters
from annotation.campaigns.models import OVERALL, Campaign
from annotation.comparisons import digests
from annotation.comparisons.models import (
    Assignment,
    AssignmentState,
    Comparison,
    Judgment,
    JudgmentValue,
)
from annotation.comparisons.scale import TIE, value_turned

from .records import ImportCounts, ImportRow, Vote


@dataclass
class VoteBook:
    """One assignment for each rater and pair; a further vote there supersedes the one before.

    `known` holds (rater, key) of votes that are stored; `revisions` and `active` are by assignment.
    """

    counts: ImportCounts
    criterion_id: int
    raters: dict[str, Rater]
    known: set[tuple[UUID, str]]
    assignments: dict[tuple[UUID, UUID], Assignment]
    revisions: dict[UUID, int]
    active: dict[UUID, Judgment]
    now: datetime = field(default_factory=timezone.now)
    new_assignments: list[Assignment] = field(default_factory=list)
    judgments: list[Judgment] = field(default_factory=list)
    values: list[JudgmentValue] = field(default_factory=list)
    superseded: list[UUID] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        campaign: Campaign,
        source: str,
        rows: Sequence[tuple[Comparison, ImportRow]],
        counts: ImportCounts,
    ) -> VoteBook:
        """Read what is stored about the raters and pairs of these rows."""
        started = timezone.now()
        names = {vote.rater for _, row in rows for vote in row.votes}
        raters = imported_raters(source=source, external_ids=names) if names else {}
        counts.raters_new = sum(rater.created_at >= started for rater in raters.values())
        stored = {c.pk for c, row in rows if row.votes and not c._state.adding}
        assignments = Assignment.objects.filter(
            comparison__in=stored, rater__in=list(raters.values())
        ).annotate(last=Max("judgments__revision"))
        by_place: dict[tuple[UUID, UUID], Assignment] = {}
        revisions: dict[UUID, int] = {}
        for assignment in assignments if stored else ():
            by_place[assignment.comparison_id, assignment.rater_id] = assignment
            revisions[assignment.pk] = assignment.last or 0
        judged = Judgment.objects.filter(assignment__in=[a.pk for a in by_place.values()])
        return cls(
            counts=counts,
            criterion_id=campaign.criteria.get(key=OVERALL).pk,
            raters=raters,
            known=set(judged.values_list("rater_id", "idempotency_key")) if by_place else set(),
            assignments=by_place,
            revisions=revisions,
            active={j.assignment_id: j for j in judged.filter(active=True)} if by_place else {},
        )

    def votes_of(
        self, row: ImportRow, prompt_digest: str, comparison: Comparison, order: list[int]
    ) -> None:
        """Take up the votes of one row, turned to the slots of its pair."""
        for number, vote in enumerate(row.votes):
            rater = self.raters[vote.rater]
            key = _vote_key(row, prompt_digest, number, vote)
            if (rater.pk, key) in self.known:
                self.counts.votes_known += 1
                continue
            self.known.add((rater.pk, key))
            assignment = self._assignment(comparison, rater, order)
            self._judge(assignment, value_turned(vote.value, order), key)
            self.counts.votes_new += 1
            self.counts.votes_tied += vote.value == TIE

    def write(self, *, stored: Sequence[Comparison]) -> None:
        """Write everything; `stored` are the comparisons that were there before, locked."""
        touched = {assignment.comparison_id for assignment in self.new_assignments}
        changed = {c.pk: c for c in stored if c.pk in touched}
        Comparison.objects.bulk_update(changed.values(), ["judged", "wanted"], batch_size=500)
        Assignment.objects.bulk_create(self.new_assignments)
        Judgment.objects.filter(pk__in=self.superseded).update(active=False, superseded_at=self.now)
        Judgment.objects.bulk_create(self.judgments)
        JudgmentValue.objects.bulk_create(self.values)

    def _assignment(self, comparison: Comparison, rater: Rater, order: list[int]) -> Assignment:
        """The rater's one assignment of this pair; a new one takes a place of its own."""
        place = (comparison.pk, rater.pk)
        found = self.assignments.get(place)
        if found is None:
            found = Assignment(
                comparison=comparison,
                rater=rater,
                shown_order=order,
                state=AssignmentState.SUBMITTED,
                leased_at=self.now,
                submitted_at=self.now,
            )
            self.assignments[place] = found
            self.revisions[found.pk] = 0
            self.new_assignments.append(found)
            comparison.judged += 1
            comparison.wanted = max(comparison.wanted, comparison.judged + comparison.leased)
        return found

    def _judge(self, assignment: Assignment, slot_value: int, key: str) -> None:
        earlier = self.active.get(assignment.pk)
        if earlier is not None:
            self._supersede(earlier)
        self.revisions[assignment.pk] += 1
        judgment = Judgment(
            assignment=assignment,
            rater_id=assignment.rater_id,
            revision=self.revisions[assignment.pk],
            idempotency_key=key,
            created_at=self.now,
        )
        self.active[assignment.pk] = judgment
        self.judgments.append(judgment)
        self.values.append(
            JudgmentValue(judgment=judgment, criterion_id=self.criterion_id, value=slot_value)
        )

    def _supersede(self, earlier: Judgment) -> None:
        if earlier._state.adding:
            earlier.active, earlier.superseded_at = False, self.now
        else:
            self.superseded.append(earlier.pk)
        self.counts.votes_revised += 1


def _vote_key(row: ImportRow, prompt_digest: str, number: int, vote: Vote) -> str:
    texts = row.texts or ("", "")
    return "import-" + digests.sha256(
        prompt_digest, *texts, row.external_id, str(number), vote.rater, str(vote.value)
    )
