"""More than two completions of one prompt, ranked or rated: every two of them make a pair.

All pairs of one row carry the row's id (or one made from its texts), so that they can be told to be
of one source item, and lie on one side of the split with their prompt. A ranking says which is better
and not by how much: the middle step; equal ranks are a tie.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from annotation.campaigns.models import FEWEST_RANKED, MOST_RANKED
from annotation.comparisons import digests
from annotation.comparisons.levels import levels_dense
from annotation.comparisons.scale import TIE
from annotation.exchange.records import ImportRow, Ranked, RowRejected, Vote

from .fields import (
    identifier_field,
    labels_as_tags,
    list_field,
    number_field,
    tags_field,
)
from .messages import Messages, has_prompt, prompt_field
from .texts import completion_field, list_of
from .tracked import Fields
from .verdicts import better, vote_of

MOST_COMPLETIONS = 64
RANKS, SCORES = ("rank", "ranks"), ("score", "scores", "overall_score", "rating", "ratings")


def is_ranking(fields: Mapping[str, Any]) -> bool:
    """Completions in a list, each with a rank or score in it, or with a list of these beside them."""
    name = list_of(fields)
    if not name or not has_prompt(fields):
        return False
    beside = any(isinstance(fields.get(key), list) for key in (*RANKS, *SCORES))
    items = fields[name]
    within = bool(items) and all(isinstance(item, dict) for item in items)
    return beside or (within and any(key in items[0] for key in (*RANKS, *SCORES)))


def ranking_row(fields: Fields) -> list[ImportRow]:
    """`completions` (or answers, responses, ...), each with `rank` (1 is best) or `score`, in it or beside."""
    name = list_of(fields)
    items = list_field(fields.get(name), name or "completions")
    texts = [completion_field(item, f"{name}[{n}]") for n, item in enumerate(items)]
    return ranked_pairs(fields, prompt_field(fields), texts, _merits(fields, name, items))


def ranked_pairs(
    fields: Fields,
    prompt: Messages,
    texts: Sequence[str],
    merits: Sequence[float],
    *,
    item: str = "",
) -> list[ImportRow]:
    """A pair for every two completions; the one of the greater merit is better."""
    if not 2 <= len(texts) <= MOST_COMPLETIONS:
        raise RowRejected(
            f"There are {len(texts)} ranked completions; 2 to {MOST_COMPLETIONS} can be compared."
        )
    values = {
        (a, b): TIE if merits[a] == merits[b] else better(merits[a] > merits[b])
        for a, b in itertools.combinations(range(len(texts)), 2)
    }
    rows = pairs_of(fields, prompt, texts, values, item=item)
    return with_whole(rows, fields, texts, merits)


def with_whole(
    rows: list[ImportRow], fields: Fields, texts: Sequence[str], merits: Sequence[float]
) -> list[ImportRow]:
    """The pairs of ranked texts, with the whole of them on the first, for a campaign that ranks; as they are
    where the texts are too few or too many for one."""
    if not FEWEST_RANKED <= len(texts) <= MOST_RANKED:
        return rows
    said = vote_of(fields, TIE)
    vote = Vote(
        said.rater,
        TIE,
        seconds=said.seconds,
        at=said.at,
        levels=tuple(levels_dense([-merit for merit in merits])),
    )
    return [replace(rows[0], ranked=Ranked(tuple(texts), (vote,))), *rows[1:]]


def is_unranked(fields: Mapping[str, Any]) -> bool:
    """More than two completions in a list, and nothing that says which is better."""
    name = list_of(fields)
    return bool(name) and len(fields[name]) >= FEWEST_RANKED and is_listed(fields)


def is_listed(fields: Mapping[str, Any]) -> bool:
    name = list_of(fields)
    return bool(name) and has_prompt(fields) and not is_ranking(fields)


def unranked_row(fields: Fields) -> list[ImportRow]:
    """`completions` (or answers, responses, ...) of one prompt that wait to be put in order."""
    name = list_of(fields)
    items = list_field(fields.get(name), name or "completions")
    if not FEWEST_RANKED <= len(items) <= MOST_RANKED:
        raise RowRejected(
            f"{name} has {len(items)} completions; {FEWEST_RANKED} to {MOST_RANKED} can be put in order."
        )
    texts = [completion_field(item, f"{name}[{n}]") for n, item in enumerate(items)]
    row = ImportRow(
        messages=prompt_field(fields),
        external_id=identifier_field(fields),
        tags=tags_field(fields),
        ranked=Ranked(tuple(texts)),
    )
    return [row]


def pairs_of(
    fields: Fields,
    prompt: Messages,
    texts: Sequence[str],
    values: Mapping[tuple[int, int], int],
    *,
    item: str = "",
    criteria: Mapping[tuple[int, int], tuple[tuple[str, int], ...]] | None = None,
) -> list[ImportRow]:
    """The pairs (a, b) of one source item with their steps; the slots are drawn, since places in a ranking tell."""
    item = item or identifier_field(fields) or f"item-{digests.sha256(*texts)[:16]}"
    said = vote_of(fields, TIE)
    tags = tags_field(fields) + labels_as_tags(fields, "subset", "language")
    return [
        ImportRow(
            messages=prompt,
            texts=(texts[a], texts[b]),
            votes=(
                Vote(
                    said.rater,
                    value,
                    criteria=(criteria or {}).get((a, b), ()),
                    seconds=said.seconds,
                    at=said.at,
                ),
            ),
            ordered=False,
            external_id=item,
            tags=tags,
        )
        for (a, b), value in values.items()
    ]


def is_best_of(fields: Mapping[str, Any]) -> bool:
    lists = [fields.get("chosen"), fields.get("rejected")]
    return has_prompt(fields) and all(
        isinstance(texts, list) and texts and all(isinstance(text, str) for text in texts)
        for texts in lists
    )


def best_of_row(fields: Fields) -> list[ImportRow]:
    """RewardBench 2: each of the `chosen` is better than each of the `rejected`; among themselves nothing is said."""
    chosen = [completion_field(t, "chosen") for t in list_field(fields.get("chosen"), "chosen")]
    rejected = [
        completion_field(t, "rejected") for t in list_field(fields.get("rejected"), "rejected")
    ]
    texts = [*chosen, *rejected]
    values = {
        (a, b): better(True) for a in range(len(chosen)) for b in range(len(chosen), len(texts))
    }
    return pairs_of(fields, prompt_field(fields), texts, values)


def _merits(fields: Fields, name: str, items: Sequence[Any]) -> list[float]:
    """A number for each completion, greater is better: its score, or its rank turned."""
    for keys, sign in ((RANKS, -1.0), (SCORES, 1.0)):
        for key in keys:
            if isinstance(fields.get(key), list):
                found, where = fields[key], key
            elif all(isinstance(item, Fields) and item.get(key) is not None for item in items):
                found, where = [item[key] for item in items], f"{name}[].{key}"
            else:
                continue
            if len(found) != len(items):
                raise RowRejected(f"{where} has {len(found)} entries for {len(items)} completions.")
            return [sign * number_field(value, where) for value in found]
    raise RowRejected(f"Not each of {name} has a rank or a score.")
