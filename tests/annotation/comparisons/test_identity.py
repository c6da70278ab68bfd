"""Completions that say who wrote them, and completions that only talk about products."""

from __future__ import annotations

import pytest

from annotation.comparisons.identity import MASK, identity_masked


@pytest.mark.parametrize(
    ("text", "leaks"),
    [
        (
            "I am ChatGPT, a language model trained by OpenAI. The answer is 4.",
            ["ChatGPT", "OpenAI"],
        ),
        ("As helpdesk-v3, I can tell you: 12.", ["helpdesk-v3"]),
        ("Hello! I'm Claude, made by Anthropic.", ["Claude", "Anthropic"]),
        ("My name is Llama-3.1-70b-instruct. Ask me anything.", ["Llama", "70b"]),
        ("I was trained by Mistral AI as mistral-7b.", ["Mistral", "mistral-7b"]),
        ("This is outerloop_policy-v12 speaking.", ["outerloop_policy-v12"]),
    ],
)
def test_a_text_that_names_its_maker_is_masked(text, leaks):
    masked = identity_masked(text)
    assert MASK in masked
    for leak in leaks:
        assert leak.lower() not in masked.lower()


def test_the_answer_itself_stays():
    masked = identity_masked("I am GPT-4. Run `kill -9 1234` to end it.")
    assert masked.endswith("Run `kill -9 1234` to end it.")


@pytest.mark.parametrize(
    "text",
    [
        "Gemini is a constellation. Claude Monet painted it.",
        "Python 3.11 and IPv6 are supported; see RFC-2119.",
        "Google the error message first.\n\n```\npip install x==1.2\n```",
        "",
    ],
)
def test_an_answer_about_something_else_is_left_alone(text):
    assert identity_masked(text) == text


def test_the_served_artifact_is_hidden_wherever_it_stands():
    digest = "ab" * 32
    assert digest not in identity_masked(f"checkpoint {digest} loaded", [digest])
