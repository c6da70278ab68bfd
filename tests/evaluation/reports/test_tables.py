from dataclasses import replace

from evaluation.contracts import (
    CriterionAccuracy,
    JudgedPromptWear,
    RaterLabels,
    RewardModelMeasurements,
    RoundRemarks,
)
from evaluation.reports.pages.remarks import remark_tables
from evaluation.reports.pages.tables import (
    criterion_table,
    label_table,
    rater_table,
    reward_model_table,
    verdict_table,
)
from tests.evaluation.reports.records import PROMOTED, SPLIT, interval

CALIBRATED = "Calibration error, calibrated on validation"


def rows(**splits):
    measured = RewardModelMeasurements(splits)
    table = reward_model_table(replace(PROMOTED, reward_model=measured))
    assert table is not None
    return {row.name: row.cells for row in table.rows}


def test_calibrated_figures_stand_beside_the_raw_ones():
    new = replace(SPLIT, nll_calibrated=0.6, ece_calibrated=0.0301)
    found = rows(test=new, validation=SPLIT)
    assert found["Negative log-likelihood, calibrated on validation"] == ("0.600", "not measured")
    assert found[CALIBRATED] == ("0.030", "not measured")


def test_each_criterion_of_a_mix_has_a_row_and_a_model_of_overall_votes_no_table():
    head, mix = interval(0.8, 0.7, 0.9), interval(0.6, 0.5, 0.7)
    split = replace(SPLIT, criteria=(CriterionAccuracy("kind_words", 0.25, 1200, 30, head, mix),))
    measured = RewardModelMeasurements({"test": split})
    table = criterion_table(replace(PROMOTED, reward_model=measured))
    assert table is not None
    assert [(row.name, row.cells) for row in table.rows] == [
        ("Kind words", ("25%", "1,200 (30)", "80% (70% to 90%)", "60% (50% to 70%)"))
    ]
    assert criterion_table(PROMOTED) is None


def test_records_of_before_have_no_empty_rows():
    assert CALIBRATED not in rows(test=SPLIT)


def label_rows(**changes):
    table = label_table(replace(PROMOTED, **changes))
    assert table is not None
    return {row.name: row.cells for row in table.rows}


def test_ties_that_nobody_was_asked_about_and_worn_prompts_are_told():
    found = label_rows(identical_pairs=238, wear=JudgedPromptWear(600, 309, 1200))
    same = found["Pairs of one and the same text: ties without a label"]
    assert PROMOTED.policy is not None
    assert same == (f"238 of {PROMOTED.policy.prompts:,}",)
    assert found["Prompts judged in earlier rounds too"] == ("309 of 600; 1,200 fresh ones left",)


def test_a_record_of_before_claims_nothing_about_its_prompts():
    assert not [name for name in label_rows() if "rompts" in name or "same text" in name]


def test_labels_that_earlier_gates_released_are_told_where_there_are_any():
    assert PROMOTED.labels is not None
    found = label_rows(labels=replace(PROMOTED.labels, released=1612))
    assert found["Of these, released by earlier gates"] == ("1,612",)
    assert "Of these, released by earlier gates" not in label_rows()


def test_each_rater_of_the_gate_has_a_row_and_the_caption_counts_who_prefer_the_candidate():
    table = verdict_table(PROMOTED)
    assert table is not None
    assert "4 of 8 preferred it more often than not" in table.caption
    assert table.rows[0].cells == ("60", "62% (50% to 74%)", "0")
    assert verdict_table(replace(PROMOTED, verdicts=())) is None


def test_flags_and_marks_stand_beside_one_another_by_whose_answer_it_was():
    gate, training = remark_tables(PROMOTED)
    assert "612 labels of this round's gate" in gate.caption
    (row,) = gate.rows
    assert row.name == "Flag: Unsafe"
    assert row.cells == ("46: 8% (3% to 20%)", "0: 0% (0% to 9%)", "+7.5 (-1.6 to +16.3)")
    assert "804 training labels that were new" in training.caption
    assert [(row.name, row.cells) for row in training.rows] == [
        ("Flag: Broken text", ("12: 2% (1% to 3%)",)),
        ("Marked part: Wrong fact", ("60: 8% (3% to 20%)",)),
    ]


def test_where_nothing_was_raised_and_in_records_of_before_there_is_no_table_of_it():
    assert remark_tables(replace(PROMOTED, remarks=None)) == ()
    assert remark_tables(replace(PROMOTED, remarks=RoundRemarks(9, 0))) == ()


def test_labels_that_came_as_rankings_are_named_by_how_many_answers_they_put_in_order():
    name = "Rankings of {} answers on the line when the round started"
    found = label_rows()
    assert found[name.format(3)] == ("1 (3 pairs, from 1 annotator)",)
    assert found[name.format(4)] == ("1,200 (7,200 pairs, from 9 annotators)",)
    assert PROMOTED.labels is not None
    before = label_rows(labels=replace(PROMOTED.labels, rankings=()))
    assert not [row for row in before if "ankings" in row]


def test_a_ranking_counts_once_in_the_table_by_annotator():
    labels = PROMOTED.labels
    assert labels is not None
    raters = (RaterLabels("a", 5), RaterLabels("b", 0, rankings=9), RaterLabels("c", 4, rankings=2))
    table = rater_table(replace(PROMOTED, labels=replace(labels, raters=raters)))
    assert table is not None
    assert table.headings[:2] == ("labels of pairs", "rankings")
    assert [(row.name, *row.cells[:2]) for row in table.rows] == [
        ("b", "0", "9"), ("c", "4", "2"), ("a", "5", "0"),
    ]  # fmt: skip
    assert "A ranking counts once" in table.caption
    of_pairs = rater_table(PROMOTED)
    assert of_pairs is not None
    assert "rankings" not in of_pairs.headings
