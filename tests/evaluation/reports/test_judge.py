"""What a report says of an LLM judge: what it is, what it said, and what that is worth."""

from __future__ import annotations

from dataclasses import replace

from evaluation.contracts import RoundRecord
from evaluation.policy import gate_decide
from evaluation.reports.pages.gate_table import gate_rows
from evaluation.reports.pages.judge import WHAT_IT_IS, judge_section
from tests.evaluation.policy.evidence import GOOD, JUDGE

from .records import PROMOTED, interval


def cells(table):
    return {row.name: row.cells[0] for row in table.rows}


def told(**changes):
    return judge_section(replace(PROMOTED, judge=replace(JUDGE, **changes)))


def test_the_raw_win_rate_stands_beside_the_corrected_one_and_that_of_people():
    said, beside, leanings = told().tables
    assert cells(said) == {
        "Candidate preferred by the judge, as it says (400 pairs)": "66% (61% to 70%)",
        "The same, put right by 300 labels of 12 annotators": "61% (56% to 66%)",
        "Candidate preferred by people, on the pairs that both compared": "60% (54% to 66%)",
    }
    assert cells(beside) == {
        "Judge and people prefer the same text (240 pairs on which both prefer a side)": "70% (64% to 76%)",
        "Two people prefer the same text": "72% (69% to 75%)",
        "People prefer the longer text, on the pairs that both compared": "53% (47% to 59%)",
        "The judge prefers it more often by": "+5.0 points (+1.0 to +9.0)",
    }
    assert cells(leanings) == {
        "Its verdict changes with the order (counted as a tie)": "10% (7% to 13%)",
        "It prefers the text shown first, of answers that prefer one": "52% (48% to 56%)",
        "It prefers the longer text, of pairs that differ in length": "58% (53% to 63%)",
    }


def test_it_says_what_it_is_whom_was_asked_and_by_what():
    section = told(unreadable=2, unanswered=1, reason="Questions without an answer: 1.")
    says = section.says
    assert section.head == WHAT_IT_IS
    assert (
        "Asked was wise-1 at judge.example.com, temperature 0, by the campaign's guidelines: 400 pairs of"
        " 400 compared in both orders; 2 answers gave no verdict that could be read; 1 question had no"
        " answer. An answer took 1.2 s in the median. Questions without an answer: 1."
    ) in says
    assert says.endswith(f"Digests: answers {'8' * 12}, rubric {'7' * 12}.")


def test_without_enough_labels_it_says_not_calibrated_and_shows_no_corrected_rate():
    few = {"corrected": None, "agreement": None, "people": None, "longer_excess": None}
    section = told(labels=12, **few)
    assert (
        "Not calibrated: people have compared 12 of its pairs, and 50 are needed." in section.head
    )
    assert [table.caption for table in section.tables] == ["What the judge says.", "Its leanings."]
    assert len(section.tables[0].rows) == 1


def test_a_judge_that_could_not_be_asked_was_not_measured():
    section = told(win_rate=None, corrected=None, pairs=0, unanswered=800, reason="Nobody answers.")
    assert section.says.startswith("Not measured: Nobody answers. Asked was wise-1")
    assert section.tables == ()


def test_a_round_without_a_judge_and_one_of_an_earlier_release_say_so():
    assert (
        judge_section(replace(PROMOTED, judge=None)).says == "No LLM judge was asked in this round."
    )
    old = PROMOTED.to_json()
    del old["judge"]
    assert RoundRecord.from_json(old).judge is None


def row_of(judge):
    settings = PROMOTED.gate_settings
    assert settings is not None
    gate = gate_decide(replace(GOOD, judge=judge), settings)
    return next(r for r in gate_rows(replace(PROMOTED, gate=gate)) if r.check.id == "G15")


def test_its_row_of_the_gate_table_advises():
    row = row_of(JUDGE)
    assert (row.meaning, row.word, row.asked) == ("good", "Pass", "at least 50%")
    assert not row.check.required
    assert row.mark is not None
    assert row.mark.threshold == 0.5
    against = interval(0.4, 0.35, 0.45)
    assert row_of(replace(JUDGE, corrected=against)).word == "Warning"
    for silent in (None, replace(JUDGE, corrected=None, labels=3)):
        assert row_of(silent).word == "Not watched"
