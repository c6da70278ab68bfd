"""Judgments gathered from what a forum or a search-and-answer study left: SHP, WebGPT comparisons and
summarize-from-feedback."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annotation.comparisons.scale import TIE
from annotation.exchange.records import ImportRow, RowRejected

from .fields import (
    dict_field,
    identifier_field,
    labels_as_tags,
    list_field,
    name_field,
    number_field,
    text_field,
    whole_field,
)
from .messages import Messages, said
from .tracked import Fields
from .verdicts import better, gap_value, vote_of


def is_shp(fields: Mapping[str, Any]) -> bool:
    return all(name in fields for name in ("history", "human_ref_A", "human_ref_B", "labels"))


def shp_row(fields: Fields) -> list[ImportRow]:
    """Stanford Human Preferences (Ethayarajh et al. 2022): `labels` 1 says that reply A has the votes."""
    first = whole_field(fields.get("labels"), "labels", low=0, high=1) == 1
    name = "post_id"
    row = ImportRow(
        messages=(said("user", text_field(fields.get("history"), "history")),),
        texts=(
            text_field(fields.get("human_ref_A"), "human_ref_A"),
            text_field(fields.get("human_ref_B"), "human_ref_B"),
        ),
        votes=(vote_of(fields, better(first)),),
        external_id=name_field(fields[name], name) if fields.get(name) is not None else "",
        tags=labels_as_tags(fields, "domain"),
    )
    return [row]


def is_webgpt(fields: Mapping[str, Any]) -> bool:
    return all(name in fields for name in ("question", "answer_0", "answer_1", "score_0"))


def webgpt_row(fields: Fields) -> list[ImportRow]:
    """WebGPT comparisons (Nakano et al. 2021): `score_0` of 1, 2/3 and 1/3 says that answer 0 is much
    better, better and slightly better, 0 a tie; `score_1` is its opposite."""
    question = fields["question"]
    asked = question.get("full_text") if isinstance(question, Fields) else question
    score = number_field(fields.get("score_0"), "score_0")
    other = fields.get("score_1")
    if abs(score) > 1 or (other is not None and abs(number_field(other, "score_1") + score) > 0.01):
        raise RowRejected("score_0 and score_1 should be opposite numbers from -1 to 1.")
    row = ImportRow(
        messages=(said("user", text_field(asked, "question")),),
        texts=(
            text_field(fields.get("answer_0"), "answer_0"),
            text_field(fields.get("answer_1"), "answer_1"),
        ),
        votes=(vote_of(fields, gap_value(3 * score)),),
        external_id=identifier_field(question) if isinstance(question, Fields) else "",
    )
    return [row]


def is_summaries(fields: Mapping[str, Any]) -> bool:
    return all(name in fields for name in ("info", "summaries", "choice"))


def summaries_row(fields: Fields) -> list[ImportRow]:
    """summarize-from-feedback (Stiennon et al. 2020): `choice` 0 or 1; `extra.confidence` of 1 to 9, 5
    in the middle, tells the strength where it lies on the side of the choice."""
    info = dict_field(fields.get("info"), "info")
    found = list_field(fields.get("summaries"), "summaries")
    if len(found) != 2:
        raise RowRejected("summaries should be a list of two.")
    texts = [
        text_field(dict_field(s, f"summaries[{n}]").get("text"), f"summaries[{n}].text")
        for n, s in enumerate(found)
    ]
    first = whole_field(fields.get("choice"), "choice", low=0, high=1) == 0
    worker = fields.get("worker")
    rater = name_field(worker, "worker") if worker is not None else ""
    row = ImportRow(
        messages=_post(info),
        texts=(texts[0], texts[1]),
        votes=(vote_of(fields, _confident(fields, first), rater=rater),),
        external_id=identifier_field(info),
        tags=labels_as_tags(info, "subreddit"),
    )
    return [row]


def _confident(fields: Fields, first: bool) -> int:
    """1 and 9 are much better, 2, 3, 7 and 8 better, 4 and 6 slightly better."""
    extra = fields.get("extra")
    confidence = extra.get("confidence") if isinstance(extra, Fields) else None
    if confidence is None:
        return better(first)
    gap = 5 - whole_field(confidence, "extra.confidence", low=1, high=9)
    if gap == 0 or (gap > 0) != first:
        extra.leave("confidence")
        return better(first)
    steps = {4: 3, 3: 2, 2: 2, 1: 1}[abs(gap)]
    return TIE - steps if first else TIE + steps


def _post(info: Fields) -> Messages:
    """The prompt as the paper writes it: SUBREDDIT, TITLE, POST, TL;DR; an article without the first two."""
    if not info.get("post"):
        article = text_field(info.get("article"), "info.article")
        return (said("user", f"{article}\n\nTL;DR:"),)
    post = text_field(info["post"], "info.post")
    parts = [
        f"{label}: {before}{text_field(info[name], f'info.{name}')}"
        for label, name, before in (("SUBREDDIT", "subreddit", "r/"), ("TITLE", "title", ""))
        if info.get(name)
    ]
    return (said("user", "\n\n".join([*parts, f"POST: {post}", "TL;DR:"])),)
