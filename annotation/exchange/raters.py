"""Whose the imported votes are, and which of them were seen: kept over the batches of one import."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from django.db.models import Exists, OuterRef

from annotation.accounts.models import Rater
from annotation.accounts.services import imported_raters
from annotation.campaigns.models import Campaign
from annotation.comparisons.models import Assignment


@dataclass
class Intake:
    """`source` is where prompts and pairs are from; `named` the source that a person named, or "".

    `seen` counts the votes of one content, as one number of 64 bits for each: of two equal votes in one
    file the second is a vote of its own, and the same file again brings no third. `ours` are raters of this
    installation whom a file names by their pseudonym, as our own exports do.
    """

    source: str
    named: str = ""
    raters: dict[str, Rater] = field(default_factory=dict)
    seen: Counter[int] = field(default_factory=Counter)
    fresh: Counter[int] = field(default_factory=Counter)
    ours: set[UUID] = field(default_factory=set)

    def raters_of(self, campaign: Campaign, names: Iterable[str]) -> dict[str, Rater]:
        """Raters by their name in the file, the missing ones made.

        With a named source a rater is a name within it, in whatever campaign; without one, a name within
        the campaign, so that neither the file's name nor another dataset's raters matter.
        """
        wanted = set(names) - self.raters.keys()
        ours = _by_pseudonym(campaign, wanted)
        self.raters |= ours
        self.ours |= {rater.pk for rater in ours.values()}
        wanted -= ours.keys()
        if not self.named:
            self.raters |= _judged_before(campaign, wanted)
        missing = wanted - self.raters.keys()
        if missing:
            source = (self.named or campaign.slug)[:100]
            self.raters |= imported_raters(source=source, external_ids=missing)
        return self.raters

    def times_seen(self, content: int) -> int:
        """How often this import has met a vote of this content, this time included."""
        self.fresh[content] += 1
        return self.seen[content] + self.fresh[content]

    def keep(self) -> None:
        """The transaction went through."""
        self.seen.update(self.fresh)
        self.fresh.clear()

    def forget(self) -> None:
        """The transaction was rolled back, and raters that were new in it are not there."""
        self.fresh.clear()
        self.raters.clear()


def _by_pseudonym(campaign: Campaign, names: Iterable[str]) -> dict[str, Rater]:
    """Who has judged in the campaign under these pseudonyms."""
    judged = Assignment.objects.filter(rater=OuterRef("pk"), comparison__campaign=campaign)
    rows = Rater.objects.filter(Exists(judged), pseudonym__in=names)
    return {rater.pseudonym: rater for rater in rows}


def _judged_before(campaign: Campaign, names: Iterable[str]) -> dict[str, Rater]:
    """Imported raters of these names who have judged in the campaign: of two the campaign's own, else the
    older. Earlier releases kept raters by the name of their file."""
    judged = Assignment.objects.filter(rater=OuterRef("pk"), comparison__campaign=campaign)
    rows = Rater.objects.filter(
        Exists(judged), external_id__in=names, user__isnull=True, simulated=False
    )
    found: dict[str, Rater] = {}
    for rater in sorted(rows, key=lambda r: (r.source == campaign.slug, -r.created_at.timestamp())):
        found[rater.external_id] = rater
    return found
