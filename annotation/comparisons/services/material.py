"""Take in prompts, completions and pairs, each only once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID, uuid4, uuid5

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from annotation.campaigns.models import Campaign
from annotation.comparisons import digests
from annotation.comparisons.copying import rows_copy_missing
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
    Split,
)
from annotation.contracts import AnnotationError, NewCompletion, NewPair, NewPrompt

from .overlap import overlap_sampled
from .roots import prompt_roots

BATCH = 500
_PROMPT_COLUMNS = tuple(field.attname for field in Prompt._meta.concrete_fields)
_PROMPT_VALUES = attrgetter(*_PROMPT_COLUMNS)


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
    roots = prompt_roots(line_id=line_id, prompts=prompts)
    keys = [digests.prompt_digest(p.messages, r) for p, r in zip(prompts, roots, strict=True)]
    splits = _root_splits(line_id, dict(zip(roots, prompts, strict=True)), shares)
    stored = _prompts_by_digest(line_id, keys)
    missing = {
        key: (prompt, root)
        for prompt, root, key in zip(prompts, roots, keys, strict=True)
        if key not in stored
    }
    rows = {
        key: _prompt_row(line_id, prompt, root, key, splits[root])
        for key, (prompt, root) in missing.items()
    }
    records = {key: _PROMPT_VALUES(row) for key, row in rows.items()}
    stored |= rows | dict(
        rows_copy_missing(Prompt, _PROMPT_COLUMNS, records, partial(_prompts_by_digest, line_id))
    )
    for row in rows.values():
        row._state.adding, row._state.db = False, connection.alias
    return [stored[key] for key in keys]


class StoredText(NamedTuple):
    """A completion by its key and the hash of its text."""

    id: UUID
    sha256: str


def texts_ensure(
    *, texts: Sequence[tuple[UUID, str]], fresh_prompts: Collection[UUID] = ()
) -> list[StoredText]:
    """Imported completions of prompts (by their keys), in the order given: one for the same text of the same
    prompt. Those of `fresh_prompts`, which were made just now, are not looked for."""
    keys = [(prompt, digests.text_digest(text)) for prompt, text in texts]
    stored = _completions_by_key([key for key in keys if key[0] not in fresh_prompts])
    records = {
        key: (uuid4(), *key, text)
        for key, (_, text) in zip(keys, texts, strict=True)
        if key not in stored
    }
    columns = ("id", "prompt_id", "text_sha256", "text")
    meanwhile = rows_copy_missing(Completion, columns, records, _completions_by_key)
    for key, (pk, *_) in records.items():
        stored[key] = meanwhile.get(key) or StoredText(pk, key[1])
    return [stored[key] for key in keys]


def completions_ensure(*, texts: Sequence[tuple[Prompt, str]]) -> list[Completion]:
    """The same as rows."""
    stored = texts_ensure(texts=[(prompt.pk, text) for prompt, text in texts])
    rows = Completion.objects.in_bulk([text.id for text in stored])
    return [rows[text.id] for text in stored]


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
    for training it is left out, as is a ranking in which a text stands twice. Of a gate's pairs one rater gets
    `most_per_rater`. A campaign that ranks takes as many completions of each prompt as it ranks, for training
    alone.
    """
    if purpose not in (Purpose.TRAINING, Purpose.GATE):
        raise AnnotationError(f"Pairs are for training or gate, not for {purpose!r}.")
    if campaign.ranks and purpose == Purpose.GATE:
        raise AnnotationError(
            f"The campaign {campaign.name} ranks {campaign.answers} answers of each prompt; a gate compares"
            " two: name a campaign of pairs."
        )
    if campaign.converses and purpose == Purpose.GATE:
        raise AnnotationError(
            f"In the campaign {campaign.name} people write to the policy themselves: gate pairs go to a campaign"
            " of pairs."
        )
    if purpose == Purpose.GATE:
        _gate_queue_ensure(campaign, round_id, most_per_rater)
    else:
        pairs = (pair for pair in pairs if not _same_text(pair))
    return sum(
        _batch_create(campaign, purpose, batch, round_id, source) for batch in _batched(pairs)
    )


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
    """Put the unfinished gate pairs of a round that goes on back in the queue; returns how many: none
    where its labels were released to training, for then it has decided."""
    if not GateQueue.objects.filter(round_id=round_id, released_at=None).update(closed_at=None):
        return 0
    return Comparison.objects.filter(
        round_id=round_id, purpose=Purpose.GATE, closed_at__isnull=False, judged__lt=F("wanted")
    ).update(closed_at=None)


def queue_key(pair_digest: str, purpose: str) -> float:
    return digests.uniform("queue", purpose, pair_digest)


def places_wanted(campaign: Campaign, purpose: str, pair_digest: str) -> int:
    """Gate pairs are judged once; others by the campaign's overlap, a drawn share by more people."""
    if purpose == Purpose.GATE:
        return 1
    if overlap_sampled(campaign, pair_digest):
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
    return len({completion.text for completion in pair.completions}) < len(pair.completions)


@transaction.atomic
def _batch_create(
    campaign: Campaign, purpose: str, pairs: list[NewPair], round_id: UUID | None, source: str
) -> int:
    prompts = Prompt.objects.filter(line=campaign.line).in_bulk([p.prompt_id for p in pairs])
    for pair in pairs:
        if len(pair.completions) != campaign.answers:
            raise AnnotationError(
                f"The campaign {campaign.name} {'ranks' if campaign.ranks else 'compares'}"
                f" {campaign.answers} answers of each prompt; here are {len(pair.completions)} of the"
                f" prompt {pair.prompt_id}."
            )
        if pair.prompt_id not in prompts:
            raise AnnotationError(f"The line {campaign.line} has no prompt {pair.prompt_id}.")
        if purpose == Purpose.TRAINING and prompts[pair.prompt_id].split == Split.EVALUATION:
            raise AnnotationError(
                f"The prompt {pair.prompt_id} is kept for evaluation, so that a label on it would never"
                " train: take a prompt of another split for a pair to learn from."
            )
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
    known = _splits_by_root(line_id, roots)
    fresh = {
        root: str(prompt.split or digests.split_drawn(root, shares))
        for root, prompt in roots.items()
        if root not in known
    }
    records = {root: (line_id, root, split) for root, split in fresh.items()}
    meanwhile = rows_copy_missing(
        RootSplit, ("line", "root_hash", "split"), records, partial(_splits_by_root, line_id)
    )
    return {**known, **fresh, **meanwhile}


def _splits_by_root(line_id: UUID, roots: Collection[str]) -> dict[str, str]:
    rows = RootSplit.objects.filter(line=line_id, root_hash__in=list(roots))
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


def _prompts_by_digest(line_id: UUID, keys: Collection[str]) -> dict[str, Prompt]:
    rows = Prompt.objects.filter(line=line_id, digest__in=set(keys))
    return {row.digest: row for row in rows}


def _completions_by_key(
    keys: Collection[tuple[UUID, str]],
) -> dict[tuple[UUID, str], StoredText]:
    if not keys:
        return {}
    rows = Completion.objects.filter(
        prompt__in={prompt for prompt, _ in keys},
        text_sha256__in={digest for _, digest in keys},
        model_version__isnull=True,
    )
    return {
        (prompt, digest): StoredText(key, digest)
        for key, prompt, digest in rows.values_list("pk", "prompt_id", "text_sha256")
    }


def _batched(pairs: Iterable[NewPair]) -> Iterator[list[NewPair]]:
    source = iter(pairs)
    while batch := list(islice(source, BATCH)):
        yield batch
