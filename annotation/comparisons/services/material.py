"""Take in prompts, completions and pairs, each only once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from uuid import UUID, uuid5

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from annotation.campaigns.models import Campaign
from annotation.comparisons import digests
from annotation.comparisons.models import (
    Assignment,
    AssignmentState,
    Comparison,
    Completion,
    GateQueue,
    Prompt,
    Purpose,
    RootSplit,
    Slot,
)
from annotation.contracts import AnnotationError, NewCompletion, NewPair, NewPrompt

BATCH = 500
# A gold item is for every rater once; the column's largest number stands for "no limit".
GOLD_PLACES = 32_767


@transaction.atomic
def prompts_ensure(
    *,
    line_id: UUID,
    prompts: Sequence[NewPrompt],
    shares: digests.Shares = digests.PROMPT_SHARES,
) -> list[Prompt]:
    """The stored prompts, in the order given; those new to the line are made.

    A root that the line knows keeps its split whatever `shares` or the prompt itself say.
    """
    roots = [digests.root_hash(p.messages, p.group) for p in prompts]
    keys = [digests.prompt_digest(p.messages, r) for p, r in zip(prompts, roots, strict=True)]
    splits = _root_splits(line_id, dict(zip(roots, prompts, strict=True)), shares)
    known = set(_prompts_by_digest(line_id, keys))
    rows = {
        key: _prompt_row(line_id, prompt, root, key, splits[root])
        for prompt, root, key in zip(prompts, roots, keys, strict=True)
        if key not in known
    }
    Prompt.objects.bulk_create(rows.values(), ignore_conflicts=True, batch_size=BATCH)
    stored = _prompts_by_digest(line_id, keys)
    return [stored[key] for key in keys]


def completions_ensure(*, texts: Sequence[tuple[Prompt, str]]) -> list[Completion]:
    """Imported completions, in the order given: one row for the same text of the same prompt."""
    keys = [(prompt.pk, digests.text_digest(text)) for prompt, text in texts]
    known = _completions_by_key(keys)
    rows = {
        key: Completion(prompt=prompt, text=text, text_sha256=key[1])
        for key, (prompt, text) in zip(keys, texts, strict=True)
        if key not in known
    }
    if rows:
        Completion.objects.bulk_create(rows.values(), ignore_conflicts=True, batch_size=BATCH)
        known = _completions_by_key(keys)
    return [known[key] for key in keys]


def pairs_create(
    *,
    campaign: Campaign,
    purpose: str,
    pairs: Iterable[NewPair],
    round_id: UUID | None = None,
    source: str = "",
    most_per_rater: int | None = None,
) -> int:
    """Put pairs of stored prompts into the queue; returns how many are new there.

    Idempotent: one pair for each (round, purpose, prompt); without a round, one for each set of texts.
    Nobody is asked about a pair of one and the same text: for a gate it is kept as the tie that it is,
    for training it is left out. Of a gate's pairs one rater gets `most_per_rater`.
    """
    if purpose not in (Purpose.TRAINING, Purpose.GATE):
        raise AnnotationError(f"Pairs are for training or gate, not for {purpose!r}.")
    if purpose == Purpose.GATE:
        _gate_queue_ensure(campaign, round_id, most_per_rater)
    else:
        pairs = (pair for pair in pairs if not _same_text(pair))
    return sum(
        _batch_create(campaign, purpose, batch, round_id, source) for batch in _batched(pairs)
    )


@transaction.atomic
def gold_item_create(
    *, campaign: Campaign, prompt: Prompt, texts: tuple[str, str], gold_value: int
) -> Comparison:
    """A pair whose answer is known (`gold_value` in slot order), shown to every rater once."""
    completions = completions_ensure(texts=[(prompt, text) for text in texts])
    digest = digests.pair_digest(prompt.digest, [c.text_sha256 for c in completions])
    comparison = Comparison(
        campaign=campaign,
        prompt=prompt,
        purpose=Purpose.GOLD,
        pair_digest=digest,
        queue_key=queue_key(digest, Purpose.GOLD),
        wanted=GOLD_PLACES,
        gold_value=gold_value,
        strategy="gold",
    )
    comparison.full_clean()
    comparison.save(force_insert=True)
    Slot.objects.bulk_create(slots_for(comparison, completions))
    return comparison


@transaction.atomic
def gate_queue_close(*, round_id: UUID) -> int:
    """Take a decided round's gate pairs out of the queue; returns how many were still unfinished.

    Leases end, and what is still sent in for them is kept as surplus.
    """
    rows = Comparison.objects.select_for_update().filter(
        round_id=round_id, purpose=Purpose.GATE, closed_at__isnull=True
    )
    ids = list(rows.order_by("pk").values_list("pk", flat=True))
    unfinished = sum(c.judged < c.wanted for c in Comparison.objects.filter(pk__in=ids))
    Assignment.objects.filter(comparison__in=ids, state=AssignmentState.LEASED).update(
        state=AssignmentState.EXPIRED
    )
    Comparison.objects.filter(pk__in=ids).update(closed_at=timezone.now(), leased=0)
    GateQueue.objects.filter(round_id=round_id).update(closed_at=timezone.now())
    return unfinished


@transaction.atomic
def gate_queue_reopen(*, round_id: UUID) -> int:
    """Put the unfinished gate pairs of a round that goes on back in the queue; returns how many."""
    GateQueue.objects.filter(round_id=round_id).update(closed_at=None)
    return Comparison.objects.filter(
        round_id=round_id, purpose=Purpose.GATE, closed_at__isnull=False, judged__lt=F("wanted")
    ).update(closed_at=None)


def queue_key(pair_digest: str, purpose: str) -> float:
    return digests.uniform("queue", purpose, pair_digest)


def places_wanted(campaign: Campaign, purpose: str, pair_digest: str) -> int:
    """Gate pairs are judged once; others by the campaign's overlap, a drawn share by more people."""
    if purpose == Purpose.GATE:
        return 1
    if digests.uniform("overlap", pair_digest) < campaign.overlap_sample_share:
        return max(campaign.overlap, campaign.overlap_sample_size)
    return campaign.overlap


