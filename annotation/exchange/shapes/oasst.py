"""OpenAssistant conversations (Köpf et al. 2023): replies to one message, ranked by people; as trees, or as
one message a row with the rows of a tree beside each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from annotation.exchange.records import ImportRow, RowRejected

from .fields import dict_field, labels_as_tags, name_field, number_field, shown, text_field
from .messages import SPEAKERS, Messages, said
from .rankings import ranked_pairs
from .tracked import Fields

UNRANKED = "No message of the tree has two replies of the assistant that are ranked."
DEEPEST = 200


def is_tree(fields: Mapping[str, Any]) -> bool:
    return "message_tree_id" in fields and isinstance(fields.get("prompt"), dict)


def is_message(fields: Mapping[str, Any]) -> bool:
    return all(n in fields for n in ("message_id", "parent_id", "text", "role", "message_tree_id"))


def tree_row(fields: Fields) -> list[ImportRow]:
    """Each message of a prompter with two ranked replies (0 is best) becomes pairs under its message_id."""
    root = dict_field(fields.get("prompt"), "prompt")
    group = name_field(fields.get("message_tree_id"), "message_tree_id")
    pairs = [replace(pair, group=group) for pair in _rankings(root, (), _within, 0)]
    if not pairs:
        raise RowRejected(UNRANKED)
    return pairs


def message_key(fields: Mapping[str, Any]) -> str:
    return repr(fields.get("message_tree_id"))


def message_rows(rows: Sequence[Fields]) -> tuple[list[ImportRow], dict[int, str]]:
    """The messages of one tree, put together again. Returns its pairs, and by place why a row is not used."""
    refused: dict[int, str] = {}
    names: dict[int, str] = {}
    for place, row in enumerate(rows):
        try:
            names[place] = name_field(row.get("message_id"), "message_id")
        except RowRejected as rejected:
            refused[place] = str(rejected)
    replies: dict[str, list[Fields]] = {}
    for place in names:
        replies.setdefault(str(rows[place].get("parent_id") or ""), []).append(rows[place])
    seen: set[int] = set()
    try:
        pairs = [p for root in replies.get("", []) for p in _tree(root, replies, seen)]
        problem = "" if pairs else UNRANKED
    except RowRejected as rejected:
        pairs, problem = [], str(rejected)
    for place in names:
        if problem or id(rows[place]) not in seen:
            refused[place] = problem or "The tree has no message that this one replies to."
    if not pairs:
        return [], refused
    return [
        pairs[0].of_lines(len(rows) - len(refused)),
        *(p.of_lines(0) for p in pairs[1:]),
    ], refused


def _tree(root: Fields, replies: Mapping[str, list[Fields]], seen: set[int]) -> Iterator[ImportRow]:
    def replies_of(message: Fields) -> list[Fields]:
        seen.add(id(message))
        return replies.get(str(message.get("message_id")), [])

    group = name_field(root.get("message_tree_id"), "message_tree_id")
    for pair in _rankings(root, (), replies_of, 0):
        yield replace(pair, group=group)


def _within(message: Fields) -> list[Fields]:
    found = message.get("replies")
    return [r for r in found if isinstance(r, Fields)] if isinstance(found, list) else []


def _rankings(
    message: Fields, before: Messages, replies_of: Callable[[Fields], list[Fields]], depth: int
) -> Iterator[ImportRow]:
    """The pairs at this message and at those after it."""
    if depth > DEEPEST:
        raise RowRejected(f"The tree is deeper than {DEEPEST} messages.")
    role = SPEAKERS.get(str(message.get("role")))
    if role not in ("user", "assistant"):
        raise RowRejected(f"The role is {shown(message.get('role'))}; use prompter or assistant.")
    path = (*before, said(role, text_field(message.get("text"), "text")))
    replies = replies_of(message)
    ranked = [r for r in replies if role == "user" and r.get("rank") is not None]
    if len(ranked) > 1:
        texts = [text_field(r.get("text"), "text") for r in ranked]
        ranks = [-number_field(r["rank"], "rank") for r in ranked]
        item = name_field(message.get("message_id"), "message_id")
        tags = labels_as_tags(message, "lang")
        for pair in ranked_pairs(Fields({}), path, texts, ranks, item=item):
            yield replace(pair, tags=tags)
    for reply in replies:
        yield from _rankings(reply, path, replies_of, depth + 1)
