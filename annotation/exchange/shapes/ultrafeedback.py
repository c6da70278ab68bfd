"""UltraFeedback as its authors publish it (Cui et al. 2023): four completions, rated as a whole and on four
criteria."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from annotation.comparisons.scale import TIE
from annotation.exchange.records import ImportRow, RowRejected

from .fields import dict_field, list_field, number_field, text_field
from .messages import prompt_field
from .rankings import MOST_COMPLETIONS, pairs_of, with_whole
from .tracked import Fields
from .verdicts import better, criteria_kept, gap_value

CRITERIA = ("helpfulness", "honesty", "instruction_following", "truthfulness")


def is_ultrafeedback(fields: Mapping[str, Any]) -> bool:
    items = fields.get("completions")
    return (
        "instruction" in fields
        and isinstance(items, list)
        and bool(items)
        and all(isinstance(i, dict) and "response" in i and "annotations" in i for i in items)
    )


def ultrafeedback_row(fields: Fields) -> list[ImportRow]:
    """A pair for every two completions: better by `overall_score`; on a criterion by the gap of its
    ratings of 1..5 (1 slightly, 2 better, 3 and more much better)."""
    items = [
        dict_field(item, f"completions[{n}]")
        for n, item in enumerate(list_field(fields.get("completions"), "completions"))
    ]
    if not 2 <= len(items) <= MOST_COMPLETIONS:
        raise RowRejected(f"There are {len(items)} completions; a comparison needs two or more.")
    texts = [
        text_field(i.get("response"), f"completions[{n}].response") for n, i in enumerate(items)
    ]
    scores = [number_field(i.get("overall_score"), "overall_score") for i in items]
    ratings = [_ratings(item) for item in items]
    pairs = list(itertools.combinations(range(len(items)), 2))
    values = {
        (a, b): TIE if scores[a] == scores[b] else better(scores[a] > scores[b]) for a, b in pairs
    }
    criteria = {(a, b): _gaps(ratings, a, b) for a, b in pairs}
    rows = pairs_of(fields, prompt_field(fields), texts, values, criteria=criteria)
    return with_whole(rows, fields, texts, scores)


def _ratings(item: Fields) -> dict[str, float]:
    """Ratings by criterion; "N/A", where the criterion did not apply, is none."""
    annotations = dict_field(item.get("annotations"), "annotations")
    found = {}
    for name in CRITERIA:
        rated = annotations.get(name)
        value = rated.get("Rating") if isinstance(rated, Fields) else None
        if value is not None and str(value).strip().upper() != "N/A":
            found[name] = number_field(value, f"annotations.{name}.Rating")
    return found


def _gaps(ratings: Sequence[Mapping[str, float]], a: int, b: int) -> tuple[tuple[str, int], ...]:
    both = ratings[a].keys() & ratings[b].keys()
    return criteria_kept({name: gap_value(ratings[a][name] - ratings[b][name]) for name in both})
