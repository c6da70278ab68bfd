"""docs/reference/errors.md promises sentences: every one is proven by a test."""

from __future__ import annotations

from pathlib import Path

from tests.support.documented import documented, is_said

TESTS = Path(__file__).resolve().parents[1]


def test_every_documented_case_is_tried_by_some_test() -> None:
    tried = "\n".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    untried = [case for case in documented() if f'"{case}"' not in tried]
    assert len(documented()) > 40
    assert not untried, f"No test tries {', '.join(untried)}."


def test_a_sentence_is_found_across_broken_lines_and_a_wrong_one_is_not() -> None:
    said = "prompts.jsonl is empty:\n  write one JSON object on\neach line."
    assert is_said("empty file", said)
    assert not is_said("broken packing", said)
