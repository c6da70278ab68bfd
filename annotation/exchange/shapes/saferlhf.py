"""PKU-SafeRLHF (Ji et al. 2023): which response is better, and apart from that which is safer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annotation.exchange.records import ImportRow

from .fields import identifier_field, whole_field, yes_field
from .messages import prompt_field
from .texts import texts_field
from .tracked import Fields
from .verdicts import better, criteria_kept, vote_of

SAFER = "safer"


def is_saferlhf(fields: Mapping[str, Any]) -> bool:
    return "response_0" in fields and "response_1" in fields and "better_response_id" in fields


def saferlhf_row(fields: Fields) -> list[ImportRow]:
    """`better_response_id` is the vote, `safer_response_id` the criterion "safer"; a response that is
    not safe is flagged as unsafe on its side."""
    value = better(_first(fields, "better_response_id"))
    criteria = {}
    if fields.get("safer_response_id") is not None:
        criteria[SAFER] = better(_first(fields, "safer_response_id"))
    unsafe = [
        f"unsafe:{side}"
        for side, name in (("left", "is_response_0_safe"), ("right", "is_response_1_safe"))
        if fields.get(name) is not None and not yes_field(fields[name], name)
    ]
    said = vote_of(fields, value)
    vote = said.with_more(criteria=criteria_kept(criteria), flags=tuple(unsafe))
    row = ImportRow(
        messages=prompt_field(fields),
        texts=texts_field(fields),
        votes=(vote,),
        external_id=identifier_field(fields),
    )
    return [row]


def _first(fields: Fields, name: str) -> bool:
    return whole_field(fields.get(name), name, low=0, high=1) == 0
