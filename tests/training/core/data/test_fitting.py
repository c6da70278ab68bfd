"""Rows that were cut or dropped are counted, told where they are many, and named where they are wrong."""

import pytest

from annotation.rows import DemonstrationRow, PreferenceRow
from tests.support.chat_tokenizers import GEMMA, chat_tokenizer
from tests.support.documented import assert_said
from tests.support.tiny_models import TEXTS
from training.core.data.conversations import demonstrations_encode
from training.core.data.fitting import Fitted
from training.core.data.pairs import pairs_encode
from training.core.data.tokenizers import word_tokenizer_learn
from training.core.run.errors import UserError


@pytest.fixture(scope="module")
def tokenizer():
    return word_tokenizer_learn(TEXTS, limit=400)


def row(number, *, prompt="How?", completions=("12.", "13."), role="user"):
    messages = ({"role": role, "content": prompt}, {"role": "user", "content": "Why?"})
    return PreferenceRow(
        id=f"pair-{number}", group=f"g{number}", messages=messages[-1:] if role == "user" else messages,
        completions=completions, preference=1.0,
    )  # fmt: skip


def encoded(tokenizer, rows, max_length=24):
    return pairs_encode(tokenizer, rows, max_length=max_length, truncation="oldest_turns")


def test_cut_dropped_and_equal_pairs_are_counted(tokenizer):
    long, longer = "7 plus 5 " * 6, "7 plus 5 " * 8
    rows = [
        row(0),
        row(1, completions=("12.", long)),
        row(2, completions=("12.", longer)),
        row(3, completions=("12.\u2581", "12.\u2582")),  # letters that the tokenizer does not know
        row(
            4, completions=("12.", "12.")
        ),  # two equal texts: people's tie, no loss of the tokenizer
    ]
    found = encoded(tokenizer, rows, max_length=22)
    assert [pair.row.id for pair in found.encoded] == ["pair-0", "pair-1", "pair-4"]
    assert found.fitted == Fitted(rows=5, cut=1, dropped=1, alike=1, max_length=22)
    assert found.fitted.results() == {
        "cut_rows": 1, "dropped_rows": 2, "length_warning": found.fitted.warning,
    }  # fmt: skip
    assert "Of 5 rows 1 were cut to max_length (22 tokens) and 1 dropped" in found.fitted.warning


def test_nothing_is_said_up_to_a_hundredth():
    quiet, told = Fitted(100, 1, 0, 0, 9), Fitted(100, 1, 1, 0, 9)
    assert (quiet.warning, quiet.results()) == ("", {"cut_rows": 1, "dropped_rows": 0})
    assert "1 were cut" in told.warning
    assert quiet + told == Fitted(200, 2, 1, 0, 9)


def test_a_file_of_which_nothing_is_left_is_refused(tokenizer):
    with pytest.raises(UserError) as refusal:
        encoded(tokenizer, [row(0, completions=("12.", "word " * 99))])
    assert_said("nothing fits", str(refusal.value))


def test_a_row_that_the_template_refuses_is_named():
    tokenizer = chat_tokenizer(GEMMA)
    with pytest.raises(UserError, match=r"The pair 'pair-1': .*System role not ") as refusal:
        encoded(tokenizer, [row(0), row(1, role="system")], max_length=200)
    assert_said("chat template refuses a row", str(refusal.value))
    turn = {"role": "assistant", "content": "Yes."}
    asked = {"role": "user", "content": "Why?"}
    rows = [DemonstrationRow((asked, turn)), DemonstrationRow((asked, turn, turn))]
    with pytest.raises(UserError, match=r"Row 2 of 'phase1': .*must alternate"):
        demonstrations_encode(tokenizer, rows, "phase1", max_length=200)
