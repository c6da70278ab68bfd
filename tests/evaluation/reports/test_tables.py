from dataclasses import replace

from evaluation.contracts import RewardModelMeasurements
from evaluation.reports.pages.tables import reward_model_table
from tests.evaluation.reports.records import PROMOTED, SPLIT

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


def test_records_of_before_have_no_empty_rows():
    assert CALIBRATED not in rows(test=SPLIT)
