"""How worn a line's evaluation prompts are, and the least worn of them for the next gate.

A prompt is worn by every round whose gate has shown its pair, whatever became of that round. Gate pairs
are shown in the order of their queue keys, so what a round has used up is all up to the last that anybody
was given: the pairs of two equal texts among them too, or those alone would be left for later rounds.
A retired prompt, whose labels were released to training, is no evaluation prompt any more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import Exists, F, Max, OuterRef, Q, QuerySet, Window

from annotation.contracts import PromptWear
from annotation.rows import PromptRow

from .models import Assignment, Comparison, Prompt, Purpose, Split
from .streams import CHUNK, prompt_row, prompts_drawn
from .uses import prompt_retired

# (how many rounds, the last of them): the order in which prompts are taken.
Uses = tuple[int, datetime]
NEVER: Uses = (0, datetime.min.replace(tzinfo=UTC))


def gate_prompts(*, line_id: UUID, round_id: UUID, limit: int, seed: int) -> Iterator[PromptRow]:
    """Evaluation prompts for the gate of a round: first those that no earlier gate has shown, in an
    order that the seed draws, then the least used and among them the longest unused."""
    uses = _uses(line_id, besides=round_id)
    drawn = prompts_drawn(line_id=line_id, splits=(Split.EVALUATION,), seed=seed)
    order = sorted(drawn.values_list("pk", flat=True), key=lambda pk: uses.get(pk, NEVER))
    for start in range(0, min(limit, len(order)), CHUNK):
        chosen = order[start : min(limit, start + CHUNK)]
        found = Prompt.objects.in_bulk(chosen)
        yield from (prompt_row(found[pk]) for pk in chosen)


def prompt_wear(
    *, line_id: UUID, round_id: UUID | None = None, asked: Collection[UUID] = ()
) -> PromptWear:
    """The state of a line's evaluation prompts now; `seen_before` counts those of `asked` that a gate
    other than that of `round_id` has shown."""
    prompts = _evaluation_prompts(line_id)
    shown = _shown(line_id).values("prompt_id")
    before = _shown(line_id, besides=round_id).values("prompt_id") if asked else shown.none()
    return PromptWear(
        prompts=prompts.count(),
        fresh=prompts.exclude(pk__in=shown).count(),
        seen_before=Prompt.objects.filter(pk__in=asked).filter(pk__in=before).count(),
    )


def evaluation_prompt_count(*, line_id: UUID) -> int:
    """How many a gate may draw from."""
    return _evaluation_prompts(line_id).count()


def _evaluation_prompts(line_id: UUID) -> QuerySet[Prompt, Prompt]:
    return Prompt.objects.filter(~prompt_retired(), line=line_id, split=Split.EVALUATION)


def _shown(line_id: UUID, *, besides: UUID | None = None) -> QuerySet[Comparison, Any]:
    """Every gate pair of the line that was shown, but for those of one round."""
    given = Exists(Assignment.objects.filter(comparison=OuterRef("pk")))
    upto = Window(Max("queue_key", filter=Q(given=True)), partition_by=[F("round_id")])
    rows = Comparison.objects.filter(campaign__line=line_id, purpose=Purpose.GATE)
    if besides is not None:
        rows = rows.exclude(round_id=besides)
    return rows.annotate(given=given).annotate(upto=upto).filter(queue_key__lte=F("upto"))


def _uses(line_id: UUID, *, besides: UUID) -> dict[UUID, Uses]:
    found: dict[UUID, Uses] = defaultdict(lambda: NEVER)
    for prompt, at in _shown(line_id, besides=besides).values_list("prompt_id", "created_at"):
        times, last = found[prompt]
        found[prompt] = (times + 1, max(last, at))
    return found