def slots_for(comparison: Comparison, completions: Sequence[Completion]) -> list[Slot]:
    return [
        Slot(comparison=comparison, position=position, completion=completion)
        for position, completion in enumerate(completions, 1)
    ]


def _gate_queue_ensure(
    campaign: Campaign, round_id: UUID | None, most_per_rater: int | None
) -> None:
    if round_id is None:
        raise AnnotationError("Gate pairs belong to a round; name it.")
    fresh = GateQueue(round_id=round_id, campaign=campaign, most_per_rater=most_per_rater)
    GateQueue.objects.bulk_create([fresh], ignore_conflicts=True)


def _same_text(pair: NewPair) -> bool:
    first, second = pair.completions
    return first.text == second.text


@transaction.atomic
def _batch_create(
    campaign: Campaign, purpose: str, pairs: list[NewPair], round_id: UUID | None, source: str
) -> int:
    prompts = Prompt.objects.filter(line=campaign.line).in_bulk([p.prompt_id for p in pairs])
    for pair in pairs:
        if pair.prompt_id not in prompts:
            raise AnnotationError(f"The line {campaign.line} has no prompt {pair.prompt_id}.")
    digested = {_digest(prompts[pair.prompt_id], pair): pair for pair in pairs}
    fresh = _not_yet_stored(campaign, purpose, digested, round_id)
    comparisons, completions, slots = [], [], []
    for digest, pair in fresh.items():
        prompt = prompts[pair.prompt_id]
        comparison = Comparison(
            campaign=campaign,
            prompt=prompt,
            purpose=purpose,
            strategy=pair.strategy,
            probability=pair.probability,
            pair_digest=digest,
            queue_key=queue_key(digest, purpose),
            wanted=0 if _same_text(pair) else places_wanted(campaign, purpose, digest),
            round_id=round_id,
            source=source,
        )
        texts = [completion_row(prompt, new) for new in pair.completions]
        comparisons.append(comparison)
        completions.extend(texts)
        slots.extend(slots_for(comparison, texts))
    Completion.objects.bulk_create([c for c in completions if c._state.adding])
    Comparison.objects.bulk_create(comparisons)
    Slot.objects.bulk_create(slots)
    return sum(comparison.wanted > 0 for comparison in comparisons)


