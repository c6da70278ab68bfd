"""Completions that say who wrote them, and completions that only talk about products."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from annotation.comparisons.identity import MASK, identities_masked, names_read
from tests.annotation.comparisons.identity_texts import DRAWN_ALIKE, INNOCENT, LEAKS

ROOT = Path(__file__).resolve().parents[3]


def identity_masked(text, secrets=()):
    return identities_masked([text], secrets)[0]


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
    assert MASK in masked or "[name 1 hidden]" in masked
    for leak in leaks:
        assert leak.lower() not in masked.lower()


@pytest.mark.parametrize(("text", "name"), DRAWN_ALIKE)
def test_a_name_with_letters_that_only_look_latin_is_masked_and_nothing_else(text, name):
    assert identity_masked(text) == text.replace(name, MASK)


def test_words_of_another_alphabet_are_read_as_they_are():
    text = "Я нашёл это в Google. Это мой сот, я там."
    assert identity_masked(text) == text


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


def test_hiding_names_never_makes_two_different_texts_one():
    one, other = "I am ChatGPT. It is 4.", "I am Claude. It is 4."
    assert identities_masked([one, other]) == [
        "I am [name 1 hidden]. It is 4.",
        "I am [name 2 hidden]. It is 4.",
    ]
    assert identities_masked([one, one]) == ["I am [name hidden]. It is 4."] * 2
    spelled = identities_masked(["I am Gpt-4.", "I am GPT-4.", "I am GPT-4."])
    assert spelled[0] != spelled[1] == spelled[2]


def found(texts: list[tuple[str, str, str]]) -> int:
    """In how many texts every name is gone."""
    masked = [(identity_masked(text), names.split("|")) for _, text, names in texts]
    return sum(not any(name in text for name in names) for text, names in masked)


def alarms(texts: list[tuple[str, str]]) -> int:
    return sum(identity_masked(text) != text for _, text in texts)


def test_the_set_is_large_and_of_many_languages():
    assert min(len(LEAKS), len(INNOCENT)) >= 100
    for texts in (LEAKS, INNOCENT):
        assert {
            "en",
            "es",
            "fr",
            "de",
            "pt",
            "it",
            "nl",
            "pl",
            "ru",
            "zh",
            "ja",
            "ko",
            "ar",
            "hi",
            "tr",
        } <= {language for language, *_ in texts}
        assert len({text for _, text, *_ in texts}) == len(texts)


def test_names_are_found_as_often_and_hidden_in_vain_as_seldom_as_the_docs_say():
    """The places at even numbers were looked at while the rules were made; the odd ones were run once, and
    gave 54 of 56 and 3 of 56. One fault seen there was mended since, so that it is 55 now."""
    assert (found(LEAKS[0::2]), len(LEAKS[0::2])) == (56, 56)
    assert (alarms(INNOCENT[0::2]), len(INNOCENT[0::2])) == (0, 57)
    assert (found(LEAKS[1::2]), len(LEAKS[1::2])) == (55, 56)
    assert (alarms(INNOCENT[1::2]), len(INNOCENT[1::2])) == (3, 56)
    page = (ROOT / "docs" / "how-to" / "hide-names.md").read_text()
    assert "54 of 56" in page
    assert "3 of 56" in page


def test_listed_names_are_hidden_wherever_they_stand_however_they_are_written():
    listed = names_read("HelpBot\n\n x \nMüller & Co\n")
    assert listed == ("HelpBot", "Müller & Co")
    text = "Ask helpbot or HELP\u200bBOT, says Müller & Co; helpbots are others."
    (masked,) = identities_masked([text], listed=listed)
    assert masked == (
        "Ask [name 1 hidden] or [name 2 hidden], says [name 3 hidden]; helpbots are others."
    )


@pytest.mark.parametrize(
    "text",
    ["a_" * 20_000, "a." * 20_000, "I am happy google " * 5_000, "я google " * 10_000, "I am " * 20_000 + "google",
     "— " * 20_000, "v1" * 20_000, "(" * 20_000 + "claude"],
)  # fmt: skip
def test_no_text_makes_the_search_long(text):
    begun = time.process_time()
    identities_masked([text])
    assert time.process_time() - begun < 5
