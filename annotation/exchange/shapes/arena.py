"""Battles of two models: Chatbot Arena (conversations, and the dump of 55,000 with prompts as lists) and
MT-Bench's human judgments (Zheng et al. 2023)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from annotation.comparisons.scale import TIE
from annotation.exchange.records import ImportRow, RowRejected

from .fields import (
    labels_as_tags,
    name_field,
    shown,
    text_field,
    time_field,
    whole_field,
    yes_field,
)
from .messages import Messages, messages_field, parted, said, with_system
from .tracked import Fields
from .verdicts import FIRST, SECOND, UNNAMED, verdict, vote_of

SIDES = ("conversation_a", "conversation_b")
WINNERS = ("winner_model_a", "winner_model_b", "winner_tie")
MODELS = ("model_a", "model_b")


def is_battle(fields: Mapping[str, Any]) -> bool:
    return "winner" in fields and all(name in fields for name in SIDES)


def battle_row(fields: Fields) -> list[ImportRow]:
    """`winner`: model_a, model_b, tie, or "tie (bothbad)". `turn` is up to which turn was judged; what
    was judged on two conversations that part earlier is no judgment of two answers, and refused."""
    models = (str(fields.get("model_a", "model_a")), str(fields.get("model_b", "model_b")))
    value, both_bad = verdict(fields.get("winner"), models, "winner")
    turn = fields.get("turn")
    length = None if turn is None else 2 * whole_field(turn, "turn", low=1, high=1000)
    conversations = [_until(messages_field(fields.get(name), name), length) for name in SIDES]
    prompt, first, second = parted(conversations[0], conversations[1], SIDES)
    vote = vote_of(fields, value, rater=_judge(fields), both_bad=both_bad)
    row = ImportRow(
        messages=with_system(fields, prompt),
        texts=(first, second),
        votes=(vote.with_more(at=vote.at or _when(fields)),),
        external_id=_question(fields),
        tags=labels_as_tags(fields, "language"),
    )
    return [row]


def is_prompt_lists(fields: Mapping[str, Any]) -> bool:
    return all(name in fields for name in ("prompt", "response_a", "response_b", *WINNERS))


def prompt_lists_row(fields: Fields) -> list[ImportRow]:
    """`prompt`, `response_a` and `response_b` are lists of turns (as JSON); one of three winners is 1."""
    turns, first, second = (_turns(fields, n) for n in ("prompt", "response_a", "response_b"))
    for name in MODELS:
        fields.get(name)
    sides = [_conversation(turns, answers) for answers in (first, second)]
    prompt, *texts = parted(sides[0], sides[1], ("response_a", "response_b"))
    row = ImportRow(
        messages=prompt,
        texts=(str(texts[0]), str(texts[1])),
        votes=(vote_of(fields, _winner(fields), rater=_judge(fields)),),
        external_id=_question(fields),
    )
    return [row]


def _winner(fields: Fields) -> int:
    won = [yes_field(fields.get(name), name) for name in WINNERS]
    if sum(won) != 1:
        raise RowRejected(f"Exactly one of {', '.join(WINNERS)} should be 1.")
    return (FIRST, SECOND, TIE)[won.index(True)]


def _turns(fields: Fields, name: str) -> list[str]:
    value = fields.get(name)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = [value]
    if not isinstance(value, list) or not value:
        raise RowRejected(f"{name} is {shown(value)}; it should be a list of turns.")
    return [text_field(turn, f"{name}[{n}]") for n, turn in enumerate(value)]


def _conversation(turns: list[str], answers: list[str]) -> Messages:
    if len(turns) != len(answers):
        raise RowRejected(f"There are {len(turns)} prompts and {len(answers)} answers.")
    messages: list[dict[str, str]] = []
    for turn, answer in zip(turns, answers, strict=True):
        messages += [said("user", turn), said("assistant", answer)]
    return tuple(messages)


def _until(messages: Messages, length: int | None) -> Messages:
    """The first `length` messages, not counting a system turn."""
    if length is None:
        return messages
    return messages[: length + (messages[0]["role"] == "system")]


def _judge(fields: Fields) -> str:
    for name in ("judge", "judge_hash", "user_id", "rater"):
        value = fields.get(name)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            return name_field(value, name)
    return UNNAMED


def _when(fields: Fields) -> Any:
    for name in ("tstamp", "timestamp"):
        if fields.get(name) is not None:
            return time_field(fields[name], name)
    return None


def _question(fields: Fields) -> str:
    for name in ("question_id", "id"):
        if fields.get(name) is not None:
            return name_field(fields[name], name)
    return ""
