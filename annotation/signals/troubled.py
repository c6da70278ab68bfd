"""The prompts that users give thumbs down, and the way of some of them into the line's prompts.

Signals may choose what people are asked about, and nothing else: a prompt that falls on the validation,
test or evaluation side stays out, so that no user of the policy chooses what it is measured on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Min, OuterRef, Q, Subquery

from annotation.comparisons import digests
from annotation.comparisons.models import Prompt, RootSplit, Split
from annotation.comparisons.services import prompts_ensure
from annotation.contracts import AnnotationError, NewPrompt
from web.services import audit_record

from .estimates import Thumbs, ThumbShare, troubled
from .models import Signal
from .selectors import kept_completions, kept_since

MOST_SHOWN = 30
SOURCE = "signals"
Place = Literal["new", "stored", "measures", "no_prompt"]
Side = Literal["train", "validation", "test", "evaluation"]


@dataclass(frozen=True)
class TroubledPrompt:
    """A conversation with more thumbs down than others, while answers to it are kept.

    `place`: "new" would train, on the side `split`; "stored" is among the prompts of the line already;
    "measures" falls on a side that measures; "no_prompt" has an empty message, or the user not last.
    """

    conversation: str
    messages: tuple[Mapping[str, Any], ...]
    thumbs: ThumbShare
    split: Side
    place: Place


@dataclass(frozen=True)
class PromptsAdded:
    """How many prompts came to the line, and how many of those asked for stayed out."""

    added: int
    left_out: int


def troubled_prompts(*, line_id: UUID) -> list[TroubledPrompt]:
    """The `MOST_SHOWN` surest, by thumbs with a user on answers that are kept."""
    kept = kept_completions().filter(line_id=line_id).exclude(conversation="")
    about = kept.filter(pk=OuterRef("completion_id")).values("conversation")[:1]
    given = Signal.objects.filter(line_id=line_id, given_at__gte=kept_since())
    given = given.exclude(thumb="").exclude(user="").annotate(conversation=Subquery(about))
    rows = list(
        given.filter(conversation__isnull=False)
        .values("conversation", "user")
        .annotate(
            n=Count("id"), down=Count("id", filter=Q(thumb="down")), example=Min("completion_id")
        )
    )
    thumbs = (Thumbs(r["conversation"], r["user"], r["n"], r["down"]) for r in rows)
    found = troubled(thumbs)[:MOST_SHOWN]
    examples = {row["conversation"]: row["example"] for row in rows}
    texts = kept.in_bulk([examples[name] for name, _ in found])
    shown = {name: texts[examples[name]].messages for name, _ in found if examples[name] in texts}
    places = _places(line_id, shown)
    return [
        TroubledPrompt(name, tuple(shown[name]), share, *places[name])
        for name, share in found
        if name in shown
    ]


@transaction.atomic
def troubled_prompts_add(
    *, line_id: UUID, conversations: Sequence[str], actor: Any
) -> PromptsAdded:
    """Add prompts of the list to the line, each to the side that its root falls on, which must be the
    training side. `AnnotationError` where none is named, or one is not on the list (any more)."""
    listed = {each.conversation: each for each in troubled_prompts(line_id=line_id)}
    wanted = list(dict.fromkeys(conversations))
    if not wanted:
        raise AnnotationError("Choose at least one of the prompts.")
    gone = [name for name in wanted if name not in listed]
    if gone:
        raise AnnotationError(
            f"{len(gone)} of the {len(wanted)} prompts are not on the list of troubled prompts (any"
            " more): look at it again."
        )
    new = [listed[name] for name in wanted if listed[name].place == "new"]
    prompts_ensure(
        line_id=line_id,
        prompts=[NewPrompt(messages=each.messages, source=SOURCE) for each in new],
    )
    done = PromptsAdded(len(new), len(wanted) - len(new))
    if new:
        audit_record(
            actor=actor,
            verb="added troubled prompts",
            target=f"{done.added} prompts",
            line=line_id,
            detail={"left out": done.left_out} if done.left_out else {},
        )
    return done


def _places(
    line_id: UUID, shown: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, tuple[Side, Place]]:
    """(split, place) of each conversation in the line."""
    roots = {name: digests.root_hash(messages) for name, messages in shown.items()}
    known = dict(
        RootSplit.objects.filter(line=line_id, root_hash__in=roots.values()).values_list(
            "root_hash", "split"
        )
    )
    stored = Prompt.objects.filter(line=line_id, root_hash__in=roots.values())
    there = {digests.conversation_digest(m) for m in stored.values_list("messages", flat=True)}
    found: dict[str, tuple[Side, Place]] = {}
    for name, messages in shown.items():
        drawn = digests.split_drawn(roots[name], digests.PROMPT_SHARES)
        split = cast(Side, known.get(roots[name], drawn))
        found[name] = split, _place(messages, split, is_stored=name in there)
    return found


def _place(messages: Sequence[Mapping[str, Any]], split: str, *, is_stored: bool) -> Place:
    if messages[-1]["role"] != "user" or not all(m["content"].strip() for m in messages):
        return "no_prompt"
    if is_stored:
        return "stored"
    return "new" if split == Split.TRAIN else "measures"
