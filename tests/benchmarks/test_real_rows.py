"""Real votes as preference rows: worked out by hand on rows of the files' shapes."""

from __future__ import annotations

from typing import Any

from annotation.rows import PreferenceRow
from benchmarks.real_rows import (
    argument_pair,
    divided,
    harmless_pair,
    instruction_pair,
    majority_baseline,
    turns,
)

ARGUMENT = {"debate_title": "Tea or coffee?", "stance": "Tea", "a1": "It is warm.", "a2": "No."}
INSTRUCTION = {"instruction": "Say hi.", "input": "", "response1": "Hi.", "response2": "Bye."}
TALK = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: A joke?\n\nAssistant: "


def test_an_argument_pair_follows_the_crowds_choice() -> None:
    chosen = argument_pair(ARGUMENT | {"gold": "a2"})
    assert chosen is not None
    assert chosen["preference"] == 0.0
    assert chosen["group"] == "Tea or coffee?"
    PreferenceRow.from_json(chosen | {"id": "pair-0"})


def test_an_undecided_argument_pair_is_left_out() -> None:
    assert argument_pair(ARGUMENT | {"gold": None}) is None


def votes(*given: int) -> dict[str, int]:
    return {f"annotator{number}": vote for number, vote in enumerate(given, start=1)}


def test_two_of_three_annotators_decide_an_instruction_pair() -> None:
    row = instruction_pair(INSTRUCTION | votes(1, 2, 1))
    assert row is not None
    assert row["preference"] == 1.0
    assert row["messages"] == [{"role": "user", "content": "Say hi."}]


def test_a_tied_or_scattered_instruction_pair_is_left_out() -> None:
    assert instruction_pair(INSTRUCTION | votes(0, 0, 1)) is None
    assert instruction_pair(INSTRUCTION | votes(0, 1, 2)) is None


def test_an_input_that_is_no_text_is_read_as_one() -> None:
    row = instruction_pair(INSTRUCTION | {"response2": True} | votes(2, 2, 2))
    assert row is not None
    assert row["completions"] == ["Hi.", "True"]


def test_a_transcript_becomes_its_messages() -> None:
    assert turns(TALK + "Knock, knock.\n\nWho?") == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "A joke?"},
        {"role": "assistant", "content": "Knock, knock.\n\nWho?"},
    ]


def test_a_turned_harmless_pair_keeps_its_choice() -> None:
    row = {"chosen": TALK + "Yes.", "rejected": TALK + "Never."}
    for turned in (False, True):
        found = harmless_pair(row, turned=turned)
        assert found is not None
        better = found["completions"][0 if found["preference"] == 1.0 else 1]
        assert better == "Yes."
        assert found["completions"][1 if turned else 0] == "Yes."


def test_transcripts_that_part_before_the_last_answer_are_no_pair() -> None:
    row = {"chosen": TALK + "Yes.", "rejected": TALK.replace("Hello", "Good day") + "No."}
    assert harmless_pair(row, turned=False) is None


def rows_of(groups: int, each: int) -> list[dict[str, Any]]:
    return [
        {"id": f"{group}-{number}", "group": f"g{group}", "preference": float(number % 2)}
        for group in range(groups)
        for number in range(each)
    ]


def test_groups_are_divided_whole_and_sizes_are_kept() -> None:
    rows = divided(rows_of(12, 6), sizes={"train": 10, "validation": 3, "test": 9}, seed=1)
    sides: dict[str, set[str]] = {}
    for row in rows:
        sides.setdefault(row["split"], set()).add(row["group"])
    assert not sides["train"] & sides["test"]
    assert not sides["validation"] & (sides["train"] | sides["test"])
    counts = [sum(row["split"] == split for row in rows) for split in sides]
    assert sorted(counts) == [3, 9, 10]


def test_the_same_seed_divides_alike_and_another_does_not() -> None:
    sizes = {"train": 20, "test": 20}
    first, again, other = (divided(rows_of(12, 6), sizes=sizes, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_the_majority_baseline_takes_the_side_that_won_most_in_training() -> None:
    sides = {"train": (1.0, 1.0, 0.0), "test": (1.0, 0.0, 0.0, 0.0)}
    rows = [{"split": s, "preference": p} for s, values in sides.items() for p in values]
    assert majority_baseline(rows) == 0.25
