"""What stops a run before it learns, and what short answers may rightly look like."""

from __future__ import annotations

import pytest

from training.core.rollout.first_texts import FirstText, first_texts_check, first_texts_of
from training.core.run.errors import UserError


def texts(*said: str, prompts: int = 16, padding: int = 0) -> list[FirstText]:
    """One for each, over so many prompts, of 4 tokens each."""
    return [FirstText(i % prompts, text, 4, padding) for i, text in enumerate(said)]


@pytest.mark.parametrize(
    ("found", "entropy", "sentence"),
    [
        (texts(*[""] * 9, *["yes"] * 7), 0.5, "9 of the policy's first 16 texts are empty"),
        (texts(*[" \n"] * 3), None, "3 of the policy's first 3 texts are empty"),
        (texts("a", "b", padding=3), 0.5, r"Most of what .* \(2 texts\) is the padding token"),
        (texts(*["yes"] * 16), 0.5, "first 16 texts, on 16 prompts, are all the same: 'yes'"),
        (texts(*"abcdefgh" * 4, prompts=8), None, "Each of 8 prompts was answered in the same"),
        (texts(*"abcdefgh"), 0.0, "entropy is 0 nats a token"),
        (texts(*"abcdefgh"), 0.0009, "entropy is 0.0009 nats"),
    ],
)
def test_texts_that_teach_nothing_stop_the_run(
    found: list[FirstText], entropy: float | None, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        first_texts_check(found, entropy=entropy)


@pytest.mark.parametrize(
    ("found", "entropy"),
    [
        (texts(*[""] * 8, *["yes"] * 7, "no"), 0.2),  # half of them, of a line of short answers
        (texts(*["yes"] * 15, "no"), 0.02),  # nearly always the same word
        (texts(*["yes"] * 40, prompts=6), 0.02),  # a few prompts with one answer
        (texts(*["yes"] * 8, prompts=8), None),  # too few texts to tell
        (texts(*"abcdefgh" * 2, prompts=8), None),  # pairs that agree
        (texts("a", "b", padding=2), 0.5),  # a policy that knows nothing draws padding too
    ],
)
def test_short_answers_do_not(found: list[FirstText], entropy: float | None) -> None:
    first_texts_check(found, entropy=entropy)


def test_padding_is_counted_among_the_tokens() -> None:
    assert first_texts_of(["p"], [[5, 0, 0]], ["x"], pad_id=0) == [FirstText("p", "x", 3, 2)]
