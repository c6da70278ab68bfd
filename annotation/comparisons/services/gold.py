"""Gold items: pairs whose answer is known, shown once to every rater of a campaign.

Nothing is learned from them and no gate counts them. One that has been shown never changes: to edit is to
retire it and to make another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone

from annotation.campaigns.models import Campaign
from annotation.comparisons import digests
from annotation.comparisons.gold import GOLD_TAG, gold_items
from annotation.comparisons.models import (
    Assignment,
    AssignmentState,
    Comparison,
    Completion,
    Prompt,
    Purpose,
    Slot,
    Split,
)
from annotation.contracts import AnnotationError, NewPrompt

from .material import completions_ensure, prompts_ensure, queue_key, slots_for

# A gold item is for every rater once; the column's largest number stands for "no limit".
GOLD_PLACES = 32_767


class GoldKnown(AnnotationError):
    """The pair is a gold item of the campaign already."""


@transaction.atomic
def gold_item_write(
    *,
    campaign: Campaign,
    messages: Sequence[Mapping[str, str]],
    texts: tuple[str, str],
    gold_value: int,
    tolerance: int | None = None,
    explanation: str = "",
) -> Comparison:
    """A gold item on a prompt of its own, or on one that the line has.

    Raises `AnnotationError` as `gold_item_create` does.
    """
    new = NewPrompt(messages=tuple(messages), source="gold", tags=(GOLD_TAG,), split=Split.TRAIN)
    (prompt,) = prompts_ensure(line_id=campaign.line, prompts=[new])
    return gold_item_create(
        campaign=campaign,
        prompt=prompt,
        texts=texts,
        gold_value=gold_value,
        tolerance=tolerance,
        explanation=explanation,
    )


@transaction.atomic
def gold_item_create(
    *,
    campaign: Campaign,
    prompt: Prompt,
    texts: tuple[str, str],
    gold_value: int,
    tolerance: int | None = None,
    explanation: str = "",
) -> Comparison:
    """A pair whose answer is known: `gold_value` in slot order, right within `tolerance` steps.

    Raises `AnnotationError` for two equal answers and a prompt that is kept for judging candidates, and
    `GoldKnown` for a pair that is a gold item of the campaign already.
    """
    _check_material(prompt, texts)
    return _gold_made(
        campaign=campaign,
        prompt=prompt,
        completions=completions_ensure(texts=[(prompt, text) for text in texts]),
        gold_value=gold_value,
        tolerance=tolerance,
        explanation=explanation,
    )


def _gold_made(
    *,
    campaign: Campaign,
    prompt: Prompt,
    completions: Sequence[Completion],
    gold_value: int,
    tolerance: int | None,
    explanation: str,
) -> Comparison:
    if campaign.ranks:
        raise AnnotationError(
            f"{campaign.name} ranks {campaign.answers} answers: gold items compare two, and are for campaigns"
            " of pairs."
        )
    digest = digests.pair_digest(prompt.digest, [c.text_sha256 for c in completions])
    if gold_items(campaign=campaign).filter(pair_digest=digest).exists():
        raise GoldKnown("This pair is a gold item of the campaign already; edit that one.")
    comparison = Comparison(
        campaign=campaign,
        prompt=prompt,
        purpose=Purpose.GOLD,
        pair_digest=digest,
        queue_key=queue_key(digest, Purpose.GOLD),
        wanted=GOLD_PLACES,
        gold_value=gold_value,
        gold_tolerance=tolerance,
        gold_explanation=explanation.strip(),
        strategy="gold",
    )
    comparison.full_clean()
    comparison.save(force_insert=True)
    Slot.objects.bulk_create(slots_for(comparison, completions))
    return comparison


@transaction.atomic
def gold_item_of_pair(
    *,
    comparison: Comparison,
    gold_value: int,
    tolerance: int | None = None,
    explanation: str = "",
) -> Comparison:
    """A gold item of the two completions of a training pair; the pair itself stays as it is."""
    if comparison.purpose != Purpose.TRAINING:
        raise AnnotationError("Only a training pair can be made gold: others decide or measure.")
    return _gold_of_same(
        comparison, gold_value=gold_value, tolerance=tolerance, explanation=explanation
    )


@transaction.atomic
def gold_item_retire(*, comparison: Comparison) -> None:
    """Show the gold item to nobody else; the answers to it still count as they did.

    Leases end, and what is still sent in for them is kept as surplus.
    """
    row = _gold_locked(comparison)
    Assignment.objects.filter(comparison=row, state=AssignmentState.LEASED).update(
        state=AssignmentState.EXPIRED, lease_expires_at=None
    )
    row.closed_at, row.leased = timezone.now(), 0
    row.save(update_fields=["closed_at", "leased"])


@transaction.atomic
def gold_item_replace(
    *,
    comparison: Comparison,
    gold_value: int,
    tolerance: int | None = None,
    explanation: str = "",
) -> Comparison:
    """Retire the gold item and make another of the same texts; who has answered is not asked again."""
    gold_item_retire(comparison=comparison)
    return _gold_of_same(
        comparison, gold_value=gold_value, tolerance=tolerance, explanation=explanation
    )


def _gold_locked(comparison: Comparison) -> Comparison:
    row = Comparison.objects.select_for_update().get(pk=comparison.pk)
    if row.purpose != Purpose.GOLD:
        raise AnnotationError("This pair is no gold item.")
    if row.closed_at is not None:
        raise AnnotationError("This gold item was retired already.")
    return row


def _check_material(prompt: Prompt, texts: tuple[str, str]) -> None:
    if not all(text.strip() for text in texts):
        raise AnnotationError("A gold item compares two answers: write both.")
    if texts[0] == texts[1]:
        raise AnnotationError("The two answers are the same: nobody could tell them apart.")
    if prompt.split == Split.EVALUATION:
        raise AnnotationError(
            "This prompt is kept for judging candidates, which people must not have seen before;"
            " use another."
        )


def _gold_of_same(comparison: Comparison, **known: Any) -> Comparison:
    """A gold item of the pair's own completions: what is cut off or names its maker is so there too."""
    slots = comparison.slots.select_related("completion").order_by("position")
    completions = [slot.completion for slot in slots]
    first, second = (completion.text for completion in completions)
    _check_material(comparison.prompt, (first, second))
    return _gold_made(
        campaign=comparison.campaign, prompt=comparison.prompt, completions=completions, **known
    )
