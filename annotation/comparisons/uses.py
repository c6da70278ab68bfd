"""What becomes of a label: it trains, it measures the reward model, or it is kept aside, and why.

One set of rules tells it everywhere, so that what an export holds, what a page counts and what a snapshot
takes cannot differ.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping
from datetime import timedelta
from uuid import UUID

from django.core.cache import cache
from django.db.models import Case, Count, Exists, OuterRef, Q, Value, When
from django.utils import timezone

from annotation.campaigns.models import Campaign
from annotation.contracts import SELECTION_WORDS, LabelShares
from web.records import record_shape

from .exclusions import left_out, settled_pairs
from .models import GateQueue, Judgment, Purpose, RetiredRoot, Split

# Of a judgment, in the words of the pages. `LEARNED_FROM` is what a snapshot takes.
USES: Mapping[str, str] = {
    "train": "train the reward model",
    "released": "train the reward model, released by a gate that has decided",
    "held_out": "measure the reward model, on validation and test prompts",
    "gate": "for a gate, where they decide on a candidate",
    "evaluation": "on evaluation prompts, which nothing learns from",
    "same_text": "on two equal texts, which teach nothing",
    "gold": "on gold items",
    "repeat": "on repeated pairs",
    "settled": "votes on pairs that an adjudicator has settled; that answer trains in their place",
    "excluded": "left out by a lead",
    "late": "came too late to count",
    "superseded": "superseded by a later answer",
    "withdrawn": "taken back",
}
_SHAPE = record_shape(LabelShares)
LEARNED_FROM = ("train", "released", "held_out")
# Seconds: a count that takes longer than SLOW is kept for pages, which ask again every few seconds; one that
# was asked for in the last ASKED seconds and is older than OLD is counted anew by the sweep.
SLOW, OLD, ASKED, KEPT = 0.2, 120, 600, 7 * 86_400


def prompt_retired(prompt: str = "") -> Exists:
    """Whether no gate draws the prompt any more; `prompt` is the path to it, with its underscores."""
    return Exists(
        RetiredRoot.objects.filter(
            line=OuterRef(f"{prompt}line"), root_hash=OuterRef(f"{prompt}root_hash")
        )
    )


def may_train(judgment: str = "") -> Q:
    """Labels that a snapshot may take: of training pairs off the evaluation prompts, and of gate pairs
    that were released, on prompts that are retired. Whether they count at all is for the caller to say."""
    pair = f"{judgment}assignment__comparison__"
    aside = Q(**{f"{pair}prompt__split": Split.EVALUATION}) & ~prompt_retired(f"{pair}prompt__")
    released = Exists(
        GateQueue.objects.filter(round_id=OuterRef(f"{pair}round_id"), released_at__isnull=False)
    )
    training, gate = (Q(**{f"{pair}purpose": p}) for p in (Purpose.TRAINING, Purpose.GATE))
    return (training | (gate & released)) & ~aside


def label_use(judgment: str = "") -> Case:
    """A key of `USES` for each row; `judgment` is the path to the judgment, with its underscores.

    Whether the two texts of a training pair are equal is for the reader of the texts to say.
    """
    pair = f"{judgment}assignment__comparison"
    purpose, split = f"{pair}__purpose", f"{pair}__prompt__split"
    verdict = Exists(settled_pairs().filter(judgment=OuterRef(f"{judgment}pk")))
    settled = Exists(settled_pairs().filter(comparison=OuterRef(pair)))
    rules = (
        (Q(**{f"{judgment}withdrawn": True}), "withdrawn"),
        (Q(**{f"{judgment}active": False}) & ~verdict, "superseded"),
        (Q(**{f"{judgment}surplus": True}) & ~verdict, "late"),
        (Q(left_out(judgment=judgment)), "excluded"),
        (settled & ~verdict, "settled"),
        (Q(**{purpose: Purpose.GOLD}), "gold"),
        (Q(**{purpose: Purpose.REPEAT}), "repeat"),
        (Q(**{purpose: Purpose.GATE}) & ~may_train(judgment), "gate"),
        (Q(**{purpose: Purpose.GATE}), "released"),
        (~may_train(judgment), "evaluation"),
        (Q(**{f"{split}__in": (Split.TRAIN, Split.EVALUATION)}), "train"),
    )
    return Case(*(When(rule, then=Value(use)) for rule, use in rules), default=Value("held_out"))


def label_uses(*, line_id: UUID, campaigns: Collection[UUID] = ()) -> dict[str, int]:
    """How many labels of a line (or of these campaigns of it) come to which use; every label that is not
    superseded or taken back is counted once, a ranking as one label. Two equal texts are not looked for."""
    uses = Counter[str]()
    for (use, _), labels in _by_use_and_strategy(line_id, campaigns).items():
        uses[use] += labels
    return dict(uses)


def _by_use_and_strategy(line_id: UUID, campaigns: Collection[UUID]) -> dict[tuple[str, str], int]:
    rows = Judgment.objects.filter(active=True, assignment__comparison__campaign__line=line_id)
    if campaigns:
        rows = rows.filter(assignment__comparison__campaign__in=campaigns)
    counted = rows.values_list(label_use(), "assignment__comparison__strategy")
    return {
        (use, strategy): labels
        for use, strategy, labels in counted.annotate(Count("pk")).order_by()
    }


def label_shares(*, line_id: UUID, campaigns: Collection[UUID] = ()) -> LabelShares:
    """The same for a page. Of a large line the count is one of the last minutes, or of the last week where
    nobody had asked for it: the next sweep counts it anew."""
    key = _kept_as(line_id, campaigns)
    kept: LabelShares | None = cache.get(key)
    if kept is not None:
        cache.add(f"{key}-asked", 1, ASKED)
        return kept
    return _counted(key, line_id, campaigns)


def label_shares_renew() -> int:
    """Count anew what pages have asked for lately, so that nobody waits for it; returns how many were.

    For a sweep, whose workers share the counts out among them.
    """
    campaigns = list(Campaign.objects.values_list("line", "pk"))
    places: list[tuple[UUID, tuple[UUID, ...]]] = [(line, (one,)) for line, one in campaigns]
    places += [(line, ()) for line in {line for line, _ in campaigns}]
    keys = {f"{_kept_as(*place)}-asked": place for place in places}
    asked = [keys[key] for key in cache.get_many(keys)]
    kept = cache.get_many([_kept_as(*place) for place in asked])
    old = timezone.now() - timedelta(seconds=OLD)
    counted = 0
    for place in asked:
        key = _kept_as(*place)
        if key in kept and kept[key].at < old and cache.add(f"{key}-counting", 1, OLD):
            _counted(key, *place)
            counted += 1
    return counted


def _kept_as(line_id: UUID, campaigns: Collection[UUID]) -> str:
    return f"label-shares-{_SHAPE}-{line_id}-{'-'.join(sorted(map(str, campaigns)))}"


def _counted(key: str, line_id: UUID, campaigns: Collection[UUID]) -> LabelShares:
    began = time.monotonic()
    found = _shares(_by_use_and_strategy(line_id, campaigns))
    if time.monotonic() - began > SLOW:
        cache.set(key, found, KEPT)
    else:
        cache.delete(key)  # kept when it was slow: what is quick is counted at every look
    return found


def _shares(counted: Mapping[tuple[str, str], int]) -> LabelShares:
    uses, chosen = Counter[str](), Counter[str]()
    for (use, strategy), labels in counted.items():
        uses[use] += labels
        if use in LEARNED_FROM:
            chosen[SELECTION_WORDS.get(strategy, strategy)] += labels
    aside = tuple(
        (words, uses[use]) for use, words in USES.items() if use in uses and use not in LEARNED_FROM
    )
    released = uses.get("released", 0)
    return LabelShares(
        train=uses.get("train", 0) + released,
        released=released,
        held_out=uses.get("held_out", 0),
        aside=aside,
        at=timezone.now(),
        chosen=tuple(chosen.most_common()),
    )
