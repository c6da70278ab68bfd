"""How blind a campaign's comparisons are: how often its answers name what wrote them, and what is hidden."""

from __future__ import annotations

from dataclasses import dataclass

from annotation.campaigns.models import Campaign

from .identity import names_hidden, names_read
from .models import Comparison, Slot

NEWEST = (
    500  # pairs that are looked through: each answer is read anew, by the rules and names of now
)


@dataclass(frozen=True)
class HiddenNames:
    """Of the answers of the newest `pairs` pairs: `naming` have a name to hide, `spans` names in all.
    `one_sided` pairs have one in one answer alone, which a rater may take as a sign."""

    pairs: int
    answers: int
    naming: int
    spans: int
    one_sided: int


def hidden_names(*, campaign: Campaign) -> HiddenNames:
    newest = Comparison.objects.filter(campaign=campaign).order_by("-created_at", "pk")[:NEWEST]
    pairs = list(newest.values_list("pk", flat=True))
    rows = Slot.objects.filter(comparison__in=pairs).values_list(
        "comparison_id", "completion__text", "completion__artifact_sha256"
    )
    listed = names_read(campaign.hidden_names)
    found = [(pair, len(names_hidden(text, (sha,), listed))) for pair, text, sha in rows]
    naming = [pair for pair, count in found if count]
    return HiddenNames(
        pairs=len(pairs),
        answers=len(found),
        naming=len(naming),
        spans=sum(count for _, count in found),
        one_sided=sum(naming.count(pair) == 1 for pair in set(naming)),
    )
