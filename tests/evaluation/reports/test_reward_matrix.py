"""What a report says of reward models and policies of several rounds, and of those no longer kept."""

from dataclasses import replace

from evaluation.contracts import RewardMatrix
from evaluation.reports.pages.reward_matrix import reward_matrix_section
from tests.evaluation.policy.evidence import MATRIX, POLICY

from .records import BARE, PROMOTED


def test_rows_are_reward_models_and_columns_policies_with_what_is_missing_in_its_place():
    (table,) = reward_matrix_section(PROMOTED).tables
    assert table.headings == (
        "policy of round 4", "policy of round 5", "policy of round 6", "policy of round 7",
    )  # fmt: skip
    cells = {row.name: row.cells for row in table.rows}
    assert list(cells) == [
        "Reward model of round 4", "Reward model of round 5", "Reward model of round 6",
        "Reward model of round 7", "Groups of prompts",
    ]  # fmt: skip
    assert cells["Reward model of round 4"] == ("not kept",) * 4
    assert cells["Reward model of round 7"] == (
        "0.10 (0.00 to 0.20)", "not kept", "1.00 (0.90 to 1.10)", "1.90 (1.80 to 2.00)",
    )  # fmt: skip
    assert cells["Groups of prompts"] == ("60", "not kept", "60", "60")


def test_the_newest_and_the_oldest_reward_model_say_what_was_gained_since_the_oldest_policy():
    says = reward_matrix_section(PROMOTED).says
    # 1.9 - 0.1 and 0.7 - 0.2; both bounds are sqrt(0.1^2 + 0.1^2) away
    assert (
        "The reward model of round 7 puts this candidate 1.80 (1.66 to 1.94) z above that of round 4."
        " The reward model of round 5 puts this candidate 0.50 (0.36 to 0.64) z above that of round 4."
    ) in says
    assert "The reward model of round 4 can no longer be read: not kept by retention" in says
    assert "The samples of round 5 can no longer be read" in says


def test_a_matrix_of_this_round_alone_gains_nothing_and_says_so_of_both():
    alone = RewardMatrix((6,), tuple(c for c in MATRIX.cells if c.reward_model == c.policy is None))
    record = replace(PROMOTED, policy=replace(POLICY, reward_matrix=alone))
    section = reward_matrix_section(record)
    assert "puts this candidate" not in section.says
    assert "The reward model of round 6 can no longer be read" in section.says
    assert "The samples of round 6 can no longer be read" in section.says


def test_what_was_not_measured_is_said():
    assert reward_matrix_section(BARE).says.startswith("Not measured: no earlier round")
    assert reward_matrix_section(BARE).tables == ()
