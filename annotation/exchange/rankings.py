"""Ranked answers, and answers to be ranked, put into the tables: each set once, each rater's order once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

from django.utils import timezone

from annotation.accounts.models import Rater
from annotation.campaigns.models import Campaign
from annotation.comparisons import digests
from annotation.comparisons.levels import levels_turned, sides_of
from annotation.comparisons.models import (
    Assignment,
    AssignmentState,
    Comparison,
    Judgment,
    Prompt,
    Purpose,
    Slot,
    Split,
)
from annotation.comparisons.services.material import (
    StoredText,
    places_wanted,
    queue_key,
    texts_ensure,
)

from .destination import span_labels_for_import
from .raters import Intake
from .records import ImportCounts, ImportRow, Ranked, Vote
from .votes import spans_kept


def rankings_store(
    *,
    campaign: Campaign,
    intake: Intake,
    rows: Sequence[tuple[ImportRow, Prompt]],
    counts: ImportCounts,
) -> None:
    """Store rows that have `ranked`, in the caller's transaction; what was new is added to `counts`."""
    wholes = [(row, row.ranked, prompt) for row, prompt in rows if row.ranked is not None]
    flat = [(prompt.pk, text) for _, ranked, prompt in wholes for text in ranked.texts]
    stored = iter(texts_ensure(texts=flat))
    raters = _raters(campaign, intake, [ranked for _, ranked, _ in wholes], counts)
    for row, ranked, prompt in wholes:
        texts = [next(stored) for _ in ranked.texts]
        comparison, order = _comparison(campaign, intake.source, row, prompt, texts, counts)
        for vote in ranked.votes:
            new = _vote_stored(
                campaign, intake, comparison, order, raters[vote.rater], vote, counts
            )
            counts.votes_aside += new and prompt.split == Split.EVALUATION


def _raters(
    campaign: Campaign, intake: Intake, wholes: Sequence[Ranked], counts: ImportCounts
) -> dict[str, Rater]:
    started = timezone.now()
    names = {vote.rater for whole in wholes for vote in whole.votes}
    known = intake.raters.keys() & names
    everybody = intake.raters_of(campaign, names)
    raters = {name: everybody[name] for name in names}
    fresh = [r for name, r in raters.items() if name not in known and r.created_at >= started]
    counts.raters_new += len(fresh)
    return raters


def _comparison(
    campaign: Campaign,
    source: str,
    row: ImportRow,
    prompt: Prompt,
    texts: Sequence[StoredText],
    counts: ImportCounts,
) -> tuple[Comparison, list[int]]:
    """The set of answers, found again or made, its row locked; and in which slot each text of the row is. The
    slots of a new one are drawn, since places in a ranking tell."""
    key = digests.pair_digest(prompt.digest, [text.sha256 for text in texts])
    rows = Comparison.objects.select_for_update().filter(
        campaign=campaign, purpose=Purpose.TRAINING, round_id__isnull=True, pair_digest=key
    )
    found = rows.first()
    if found is not None:
        places = dict(found.slots.values_list("completion__text_sha256", "position"))
        counts.pairs_repeated += 1
        return found, [places[text.sha256] for text in texts]
    asks = row.ranked is not None and not row.ranked.votes and prompt.split != Split.EVALUATION
    made = Comparison.objects.create(
        campaign=campaign,
        prompt=prompt,
        strategy="import",
        pair_digest=key,
        queue_key=queue_key(key, Purpose.TRAINING),
        wanted=places_wanted(campaign, Purpose.TRAINING, key) if asks else 0,
        source=source,
        external_id=row.external_id,
    )
    drawn = sorted(texts, key=lambda text: digests.uniform("slots", key, text.sha256))
    Slot.objects.bulk_create(
        Slot(comparison=made, position=n, completion_id=text.id) for n, text in enumerate(drawn, 1)
    )
    counts.rankings_new += 1
    counts.pairs_aside += prompt.split == Split.EVALUATION
    return made, [drawn.index(text) + 1 for text in texts]


def _vote_stored(
    campaign: Campaign,
    intake: Intake,
    comparison: Comparison,
    order: list[int],
    rater: Rater,
    vote: Vote,
    counts: ImportCounts,
) -> bool:
    """One rater's order, turned to the slots; whether it was new. A later one of the same rater supersedes it."""
    levels = levels_turned(vote.levels, order)
    flags = _flags(vote, order)
    labels = span_labels_for_import(campaign=campaign, keys={span.label for span in vote.spans})
    key = _key(campaign, intake, comparison, vote, levels, flags)
    found = Assignment.objects.filter(comparison=comparison, rater=rater).first()
    ours = found is not None and rater.pk in intake.ours
    if ours or Judgment.objects.filter(rater=rater, idempotency_key=key).exists():
        counts.votes_known += 1
        return False
    at = vote.at or timezone.now()
    assignment = found or _assignment_made(comparison, rater, order, at)
    last = assignment.judgments.order_by("-revision").first()
    superseded = assignment.judgments.filter(active=True).update(
        active=False, superseded_at=timezone.now()
    )
    counts.votes_revised += superseded
    Judgment.objects.create(
        assignment=assignment,
        rater=rater,
        revision=last.revision + 1 if last else 1,
        both_bad=vote.both_bad,
        levels=levels,
        flags=flags,
        spans=spans_kept(vote, order, labels, counts),
        rationale=vote.rationale,
        reasons=list(vote.reasons),
        seconds=vote.seconds,
        idempotency_key=key,
        created_at=at,
    )
    counts.votes_new += 1
    counts.votes_tied += len(set(levels)) == 1
    return True


def _assignment_made(
    comparison: Comparison, rater: Rater, order: list[int], at: datetime
) -> Assignment:
    """It takes a place of its own: leased when it came in, and submitted when the order was given."""
    comparison.judged += 1
    comparison.wanted = max(comparison.wanted, comparison.judged + comparison.leased)
    comparison.save(update_fields=["judged", "wanted"])
    return Assignment.objects.create(
        id=uuid4(),
        comparison=comparison,
        rater=rater,
        shown_order=order,
        state=AssignmentState.SUBMITTED,
        submitted_at=at,
    )


def _flags(vote: Vote, order: Sequence[int]) -> list[dict[str, object]]:
    slots = {"": None, **sides_of(order)}
    parts = (flag.partition(":") for flag in vote.flags)
    return [{"key": key, "slot": slots[side]} for key, _, side in parts]


def _key(
    campaign: Campaign,
    intake: Intake,
    comparison: Comparison,
    vote: Vote,
    levels: Sequence[int],
    flags: Sequence[dict[str, object]],
) -> str:
    """The same for the same order of the same rater, the second of two in one file apart."""
    said = (
        *(levels, vote.both_bad, flags, vote.rationale, vote.reasons, vote.seconds),
        *vote.spans,
        vote.at.astimezone(UTC).isoformat() if vote.at else "",
    )
    digest = digests.sha256(
        str(campaign.pk), comparison.pair_digest, vote.rater, "ranking", *map(str, said)
    )
    return f"import-{digest}-{intake.times_seen(int(digest[:16], 16))}"
