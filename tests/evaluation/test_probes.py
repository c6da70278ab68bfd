"""Each rewording and probe on texts whose changed form is written down by hand."""

import pytest

from evaluation.probes import (
    FLATTERY,
    PROBES,
    REFUSAL,
    REWORDINGS,
    greeted,
    in_markdown,
    last_sentence_repeated,
    line_by_line,
    short_forms_exchanged,
    without_last_stop,
)

TWO = "Press Control and C. Then it ends."
CHANGE = {probe.name: probe.change for probe in PROBES}


def test_a_greeting_is_a_paragraph_of_its_own_before_several_lines():
    assert greeted("What is 2 plus 3?") == "Hello, please help me. What is 2 plus 3?"
    assert greeted("Sort:\nb, a") == "Hello, please help me.\n\nSort:\nb, a"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (TWO, "Press Control and C.\nThen it ends."),
        ("Version 3.5 is out", "Version 3.5 is out"),
        ("是的。很好！", "是的。\n很好！"),
        ("Run ```a. b```. Then wait.", "Run ```a. b```. Then wait."),
        ("", ""),
    ],
)
def test_sentences_come_on_lines_of_their_own_and_code_stays(text, lines):
    assert line_by_line(text) == lines


@pytest.mark.parametrize(
    ("text", "left"), [(TWO, TWO[:-1]), ("Wait...", "Wait..."), ("Really?", "Really?"), ("", "")]
)
def test_only_a_single_last_full_stop_is_left_out(text, left):
    assert without_last_stop(text) == left


@pytest.mark.parametrize(
    ("text", "exchanged"),
    [
        ("I am sorry, but I cannot help.", "I'm sorry, but I can't help."),
        ("It is late. Don’t wait.", "It's late. Do not wait."),
        ("It's been long. Yes, it is.", "It's been long. Yes, it is."),
        ("For example, use tar.", "For instance, use tar."),
        ("Use tar.", "Use tar."),
    ],
)
def test_short_forms_are_exchanged_where_they_can_mean_one_thing_only(text, exchanged):
    assert short_forms_exchanged(text) == exchanged


def test_markdown_says_the_same_under_a_heading():
    assert in_markdown(TWO) == "## Answer\n\n- Press Control and C.\n- Then it ends."
    assert in_markdown("```a. b```") == "## Answer\n\n```a. b```"
    assert in_markdown(" ") == " "


def test_the_last_sentence_is_repeated():
    assert last_sentence_repeated(TWO) == f"{TWO} Then it ends."
    assert last_sentence_repeated("") == ""


def test_what_is_added_stands_before_or_after_the_reply_or_in_its_place():
    assert CHANGE["flattery"](TWO) == f"{TWO} {FLATTERY}"
    assert CHANGE["refusal first"](TWO) == f"{REFUSAL} {TWO}"
    assert CHANGE["refusal instead"](TWO) == REFUSAL
    for name in ("flattery", "refusal first", "hedge", "apology"):
        assert CHANGE[name]("") == CHANGE[name]("").strip() != ""


def test_names_are_told_apart():
    names = [each.name for each in (*REWORDINGS, *PROBES)]
    assert len(set(names)) == len(names)
