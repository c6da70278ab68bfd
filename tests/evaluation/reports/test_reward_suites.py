from dataclasses import replace

from evaluation.contracts import EarlierSuites, RewardModelMeasurements
from evaluation.reports.pages.reward_suites import reward_suites_section
from tests.evaluation.policy.evidence import reward_suite, suite_accuracy
from tests.evaluation.reports.records import PROMOTED, SPLIT


def record(*suites, before=None):
    measured = RewardModelMeasurements({"test": SPLIT}, suites=suites)
    return replace(PROMOTED, reward_model=measured, suites_before=before)


def cells(table):
    return {row.name: row.cells for row in table.rows}


def test_without_a_suite_the_section_says_what_was_measured():
    assert "measured on the line's own labels alone" in reward_suites_section(record()).says
    unknown = reward_suites_section(replace(PROMOTED, reward_model=None))
    assert unknown.says == "The reward model has not been evaluated, so nothing is known of it."


def test_subsets_stand_beside_the_held_out_model_length_and_chance():
    table, bias = reward_suites_section(record(reward_suite())).tables
    assert table.caption.endswith("on 102 prompts; questions in brackets. Guessing gets 50%.")
    assert table.headings == ("reward model", "held-out model", "length alone")
    assert cells(table) == {
        "harmless (58)": ("70% (66% to 74%)", "66% (62% to 70%)", "48% (44% to 52%)"),
        "honest (61)": ("60% (56% to 64%)", "56% (52% to 60%)", "48% (44% to 52%)"),
        "Mean of the subsets (119)": (
            "65% (61% to 69%)", "61% (57% to 65%)", "48% (44% to 52%)",
        ),
    }  # fmt: skip
    assert cells(bias) == {
        "The better answer is the shorter": ("55% (49% to 61%)", "not measured"),
        "The better answer is the longer": ("75% (69% to 81%)", "75% (69% to 81%)"),
    }


def test_a_change_since_the_round_before_has_an_interval():
    """Both are known to 4 points either side: 4 sqrt(2) = 5.7 for their difference."""
    new = reward_suite("Own", "8" * 64)
    before = EarlierSuites(6, (reward_suite(),))
    section = reward_suites_section(record(reward_suite(gained=0.03), new, before=before))
    table, _, unseen, _ = section.tables
    assert table.headings[1] == "points since round 6"
    assert cells(table)["honest (61)"][1] == "+3.0 (-2.7 to +8.7)"
    assert cells(unseen)["honest (61)"][1] == "not before"
    assert "wider than need be" in section.says


def test_many_subsets_are_folded_and_one_is_not_averaged():
    many = tuple(suite_accuracy(0.6, f"s{n}") for n in range(9))
    section = reward_suites_section(
        record(reward_suite(subsets=many, sections=True, texts=5_970, cut=12))
    )
    assert list(cells(section.tables[0])) == ["Mean of the four sections (119)"]
    assert len(section.folded[0].rows) == 9
    assert "12 of the 5,970 answers of HHH were cut" in section.says
    alone = reward_suites_section(record(reward_suite(subsets=(suite_accuracy(0.6),))))
    assert list(cells(alone.tables[0])) == ["All (200)"]


def test_guessing_has_its_column_where_it_differs():
    rows = (suite_accuracy(0.6, "pairs"), replace(suite_accuracy(0.4, "four"), chance=0.25))
    table, _ = reward_suites_section(record(reward_suite(subsets=rows))).tables
    assert table.headings[-1] == "by guessing"
    assert [cells(table)[f"{name} (200)"][-1] for name in ("pairs", "four")] == ["50%", "25%"]
