"""Each shape of row: what it becomes, and why a bad one is turned away."""

from __future__ import annotations

import pytest

from annotation.exchange.records import ImportFailed, RowRejected, Vote
from annotation.exchange.shapes import SHAPES, Fields, Together, shape_named, shape_of


def parse(fields, expected_shape):
    shape = shape_of(fields)
    assert shape.key == expected_shape
    return one(shape, fields)


def one(shape, fields):
    assert not isinstance(shape.parse, Together)
    (row,) = shape.parse(Fields(fields))
    return row


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


HH = {
    "chosen": "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: 2+2?\n\nAssistant: 4",
    "rejected": "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: 2+2?\n\nAssistant: 5\n\nor so",
}


def test_a_transcript_parts_at_its_last_answer():
    row = parse(HH, "hh")
    assert row.messages == (user("Hi"), assistant("Hello."), user("2+2?"))
    assert row.texts == ("4", "5\n\nor so")
    assert row.votes == (Vote("unnamed", 2),)
    assert not row.ordered


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": "2+2?", "chosen": "4", "rejected": "5"},
        {"prompt": [user("2+2?")], "chosen": [assistant("4")], "rejected": [assistant("5")]},
        {"chosen": [user("2+2?"), assistant("4")], "rejected": [user("2+2?"), assistant("5")]},
        {"prompt": "\n\nHuman: 2+2?\n\nAssistant:", "chosen": "4", "rejected": "5"},
    ],
)
def test_the_same_preference_plain_conversational_or_whole(fields):
    row = parse(fields, "preferences")
    assert (row.messages, row.texts) == ((user("2+2?"),), ("4", "5"))


def test_strength_rater_and_tie_are_read():
    base = {"prompt": "p", "chosen": "a", "rejected": "b", "rater": "ada"}
    assert parse({**base, "strength": 3}, "preferences").votes == (Vote("ada", 1),)
    assert parse({**base, "strength": 1}, "preferences").votes == (Vote("ada", 3),)
    assert parse({**base, "tie": True}, "preferences").votes == (Vote("ada", 4),)


def test_several_raters_votes_on_a_debate():
    row = parse(
        {
            "pair_id": "x_y",
            "debate_title": "Plastic bottles",
            "stance": "No",
            "a1": "One.",
            "a2": "Two.",
            "gold": None,
            "votes": [
                {"worker": "w1", "value": "a1"},
                {"worker": "w2", "value": "equal"},
                {"worker": 3, "value": "a2"},
                {"worker": "w4", "value": 7},
            ],
        },
        "votes",
    )
    assert row.votes == (Vote("w1", 2), Vote("w2", 4), Vote("3", 6), Vote("w4", 7))
    assert (row.group, row.external_id, row.ordered) == ("Plastic bottles", "x_y", True)
    assert row.messages == (user("Plastic bottles\n\nArgue for: No"),)


@pytest.mark.parametrize(
    ("word", "step", "both_bad"),
    [
        ("a1", 2, False),
        ("completion_b", 6, False),
        ("Tie", 4, False),
        ("b wins", 6, False),
        ("model_a", 2, False),
        ("both bad", 4, True),
        ("5", 5, False),
        (5.0, 5, False),
    ],
)
def test_a_vote_of_several_knows_the_words_of_a_single_verdict(word, step, both_bad):
    votes = [{"worker": "w", "value": word}]
    (vote,) = parse({"prompt": "p", "completions": ["a", "b"], "votes": votes}, "votes").votes
    assert (vote.value, vote.both_bad) == (step, both_bad)


def test_pairs_and_prompts_wait_for_judgments():
    pair = parse({"prompt": "p", "completions": [{"text": "a"}, "b"], "id": 7}, "pairs")
    assert (pair.texts, pair.votes, pair.external_id) == (("a", "b"), (), "7")
    prompt = parse({"messages": [user("p")], "tags": ["sum"]}, "prompts")
    assert (prompt.texts, prompt.tags) == (None, ("sum",))


@pytest.mark.parametrize(
    ("shape", "fields", "reason"),
    [
        (
            "hh",
            {**HH, "rejected": "\n\nHuman: Hi\n\nAssistant: x"},
            "part before their last answer",
        ),
        ("hh", {**HH, "chosen": "Hi\n\nHuman: a\n\nAssistant: b"}, "begin with a Human turn"),
        ("hh", {**HH, "chosen": "\n\nHuman: a\n\nHuman: b"}, "take turns"),
        ("hh", {**HH, "chosen": "\n\nHuman: a\n\nAssistant:"}, "turn 2 is empty"),
        ("hh", {**HH, "chosen": "\n\nHuman: a"}, "does not end with an answer"),
        ("preferences", {"prompt": "p", "chosen": "a", "rejected": None}, "rejected is missing"),
        ("preferences", {"prompt": " ", "chosen": "a", "rejected": "b"}, "prompt is empty"),
        ("preferences", {"prompt": "p", "chosen": "a\x00", "rejected": "b"}, "NUL"),
        ("preferences", {"prompt": "p", "chosen": "\ud800", "rejected": "b"}, "surrogate"),
        ("preferences", {"prompt": "p", "chosen": "a", "rejected": "b", "strength": 4}, "strength"),
        ("preferences", {"prompt": [assistant("a")], "chosen": "a", "rejected": "b"}, "speak last"),
        (
            "preferences",
            {"prompt": [{"role": "bot", "content": "a"}], "chosen": "a", "rejected": "b"},
            "role is 'bot'",
        ),
        ("votes", {"prompt": "p", "completions": ["a", "b"], "votes": 3}, "votes should be a list"),
        (
            "votes",
            {"prompt": "p", "completions": ["a", "b"], "votes": [{"worker": "w", "value": "a3"}]},
            "'a3'",
        ),
        (
            "votes",
            {"prompt": "p", "completions": ["a", "b"], "votes": [{"value": "a1"}]},
            "the rater is missing",
        ),
        ("pairs", {"prompt": "p", "completions": ["a", "b", "c"]}, "list of two"),
        ("prompts", {"prompt": "p", "tags": "sum"}, "tags"),
        ("prompts", {"prompt": "p", "id": "x" * 201}, "longer than 200"),
    ],
)
def test_a_bad_row_is_turned_away_with_its_reason(shape, fields, reason):
    with pytest.raises(RowRejected, match=reason):
        one(SHAPES[shape], fields)


def test_fields_that_fit_no_shape_are_named():
    with pytest.raises(RowRejected, match=r"The row has the fields answer, question"):
        shape_of({"question": "q", "answer": "a"})
    with pytest.raises(ImportFailed, match="no format 'csv'"):
        shape_named("csv")
