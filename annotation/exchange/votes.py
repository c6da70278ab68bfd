"""The votes of a batch: worked out in memory against what is stored, then written at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any
from uuid import UUID, uuid4

from django.db.models import Max
from django.utils import timezone

from annotation.accounts.models import Rater
from annotation.campaigns.models import OVERALL, Campaign
from annotation.comparisons import digests
from annotation.comparisons.copying import rows_copy
from annotation.comparisons.models import (
    Assignment,
    AssignmentState,
    Judgment,
    JudgmentValue,
)
from annotation.comparisons.scale import TIE, value_turned

from .destination import criteria_for_import, span_labels_for_import
from .pairs import Pair, places_write
from .raters import Intake
from .records import ImportCounts, ImportRow, Vote

Content = tuple[int, tuple[tuple[str, int], ...], bool, list[dict[str, Any]], str, str, str]


@dataclass(slots=True)
class NewJudgment:
    """A row of judgments that is not written yet."""

    id: UUID
    assignment_id: UUID
    rater_id: UUID
    revision: int
    both_bad: bool
    flags: list[dict[str, Any]]
    spans: list[dict[str, Any]]
    rationale: str
    reasons: list[str]
    seconds: float | None
    idempotency_key: str
    created_at: datetime
    active: bool = True
    superseded_at: datetime | None = None


_ASSIGNMENT = (
    *("id", "comparison_id", "rater_id", "shown_order", "state", "leased_at", "submitted_at"),
    "touched_at",
)
_JUDGMENT = tuple(NewJudgment.__slots__)


@dataclass
class VoteBook:
    """One assignment for each rater and pair; a further vote there supersedes the one before.

    `known` holds (rater, key) of votes that are stored; `revisions` and `active` (a judgment that is not
    written yet, or the key of one that is) are by assignment, `criteria` are ids by what the file calls
    them.
    """

    campaign: Campaign
    intake: Intake
    counts: ImportCounts
    criteria: dict[str, int]
    labels: frozenset[str]
    raters: dict[str, Rater]
    known: set[tuple[UUID, str]] = field(default_factory=set)
    assignments: dict[tuple[UUID, UUID], UUID] = field(default_factory=dict)
    revisions: dict[UUID, int] = field(default_factory=dict)
    active: dict[UUID, NewJudgment | UUID] = field(default_factory=dict)
    now: datetime = field(default_factory=timezone.now)
    new_assignments: list[tuple[Any, ...]] = field(default_factory=list)
    judgments: list[NewJudgment] = field(default_factory=list)
    values: list[tuple[UUID, int, int]] = field(default_factory=list)
    superseded: list[UUID] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        campaign: Campaign,
        intake: Intake,
        rows: Sequence[tuple[Pair, ImportRow]],
        counts: ImportCounts,
    ) -> VoteBook:
        """Read what is stored about the raters and pairs of these rows."""
        started = timezone.now()
        names = {vote.rater for _, row in rows for vote in row.votes}
        known = intake.raters.keys() & names
        everybody = intake.raters_of(campaign, names)
        raters = {name: everybody[name] for name in names}
        counts.raters_new = sum(
            rater.created_at >= started for name, rater in raters.items() if name not in known
        )
        asked = {key for _, row in rows for vote in row.votes for key, _ in vote.criteria}
        marked = {span.label for _, row in rows for vote in row.votes for span in vote.spans}
        book = cls(
            campaign=campaign,
            intake=intake,
            counts=counts,
            criteria=criteria_for_import(campaign=campaign, keys={OVERALL, *asked}),
            labels=span_labels_for_import(campaign=campaign, keys=marked),
            raters=raters,
        )
        stored = {pair.id for pair, row in rows if row.votes and not pair.fresh}
        if stored:
            book._read(stored)
        return book

    def _read(self, pairs: set[UUID]) -> None:
        """What these raters said of these pairs before."""
        assignments = Assignment.objects.filter(
            comparison__in=pairs, rater__in=[rater.pk for rater in self.raters.values()]
        ).annotate(last=Max("judgments__revision"))
        for key, pair, rater, last in assignments.values_list(
            "pk", "comparison_id", "rater_id", "last"
        ):
            self.assignments[pair, rater] = key
            self.revisions[key] = last or 0
        judged = Judgment.objects.filter(assignment__in=list(self.revisions))
        for key, assignment, rater, said, active in judged.values_list(
            "pk", "assignment_id", "rater_id", "idempotency_key", "active"
        ):
            self.known.add((rater, said))
            if active:
                self.active[assignment] = key

    def votes_of(self, row: ImportRow, prompt_digest: str, pair: Pair, order: list[int]) -> None:
        """Take up the votes of one row, turned to the slots of its pair."""
        for number, vote in enumerate(row.votes):
            rater = self.raters[vote.rater]
            content = _content(vote, order)
            key = self._key(pair, vote.rater, content)
            keys = [key]
            if self.known:
                keys.append(_earlier_key(row, prompt_digest, number, vote))
            if self._is_here(rater, pair) or any((rater.pk, k) in self.known for k in keys):
                self.counts.votes_known += 1
                continue
            assignment = self._assignment(pair, rater, order, vote.at or self.now)
            self._judge(assignment, rater, vote, content, key, order)
            self.counts.votes_new += 1
            self.counts.votes_tied += vote.value == TIE

    def write(self, *, stored: Sequence[Pair]) -> None:
        """Write everything; `stored` are the pairs that were there before, locked."""
        touched = {pair for _, pair, *_ in self.new_assignments}
        places_write([pair for pair in stored if pair.id in touched])
        rows_copy(Assignment, _ASSIGNMENT, self.new_assignments)
        if self.superseded:
            Judgment.objects.filter(pk__in=self.superseded).update(
                active=False, superseded_at=self.now
            )
        values = attrgetter(*_JUDGMENT)
        rows_copy(Judgment, _JUDGMENT, [values(judgment) for judgment in self.judgments])
        rows_copy(JudgmentValue, ("judgment_id", "criterion_id", "value"), self.values)

    def _is_here(self, rater: Rater, pair: Pair) -> bool:
        """Whether the vote came from here by an export: what the person said since then stands."""
        return rater.pk in self.intake.ours and (pair.id, rater.pk) in self.assignments

    def _key(self, pair: Pair, rater: str, content: Content) -> str:
        """The same for the same vote of the same rater on the same pair of the campaign, the second of two
        in one file apart."""
        digest = digests.sha256(str(self.campaign.pk), pair.digest, rater, *map(str, content))
        times = self.intake.times_seen(int(digest[:16], 16))
        return f"import-{digest}-{times}"

    def _assignment(self, pair: Pair, rater: Rater, order: list[int], at: datetime) -> UUID:
        """The rater's one assignment of this pair; a new one takes a place of its own. It was leased when
        it came in, and submitted when the vote was given."""
        place = (pair.id, rater.pk)
        found = self.assignments.get(place)
        if found is None:
            found = self.assignments[place] = uuid4()
            self.revisions[found] = 0
            self.new_assignments.append(
                (found, *place, order, AssignmentState.SUBMITTED.value, self.now, at, self.now)
            )
            pair.judged_once_more()
        return found

    def _judge(
        self,
        assignment: UUID,
        rater: Rater,
        vote: Vote,
        content: Content,
        key: str,
        order: list[int],
    ) -> None:
        earlier = self.active.get(assignment)
        if earlier is not None:
            self._supersede(earlier)
        self.revisions[assignment] += 1
        value, criteria, both_bad, flags, *_ = content
        judgment = NewJudgment(
            id=uuid4(),
            assignment_id=assignment,
            rater_id=rater.pk,
            revision=self.revisions[assignment],
            both_bad=both_bad,
            flags=flags,
            spans=spans_kept(vote, order, self.labels, self.counts),
            rationale=vote.rationale,
            reasons=list(vote.reasons),
            seconds=vote.seconds,
            idempotency_key=key,
            created_at=vote.at or self.now,
        )
        self.active[assignment] = judgment
        self.judgments.append(judgment)
        for name, step in ((OVERALL, value), *criteria):
            if name in self.criteria:
                self.values.append((judgment.id, self.criteria[name], step))
            else:
                self.counts.leave([f"criterion {name}"])

    def _supersede(self, earlier: NewJudgment | UUID) -> None:
        if isinstance(earlier, NewJudgment):
            earlier.active, earlier.superseded_at = False, self.now
        else:
            self.superseded.append(earlier)
        self.counts.votes_revised += 1


def _content(vote: Vote, order: list[int]) -> Content:
    """All that the vote says, in slot order."""
    sides = {"": None, "left": order[0], "right": order[1]}
    flags = [
        {"key": flag.partition(":")[0], "slot": sides[flag.partition(":")[2]]}
        for flag in vote.flags
    ]
    return (
        value_turned(vote.value, order),
        tuple((key, value_turned(step, order)) for key, step in vote.criteria),
        vote.both_bad,
        flags,
        # as before where there are none
        "\n".join([vote.rationale, *vote.reasons, *(repr(span) for span in vote.spans)]),
        "" if vote.seconds is None else repr(vote.seconds),
        "" if vote.at is None else vote.at.astimezone(UTC).isoformat(),
    )


def spans_kept(
    vote: Vote, order: Sequence[int], labels: Collection[str], counts: ImportCounts
) -> list[dict[str, Any]]:
    """The marks of the vote as a judgment keeps them, in slot order; one of a label that the campaign lacks is
    counted as not used."""
    counts.leave({f"label {span.label}" for span in vote.spans if span.label not in labels})
    kept = [span for span in vote.spans if span.label in labels]
    return [{**asdict(span), "slot": order[span.slot - 1]} for span in kept]


def _earlier_key(row: ImportRow, prompt_digest: str, number: int, vote: Vote) -> str:
    """The key by which earlier releases kept the vote, so that their files bring nothing twice."""
    texts = row.texts or ("", "")
    return "import-" + digests.sha256(
        prompt_digest, *texts, row.external_id, str(number), vote.rater, str(vote.value)
    )