def completion_row(prompt: Prompt, new: NewCompletion) -> Completion:
    if new.model_version is None:
        return completions_ensure(texts=[(prompt, new.text)])[0]
    return Completion(
        prompt=prompt,
        model_version=new.model_version,
        artifact_sha256=new.artifact_sha256,
        sampling=dict(new.sampling),
        seed=new.seed,
        text=new.text,
        text_sha256=digests.text_digest(new.text),
        tokens=new.tokens,
        ended=new.ended,
    )


def _digest(prompt: Prompt, pair: NewPair) -> str:
    return digests.pair_digest(
        prompt.digest, [digests.text_digest(c.text) for c in pair.completions]
    )


def _not_yet_stored(
    campaign: Campaign, purpose: str, digested: dict[str, NewPair], round_id: UUID | None
) -> dict[str, NewPair]:
    if round_id is None:
        rows = Comparison.objects.filter(
            campaign=campaign, round_id=None, purpose=purpose, pair_digest__in=digested
        )
        known = set(rows.values_list("pair_digest", flat=True))
        return {d: pair for d, pair in digested.items() if d not in known}
    in_round = Comparison.objects.filter(
        round_id=round_id,
        purpose=purpose,
        prompt__in=[pair.prompt_id for pair in digested.values()],
    )
    done = set(in_round.values_list("prompt_id", flat=True))
    fresh = {}
    for digest, pair in digested.items():
        if pair.prompt_id not in done:
            done.add(pair.prompt_id)
            fresh[digest] = pair
    return fresh


def _root_splits(
    line_id: UUID, roots: dict[str, NewPrompt], shares: digests.Shares
) -> dict[str, str]:
    known = dict(
        RootSplit.objects.filter(line=line_id, root_hash__in=roots).values_list(
            "root_hash", "split"
        )
    )
    fresh = [
        RootSplit(line=line_id, root_hash=r, split=p.split or digests.split_drawn(r, shares))
        for r, p in roots.items()
        if r not in known
    ]
    if not fresh:
        return known
    RootSplit.objects.bulk_create(fresh, ignore_conflicts=True, batch_size=BATCH)
    rows = RootSplit.objects.filter(line=line_id, root_hash__in=roots)
    return dict(rows.values_list("root_hash", "split"))


def _prompt_row(line_id: UUID, prompt: NewPrompt, root: str, digest: str, split: str) -> Prompt:
    """The id follows from the line and the text: seeds of completions are made from it, so that one
    seed gives the same completions wherever the line is built anew."""
    return Prompt(
        id=uuid5(line_id, digest),
        line=line_id,
        messages=[dict(m) for m in prompt.messages],
        digest=digest,
        root_hash=root,
        split=split,
        source=prompt.source,
        external_id=prompt.external_id,
        tags=list(prompt.tags),
    )


def _prompts_by_digest(line_id: UUID, keys: list[str]) -> dict[str, Prompt]:
    rows = Prompt.objects.filter(line=line_id, digest__in=set(keys))
    return {row.digest: row for row in rows}


def _completions_by_key(keys: list[tuple[UUID, str]]) -> dict[tuple[UUID, str], Completion]:
    rows = Completion.objects.filter(
        prompt__in={prompt for prompt, _ in keys},
        text_sha256__in={digest for _, digest in keys},
        model_version__isnull=True,
    )
    return {(row.prompt_id, row.text_sha256): row for row in rows}


def _batched(pairs: Iterable[NewPair]) -> Iterator[list[NewPair]]:
    source = iter(pairs)
    while batch := list(islice(source, BATCH)):
        yield batch
