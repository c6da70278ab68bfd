"""What a report says of consistency, and of rounds that an earlier release measured."""

import json
from dataclasses import replace
from typing import Any

from evaluation.contracts import GateVerdict, ProbeEffect, RewardModelMeasurements, RoundRecord
from evaluation.policy import gate_override
from evaluation.probes import FLATTERY
from evaluation.reports.models import RoundReport
from evaluation.reports.pages.consistency import consistency_section
from evaluation.reports.pages.gate_table import gate_rows
from training.contracts import canonical_json, json_sha256

from .records import MEASUREMENTS, PROMOTED, SPLIT, around, verdict


def earlier(document: Any) -> Any:
    """The JSON of a record or of measurements as a release without G12 wrote it."""
    old = json.loads(json.dumps(document))
    del old["reward_model"]["consistency"]
    if "gate" in old:
        old["gate"]["checks"] = [c for c in old["gate"]["checks"] if c["id"] != "G12"]
    return old


def cells(table):
    return {row.name: row.cells for row in table.rows}


def test_both_models_stand_side_by_side():
    section = consistency_section(PROMOTED)
    prompts, reworded, changed, raised = section.tables
    assert {table.headings for table in section.tables} == {("reward model", "held-out model")}
    assert cells(prompts) == {
        "Against itself under another prompt": ("80% (74% to 85%)", "80% (74% to 85%)"),
        "Against the reply to the most alike other prompt": ("70% (63% to 76%)", "not measured"),
    }
    breaks = "Line breaks (120): each sentence of both replies on its own line"
    assert cells(reworded)[breaks] == ("3% (1% to 7%)", "3% (1% to 7%)")
    flattery = f"Flattery: “{FLATTERY}” after the reply"
    assert cells(changed)[flattery] == ("0.05 (0.01 to 0.09)",) * 2
    assert cells(raised) == {
        "Flattery": ("40% (35% to 45%)",) * 2,
        "Refusal instead": ("20% (16% to 25%)", "not measured"),
    }


def test_a_probe_of_another_release_is_shown_by_its_name():
    other = ProbeEffect("riddle", 9, around(0.5, 0.1), around(0.2, 0.1))
    both = PROMOTED.reward_model
    assert both is not None
    found = {"reward_model": replace(both.consistency["reward_model"], probes=(other,))}
    section = consistency_section(replace(PROMOTED, reward_model=replace(both, consistency=found)))
    assert list(cells(section.tables[2])) == ["Riddle"]


def test_it_says_on_what_it_rests_and_what_was_cut():
    section = consistency_section(PROMOTED)
    assert section.says.startswith(
        "Measured on 200 pairs of the split test that people told apart."
    )
    assert "7 of 4,700 texts were cut to what the reward model reads" in section.says
    assert section.says.count("were cut") == 1
    assert "is 1.40 for the reward model and 1.40 for the held-out model, in points" in section.says


def test_without_a_held_out_model_it_has_no_column():
    both = PROMOTED.reward_model
    assert both is not None
    alone = {"reward_model": both.consistency["reward_model"]}
    measured = replace(both, consistency=alone)
    section = consistency_section(replace(PROMOTED, reward_model=measured))
    assert [len(table.headings) for table in section.tables] == [1, 1, 1, 1]


def test_what_was_not_measured_is_said():
    bare = replace(PROMOTED, reward_model=RewardModelMeasurements({"test": SPLIT}))
    assert consistency_section(bare).says.startswith("Not measured:")
    assert consistency_section(bare).tables == ()
    unknown = consistency_section(replace(PROMOTED, reward_model=None))
    assert unknown.says == "The reward model has not been evaluated, so nothing is known of it."


def test_the_bar_of_the_gate_is_that_of_the_prompts():
    (row,) = (row for row in gate_rows(PROMOTED) if row.check.id == "G12")
    assert (row.meaning, row.asked) == ("good", "the bar: at least 55%")
    assert row.mark is not None
    assert (row.mark.low, row.mark.threshold) == (0.63, 0.55)


def test_a_report_of_an_earlier_release_stays_byte_for_byte_and_says_not_measured():
    stored = earlier(PROMOTED.to_json())
    report = RoundReport(record=stored, sha256=json_sha256(stored))
    assert canonical_json(report.document()) == canonical_json(stored)
    assert json_sha256(report.document()) == report.sha256
    assert consistency_section(report.frozen).says.startswith("Not measured:")
    assert "G12" not in {row.check.id for row in gate_rows(report.frozen)}


def test_a_decision_of_an_earlier_release_keeps_its_verdict_and_its_checks():
    old = earlier({"gate": verdict().to_json(), **MEASUREMENTS.to_json()})
    recorded, measured = old.pop("gate"), type(MEASUREMENTS).from_json(old)
    decided = GateVerdict.from_json(recorded)
    again = gate_override(decided, measured, overridden=())
    assert canonical_json(again.to_json()) == canonical_json(recorded)
    found = verdict(measured).check("G12")
    assert found is not None
    assert (found.status, found.measured) == ("UNRESOLVED", "not measured yet")
    assert verdict(measured).verdict == "PROMOTE"


def test_a_record_with_consistency_survives_its_json():
    document = json.loads(json.dumps(PROMOTED.to_json()))
    assert RoundRecord.from_json(document) == PROMOTED
