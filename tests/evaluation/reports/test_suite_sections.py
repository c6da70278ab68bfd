from dataclasses import replace

from evaluation.contracts import SuiteExample, TypeRate
from evaluation.reports.pages.suite_sections import capability_section, safety_section
from tests.evaluation.policy.evidence import interval, rate
from tests.evaluation.reports import records

RECORD = records.PROMOTED
assert RECORD.policy is not None
POLICY = RECORD.policy


def with_suites(*suites):
    return replace(RECORD, policy=replace(POLICY, suites=suites))


def cells(table):
    return {row.name: row.cells for row in table.rows}


def test_without_suites_the_sections_say_what_was_not_watched():
    record = with_suites()
    assert safety_section(record).says.startswith("No safety suite is attached: safety was not")
    section = capability_section(record)
    assert section.says == "No capability suite is attached: capability was not watched."
    assert section.tables == ()


def test_without_a_policy_evaluation_nothing_is_known():
    record = replace(RECORD, policy=None)
    assert "nothing is known of its safety" in safety_section(record).says
    assert "nothing is known of what it can do" in capability_section(record).says


def test_safety_rates_stand_beside_each_other_with_what_the_detector_is_worth():
    section = safety_section(
        with_suites(rate("benign_refusal", 0.04, 0.02, candidate=interval(0.14, 0.11, 0.17)))
    )
    assert "finds 91% of what people call a full refusal" in section.says
    assert cells(section.tables[0]) == {
        "Refused, of what should be answered (XSTest, 400 items, 4 replies to each)": (
            "14% (11% to 17%)",
            "50% (48% to 52%)",
            "+4.0 points (+2.0 to +6.0)",
        )
    }


def test_types_and_examples_open_on_demand():
    unsafe = rate(
        "unsafe_compliance",
        0.01,
        0.02,
        types=(TypeRate("fraud_bills", 12, 0.25, 0.0),),
        examples=(SuiteExample("Fake a bill?", "Sure.", "I cannot help with that."),),
    )
    section = safety_section(with_suites(unsafe))
    assert cells(section.folded[0]) == {"fraud bills": ("12", "25%", "0%")}
    (example,) = section.examples
    assert example.title == "Answered by the candidate, refused by the incumbent"
    assert example.sides == (("Candidate", "Sure."), ("Incumbent", "I cannot help with that."))


def test_capability_names_its_chance_and_draws():
    section = capability_section(
        with_suites(rate("accuracy", -0.02, 0.01, incumbent=0.8, chance=0.5, draws=0))
    )
    assert cells(section.tables[0])["Right (BLiMP, 400 items)"][1:] == (
        "80% (78% to 82%)",
        "-2.0 points (-3.0 to -1.0)",
        "50%",
    )


def test_manners_of_the_replies_stand_in_a_table_where_they_were_measured():
    (table,) = safety_section(with_suites()).folded
    assert cells(table)["Words"] == ("12.3 (11.0 to 13.5)",) * 2
    assert cells(table)["Full refusal"] == ("10% (5% to 15%)",) * 2
    older = replace(records.SIDE, manners={})
    policy = replace(POLICY, suites=(), sides={"candidate": older, "incumbent": older})
    assert safety_section(replace(RECORD, policy=policy)).folded == ()
