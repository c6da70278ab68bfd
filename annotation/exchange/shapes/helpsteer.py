"""HelpSteer2 (ratings, and its preference file) and HelpSteer3 (Wang et al. 2024, 2025)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from annotation.comparisons.scale import TIE
from annotation.exchange.records import ImportRow, RowRejected

from .fields import identifier_field, labels_as_tags, text_field, whole_field
from .messages import awaiting_answer, messages_field, prompt_field
from .texts import texts_field
from .tracked import Fields
from .verdicts import criteria_kept, gap_value, reason_field, vote_of

RATED = ("helpfulness", "correctness", "coherence")


def is_preference_file(fields: Mapping[str, Any]) -> bool:
    return all(name in fields for name in ("response_1", "response_2", "preference_strength"))


def preference_file_row(fields: Fields) -> list[ImportRow]:
    """`preference_strength` of -3 (response 1 much better) to 3 (response 2) is our step less 4."""
    strength = whole_field(fields.get("preference_strength"), "preference_strength", low=-3, high=3)
    reason = reason_field(fields, "preference_statement", "preference_elaboration")
    row = ImportRow(
        messages=prompt_field(fields),
        texts=texts_field(fields),
        votes=(vote_of(fields, TIE + strength).with_more(rationale=reason),),
        external_id=identifier_field(fields),
    )
    return [row]


def is_helpsteer3(fields: Mapping[str, Any]) -> bool:
    return all(
        name in fields for name in ("context", "response1", "response2", "overall_preference")
    )


def helpsteer3_row(fields: Fields) -> list[ImportRow]:
    """`overall_preference` of -3 (response 1 much better) to 3; `context` is the conversation so far."""
    strength = whole_field(fields.get("overall_preference"), "overall_preference", low=-3, high=3)
    context = messages_field(fields.get("context"), "context")
    row = ImportRow(
        messages=awaiting_answer(context, "context"),
        texts=texts_field(fields),
        votes=(vote_of(fields, TIE + strength),),
        external_id=identifier_field(fields),
        tags=labels_as_tags(fields, "domain", "language"),
    )
    return [row]


def is_rated(fields: Mapping[str, Any]) -> bool:
    return all(name in fields for name in ("prompt", "response", *RATED))


def rated_key(fields: Mapping[str, Any]) -> str:
    return repr(fields.get("prompt"))


def rated_rows(rows: Sequence[Fields]) -> tuple[list[ImportRow], dict[int, str]]:
    """Two neighbouring rows with one prompt are a pair: better by the gap in helpfulness (0..4), and so
    on each criterion. Returns the pairs, and by place why a row is in none."""
    pairs: list[ImportRow] = []
    refused: dict[int, str] = {}
    for place in range(0, len(rows), 2):
        couple = rows[place : place + 2]
        try:
            if len(couple) < 2:
                raise RowRejected(
                    "The row rates one response, and the row beside it has another prompt: a comparison"
                    " needs two responses to one prompt in neighbouring rows."
                )
            pairs.append(_rated_pair(*couple))
        except RowRejected as rejected:
            refused |= {place + n: str(rejected) for n in range(len(couple))}
    return pairs, refused


def _rated_pair(first: Fields, second: Fields) -> ImportRow:
    texts = [text_field(row.get("response"), "response") for row in (first, second)]
    ratings = [
        {name: whole_field(row.get(name), name, low=0, high=4) for name in RATED}
        for row in (first, second)
    ]
    gaps = {name: gap_value(ratings[0][name] - ratings[1][name]) for name in RATED}
    prompts = [prompt_field(row) for row in (first, second)]
    overall = gaps.pop("helpfulness")
    return ImportRow(
        messages=prompts[0],
        texts=(texts[0], texts[1]),
        votes=(vote_of(first, overall).with_more(criteria=criteria_kept(gaps)),),
        external_id=identifier_field(first),
        lines=2,
    )
