"""The pairs of a batch: found again by their digest, or made."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID, uuid4

from django.db import connection

from annotation.campaigns.models import Campaign
from annotation.comparisons import digests
from annotation.comparisons.copying import rows_copy
from annotation.comparisons.models import Comparison, Prompt, Purpose, Slot, Split
from annotation.comparisons.services.material import (
    StoredText,
    places_wanted,
    queue_key,
    texts_ensure,
)

from .records import ImportCounts, ImportRow

IN_ORDER, TURNED = [1, 2], [2, 1]


@dataclass(slots=True)
class Pair:
    """A comparison as an import meets it: `texts` are its completions in slot order; `fresh` when it is not
    stored yet, else its row is locked."""

    id: UUID
    digest: str
    prompt_id: UUID
    wanted: int
    judged: int = 0
    leased: int = 0
    external_id: str = ""
    texts: tuple[StoredText, ...] = ()
    fresh: bool = False

    def judged_once_more(self) -> None:
        """A vote from elsewhere takes a place of its own."""
        self.judged += 1
        self.wanted = max(self.wanted, self.judged + self.leased)


class PairedRow(NamedTuple):
    """A row with its prompt, its pair, and the order in which it shows the slots of the pair."""

    row: ImportRow
    prompt: Prompt
    pair: Pair
    order: list[int]


def rows_paired(
    *,
    campaign: Campaign,
    kept: Sequence[tuple[ImportRow, Prompt]],
    fresh_prompts: Collection[UUID],
    counts: ImportCounts,
) -> list[PairedRow]:
    """Find or make the pair of each row, all of which have texts. New pairs are not written yet.

    Nothing is looked for on prompts that were made just now. The order is that of the texts, whoever wrote
    them: a pair of ours has completions of a model where the file has texts.
    """
    flat = [(prompt.pk, text) for row, prompt in kept for text in row.texts or ()]
    stored = texts_ensure(texts=flat, fresh_prompts=fresh_prompts)
    couples = list(zip(stored[::2], stored[1::2], strict=True))
    keys = [
        digests.pair_digest(prompt.digest, [text.sha256 for text in couple])
        for (_, prompt), couple in zip(kept, couples, strict=True)
    ]
    older = {
        key for key, (_, prompt) in zip(keys, kept, strict=True) if prompt.pk not in fresh_prompts
    }
    pairs = _stored(campaign, older) if older else {}
    found = []
    for (row, prompt), couple, key in zip(kept, couples, keys, strict=True):
        known = key in pairs
        if not known:
            pairs[key] = _fresh(campaign, row, prompt, couple, key)
        pair = pairs[key]
        same_way = pair.texts[0].sha256 == couple[0].sha256
        counts.pairs_new += not known
        counts.pairs_aside += not known and prompt.split == Split.EVALUATION
        counts.pairs_repeated += known and same_way
        counts.pairs_reversed += known and not same_way
        counts.pairs_of_one_text += couple[0].id == couple[1].id
        found.append(PairedRow(row, prompt, pair, IN_ORDER if same_way else TURNED))
    return found


def pairs_write(*, campaign: Campaign, source: str, pairs: Collection[Pair]) -> None:
    """Write new pairs with their slots."""
    rows_copy(
        Comparison,
        (
            *("id", "campaign_id", "prompt_id", "strategy", "pair_digest", "queue_key"),
            *("wanted", "judged", "source", "external_id"),
        ),
        [
            (
                *(pair.id, campaign.pk, pair.prompt_id, "import", pair.digest),
                *(queue_key(pair.digest, Purpose.TRAINING), pair.wanted, pair.judged),
                *(source, pair.external_id),
            )
            for pair in pairs
        ],
    )
    slots = [(pair.id, n, text.id) for pair in pairs for n, text in enumerate(pair.texts, 1)]
    rows_copy(Slot, ("comparison_id", "position", "completion_id"), slots)


def places_write(pairs: Collection[Pair]) -> None:
    """Write how many places stored pairs, whose rows are locked, have by now."""
    if not pairs:
        return
    table = connection.ops.quote_name(Comparison._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} AS pair SET judged = now.judged, wanted = now.wanted"  # noqa: S608 - a name of ours
            " FROM unnest(%s::uuid[], %s::int[], %s::int[]) AS now(id, judged, wanted)"
            " WHERE pair.id = now.id",
            [
                [pair.id for pair in pairs],
                [pair.judged for pair in pairs],
                [pair.wanted for pair in pairs],
            ],
        )


def _stored(campaign: Campaign, keys: Collection[str]) -> dict[str, Pair]:
    """Pairs of the campaign by digest, their comparisons locked."""
    rows = Comparison.objects.select_for_update().filter(
        campaign=campaign,
        purpose=Purpose.TRAINING,
        round_id__isnull=True,
        pair_digest__in=keys,
    )
    fields = ("pk", "pair_digest", "prompt_id", "wanted", "judged", "leased")
    found = {row[0]: Pair(*row) for row in rows.order_by("pk").values_list(*fields)}
    slots = Slot.objects.filter(comparison__in=found).order_by("position")
    told = slots.values_list("comparison_id", "completion_id", "completion__text_sha256")
    for key, text, digest in told:
        found[key].texts += (StoredText(text, digest),)
    return {pair.digest: pair for pair in found.values()}


def _fresh(
    campaign: Campaign,
    row: ImportRow,
    prompt: Prompt,
    couple: tuple[StoredText, StoredText],
    key: str,
) -> Pair:
    """A new pair. Where the row puts the winner first, the slots are drawn. Nobody is asked about two
    equal texts, nor on an evaluation prompt, where an answer would never train."""
    turned = not row.ordered and digests.uniform("slots", key) < 0.5
    differ = couple[0].id != couple[1].id
    asks = not row.votes and differ and prompt.split != Split.EVALUATION
    return Pair(
        id=uuid4(),
        digest=key,
        prompt_id=prompt.pk,
        wanted=places_wanted(campaign, Purpose.TRAINING, key) if asks else 0,
        external_id=row.external_id,
        texts=couple[::-1] if turned else couple,
        fresh=True,
    )
