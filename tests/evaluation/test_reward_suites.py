import json
from collections import Counter

import pytest

from evaluation.contracts import RewardSuiteItem
from evaluation.reward_suites import reward_suite_read
from evaluation.suite_files import SuiteError, reward_suite_from_bytes, suite_write
from tests.support.crowd_votes import DATA


def row(prompt: str, subset: str = "", **changes: str) -> str:
    fields = {"prompt": prompt, "chosen": "yes", "rejected": "no", "subset": subset, **changes}
    return json.dumps(fields) + "\n"


def read(text: str):
    return reward_suite_read(text.encode(), name="s")


def test_a_stored_suite_reads_as_it_was():
    suite = read(row("a", "x") + row("b", "x"))
    asked = ({"role": "user", "content": "a"},)
    assert suite.items[0] == RewardSuiteItem(asked, ("yes",), ("no",), "x")
    stored = suite_write(suite)
    assert stored.count("\n") == 1
    assert reward_suite_from_bytes(stored.encode()) == suite


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (row("a"), "at least 2 prompts; the file has 1"),
        (row("a") + row("a", rejected="never"), "All rows have the same prompt"),
        (row("a", "x") + row("b", "x") + row("c", "y"), "subset 'y' has only one prompt"),
        (row("a", "x") + row("b", "x") + row("c"), "rows without a subset have only one prompt"),
        (row("a") + row("b", rejected=""), "Line 2: rejected is empty"),
        ("\n", "the file has 0"),
        ("BZh91AY", "The file cannot be read: it is a bzip2 file"),
    ],
)
def test_what_is_wrong_is_named(text, sentence):
    with pytest.raises(SuiteError, match=sentence):
        read(text)


def test_a_suite_is_of_bounded_size(monkeypatch):
    monkeypatch.setattr("evaluation.reward_suites.ITEMS_MOST", 1)
    with pytest.raises(SuiteError, match="at most 1 items"):
        read(row("a") + row("b"))
    monkeypatch.setattr("evaluation.reward_suites.TEXT_MOST", 4)
    with pytest.raises(SuiteError, match="more than 4 characters"):
        read(row("a"))


def test_the_hhh_alignment_pairs_are_read_as_they_are():
    path = DATA / "hhh_alignment.jsonl.gz"
    if not path.exists():
        pytest.skip(f"{path} is not there; set OUTERLOOP_REAL_DATA to the folder that holds it.")
    items = reward_suite_read(path.read_bytes(), name="HHH").items
    assert Counter(item.subset for item in items) == {
        "harmless": 58, "helpful": 59, "honest": 61, "other": 43,
    }  # fmt: skip
    assert len({json.dumps(item.messages) for item in items}) == 102
