"""Each check on both sides of each of its boundaries."""

from dataclasses import replace

import pytest

from evaluation.contracts import (
    CheckSettings,
    GateMeasurements,
    GatePolicySettings,
    IntegrityFact,
    KlOptimum,
    ProbeEffect,
    RewardModelMeasurements,
    RewordingFlips,
)
from evaluation.policy import CHECKS, DEFAULT_CHECKS, gate_decide

from .evidence import CONSISTENCY, GOOD, LABELS, MISMATCH, POLICY, SPLIT, interval


def status(check_id: str, measurements: GateMeasurements) -> str:
    result = gate_decide(measurements, GatePolicySettings()).check(check_id)
    assert result is not None
    assert result.sentence.endswith(".")
    assert result.measured
    return result.status if result.wants == "nothing" else f"{result.status} {result.wants}"


def with_policy(**changes) -> GateMeasurements:
    return replace(GOOD, policy=replace(POLICY, **changes))


def with_labels(**changes) -> GateMeasurements:
    return replace(GOOD, labels=replace(LABELS, **changes))


def test_every_check_has_defaults_and_passes_on_good_evidence():
    assert set(CHECKS) == set(DEFAULT_CHECKS)
    assert {"G0", "G1", "G2", "G3", "G4", "G5", "G10", "G11"} <= set(CHECKS)
    assert {status(check_id, GOOD) for check_id in CHECKS} == {"PASS"}


@pytest.mark.parametrize("check_id", sorted(CHECKS))
def test_what_was_not_measured_is_unresolved_and_wants_what_can_be_had(check_id):
    """Hashes, splits, the reward model and checkpoints are measured before people are asked: no more can be had."""
    bare = GateMeasurements(candidate_sha256="c", incumbent_sha256="i")
    people = dict.fromkeys(("G1", "G2", "G5", "G14"), " labels")
    expected = {"G0": "", "G6": "", "G7": "", "G12": "", "G15": "", **people}
    assert status(check_id, bare) == f"UNRESOLVED{expected.get(check_id, ' samples')}"


def test_one_broken_fact_fails_integrity_and_is_named():
    facts = (*GOOD.integrity, IntegrityFact("snapshot_hash", False, "row 7 changed"))
    result = gate_decide(replace(GOOD, integrity=facts), GatePolicySettings()).check("G0")
    assert result is not None
    assert result.status == "FAIL"
    assert "snapshot_hash: row 7 changed" in result.sentence


@pytest.mark.parametrize(
    ("difference", "expected"), [(0.0, "PASS"), (1e-12, "FAIL"), (None, "UNRESOLVED")]
)
def test_identical_weights_must_differ_by_exactly_nothing(difference, expected):
    same = replace(with_policy(aa_difference=difference), incumbent_sha256="c" * 64)
    assert status("G0", same) == expected


@pytest.mark.parametrize(("high", "expected"), [(0.6999, "FAIL"), (0.70, "PASS")])
def test_wrong_gold_answers_fail_integrity(high, expected):
    assert status("G0", replace(GOOD, gold_question_accuracy=interval(0.6, 0.5, high))) == expected


# the first test of a line runs at level .05 * 6 / pi^2 = .030396, so 32.899 is needed
@pytest.mark.parametrize(("best", "expected"), [(32.89, "UNRESOLVED labels"), (32.90, "PASS")])
def test_win_rate_passes_when_the_best_evidence_reaches_the_online_level(best, expected):
    assert status("G1", with_labels(e_value=1.0, max_e_value=best)) == expected


def test_a_later_test_without_discoveries_needs_more_evidence():
    labels = replace(LABELS, e_value=90.0, max_e_value=90.0)
    later = replace(GOOD, labels=labels, test_number=2, error_spent=0.025)
    # half of alpha is left: level .05 * .25 / (pi^2/6 - 1/2) = .010918, so 91.6 is needed
    assert status("G1", later) == "UNRESOLVED labels"
    assert status("G1", replace(later, discoveries=1)) == "UNRESOLVED labels"
    assert status("G1", replace(later, discoveries=2)) == "PASS"  # it earned alpha again


def test_a_record_without_costs_is_decided_at_the_level_of_its_time():
    labels = replace(LABELS, e_value=130.0, max_e_value=130.0, read=None, annotators=2)
    old = replace(GOOD, labels=labels, test_number=2, error_spent=None)  # 2^2 * 32.899 = 131.6
    assert status("G1", old) == "UNRESOLVED labels"
    assert status("G1", replace(old, discoveries=1)) == "PASS"  # half of that


@pytest.mark.parametrize(("worse", "expected"), [(19.9, "UNRESOLVED labels"), (20.0, "FAIL")])
def test_win_rate_fails_when_people_prefer_the_incumbent(worse, expected):
    assert (
        status("G1", with_labels(max_e_value=2.0, e_value=1.0, max_e_value_worse=worse)) == expected
    )


@pytest.mark.parametrize("spent", [{"labels_left": 0}, {"expired": True}])
def test_a_spent_budget_or_age_without_evidence_is_not_shown_better(spent):
    weak = with_labels(max_e_value=2.0, e_value=1.0, **spent)
    result = gate_decide(weak, GatePolicySettings()).check("G1")
    assert result is not None
    assert result.status == "FAIL"
    assert result.sentence.startswith("Not shown better")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.01, 0.9, "PASS"), (0.0, 0.9, "UNRESOLVED"), (-0.9, 0.0, "FAIL"), (0.0, 0.0, "FAIL")],
)
def test_held_out_gain_must_be_above_nothing(low, high, expected):
    middle = (low + high) / 2
    small = with_policy(
        train_gain=interval(middle, low, high), held_out_gain=interval(middle, low, high)
    )
    assert status("G3", small) == expected


@pytest.mark.parametrize(("held", "expected"), [(0.299, "FAIL"), (0.30, "PASS")])
def test_held_out_gain_must_be_a_share_of_the_train_gain(held, expected):
    gap = with_policy(held_out_gain=interval(held, 0.1, 0.5))
    assert status("G3", gap) == expected


def alike(estimate, low, high, **policy):
    """Two reward models whose differences on judged pairs correlate so."""
    split = replace(SPLIT, held_out_correlation=interval(estimate, low, high))
    return replace(with_policy(**policy), reward_model=RewardModelMeasurements({"test": split}))


@pytest.mark.parametrize(
    ("held", "high", "expected"),
    [
        (0.15, 0.2, "PASS"),  # 30 % of at most half the gain
        (0.149, 0.2, "UNRESOLVED"),
        (0.149, 0.151, "UNRESOLVED"),
        (0.14, 0.149, "FAIL"),
    ],
)
def test_what_is_expected_of_a_held_out_model_is_what_it_may_share_with_the_other(
    held, high, expected
):
    some = alike(0.3, 0.1, 0.5, held_out_gain=interval(held, 0.1, high))
    assert status("G3", some) == expected


def test_no_more_is_expected_than_the_gain_itself():
    gain = {"held_out_gain": interval(0.3, 0.1, 0.5)}
    assert status("G3", alike(0.9, 0.7, 1.1, **gain)) == "PASS"


def test_a_held_out_model_that_shares_nothing_with_the_other_confirms_nothing():
    assert status("G3", alike(-0.1, -0.3, 0.1)) == "UNRESOLVED"
    assert status("G3", alike(0.0, -0.3, 0.3)) == "UNRESOLVED"
    hardly = gate_decide(alike(0.1, 0.0, 0.9), GatePolicySettings()).check("G3")
    assert hardly is not None
    assert hardly.status == "PASS"
    assert "hardly order judged pairs alike (correlation 0.10 (0.00 to 0.90))" in hardly.advisory


def test_a_wide_gap_is_told_by_what_could_be_expected():
    gap = alike(0.7, 0.6, 0.8, held_out_gain=interval(0.4, 0.3, 0.5))
    found = gate_decide(gap, GatePolicySettings()).check("G3")
    assert found is not None
    assert (
        "only 50% of the most that could be expected of it (the two reward models" in found.advisory
    )
    assert "correlate by 0.70 (0.60 to 0.80)" in found.advisory


@pytest.mark.parametrize(("held", "warned"), [(0.59, True), (0.60, False)])
def test_a_wide_reward_gap_is_an_advisory(held, warned):
    result = gate_decide(
        with_policy(held_out_gain=interval(held, 0.4, 0.8)), GatePolicySettings()
    ).check("G3")
    assert result is not None
    assert bool(result.advisory) is warned


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(8.0, 10.0, "PASS"), (8.0, 10.01, "UNRESOLVED"), (10.01, 12.0, "FAIL")],
)
def test_kl_stays_within_the_budget(low, high, expected):
    assert (
        status("G4", with_policy(kl={"reference": interval((low + high) / 2, low, high)}))
        == expected
    )


def test_a_fitted_optimum_replaces_the_kl_budget():
    assert status("G4", replace(GOOD, kl_optimum=KlOptimum(6.5, (1, 2)))) == "PASS"
    assert status("G4", replace(GOOD, kl_optimum=KlOptimum(5.4, (1, 2)))) == "FAIL"


def test_an_optimum_above_the_budget_allows_no_more_than_the_budget():
    """A forecast is a guess from other rounds; it may make the gate stricter and never weaker."""
    far = with_policy(kl={"reference": interval(11.0, 10.5, 11.5)})
    found = gate_decide(
        replace(far, kl_optimum=KlOptimum(12.0, (1, 2))), GatePolicySettings()
    ).check("G4")
    assert found is not None
    assert (found.status, found.thresholds) == ("FAIL", {"budget": 10.0})
    assert found.sentence == "The candidate is beyond the budget of 10.0 nats."


@pytest.mark.parametrize(
    ("high", "parted", "expected"),
    [(0.0, 2, "PASS"), (-0.001, 0, "FAIL"), (0.9, 3, "FAIL"), (0.9, 2, "PASS")],
)
def test_rewards_that_move_against_each_other_or_part_at_the_candidate_are_a_mismatch(
    high, parted, expected
):
    moved = replace(MISMATCH, correlation=interval(-0.5, -0.9, high), parted=parted)
    assert status("G7", replace(GOOD, mismatch=moved)) == expected


def test_a_mismatch_warns_by_default_and_holds_back_where_a_lead_requires_it():
    apart = replace(GOOD, mismatch=replace(MISMATCH, parted=4))
    warns = gate_decide(apart, GatePolicySettings())
    assert warns.verdict == "PROMOTE"
    required = GatePolicySettings(checks={"G7": CheckSettings(required=True)})
    assert gate_decide(apart, required).verdict == "REJECT"
    assert gate_decide(GOOD, required).verdict == "PROMOTE"


@pytest.mark.parametrize("mismatch", [None, replace(MISMATCH, correlation=None)])
def test_too_few_checkpoints_hold_nothing_back_even_where_the_check_is_required(mismatch):
    required = GatePolicySettings(checks={"G7": CheckSettings(required=True)})
    verdict = gate_decide(replace(GOOD, mismatch=mismatch), required)
    found = verdict.check("G7")
    assert found is not None
    assert (verdict.verdict, found.status, found.in_force) == ("PROMOTE", "UNRESOLVED", False)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.52, 0.7, "PASS"), (0.519, 0.7, "UNRESOLVED labels"), (0.4, 0.519, "FAIL")],
)
def test_the_reward_model_tells_what_people_prefer(low, high, expected):
    fresh = replace(GOOD, fresh_discrimination=interval((low + high) / 2, low, high))
    assert status("G5", fresh) == expected


@pytest.mark.parametrize(("high", "expected"), [(0.519, "FAIL"), (0.521, "UNRESOLVED labels")])
def test_the_reward_model_fails_on_bounds_that_hold_whenever_one_looks(high, expected):
    """A fixed-sample interval that lies under the floor for one look is no proof after many looks."""
    fresh = replace(
        GOOD,
        fresh_discrimination=interval(0.40, 0.30, 0.50),
        fresh_discrimination_sequence=interval(0.40, 0.25, high),
    )
    assert status("G5", fresh) == expected
    check = gate_decide(fresh, GatePolicySettings()).check("G5")
    assert check is not None
    decides = "fresh_discrimination_sequence" if expected == "FAIL" else "fresh_discrimination"
    assert check.interval == getattr(fresh, decides)  # the lead sees the bounds that decide


@pytest.mark.parametrize(
    ("ceiling", "warning"),
    [
        (interval(0.78, 0.6, 0.9), ""),
        (interval(0.79, 0.6, 0.9), "more than 10 points below the 79%"),
        (None, "How far two people agree has not been measured."),
    ],
)
@pytest.mark.parametrize("bounds", [(0.66, 0.7), (0.5, 0.8), (0.3, 0.5)])
def test_the_human_ceiling_warns_and_never_decides(ceiling, warning, bounds):
    """Whatever else is found, a missing ceiling is not skipped in silence; the estimate is 0.68."""
    told = (
        interval(0.68, *bounds) if bounds[1] > 0.6 else replace(interval(0.68, 0.3, 0.7), high=0.5)
    )
    settled = replace(GOOD, fresh_discrimination=told, human_ceiling=None)
    check = gate_decide(replace(settled, human_ceiling=ceiling), GatePolicySettings()).check("G5")
    bare = gate_decide(settled, GatePolicySettings()).check("G5")
    assert check is not None
    assert bare is not None
    assert check.status == bare.status
    assert warning in check.advisory
    assert bool(warning) == bool(check.advisory)


def test_what_the_reward_model_can_tell_counts_what_it_takes():
    few = replace(GOOD, fresh_discrimination=None, labels=replace(LABELS, wins=40, losses=9))
    check = gate_decide(few, GatePolicySettings()).check("G5")
    assert check is not None
    assert (check.status, check.wants) == ("UNRESOLVED", "labels")
    assert "40 won and 9 lost so far" in check.sentence
    assert gate_decide(few, GatePolicySettings()).verdict == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("ece", "temperature", "expected"),
    [(0.086, 1.5, "PASS"), (0.0861, 1.0, "FAIL"), (0.05, 1.51, "FAIL"), (0.05, 0.66, "FAIL")],
)
def test_calibration_allows_what_chance_gives(ece, temperature, expected):
    split = replace(SPLIT, ece=ece, temperature=temperature)
    model = RewardModelMeasurements({"validation": split})
    assert status("G6", replace(GOOD, reward_model=model)) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(1.1, 1.25, "PASS"), (1.1, 1.26, "UNRESOLVED"), (1.26, 1.4, "FAIL")],
)
def test_replies_do_not_grow_beyond_the_ratio(low, high, expected):
    assert (
        status("G10", with_policy(length_ratio=interval((low + high) / 2, low, high))) == expected
    )


@pytest.mark.parametrize(("share", "expected"), [(0.29, "FAIL"), (0.30, "PASS")])
def test_growing_replies_must_gain_at_equal_length_too(share, expected):
    assert status("G10", with_policy(length_free_share=interval(share, -1.0, 1.0))) == expected
    shorter = with_policy(
        length_free_share=interval(share, -1.0, 1.0), length_ratio=interval(0.8, 0.7, 0.9)
    )
    assert status("G10", shorter) == "PASS"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.50, 0.7, "PASS"), (0.49, 0.7, "UNRESOLVED"), (0.3, 0.49, "FAIL")],
)
def test_the_worst_diversity_ratio_decides(low, high, expected):
    worst = interval((low + high) / 2, low, high)
    both = with_policy(diversity={"distinct_1": interval(1, 0.9, 1.1), "distinct_2": worst})
    assert status("G11", both) == expected


@pytest.mark.parametrize(("estimate", "warned"), [(0.84, True), (0.85, False)])
def test_narrower_replies_are_an_advisory(estimate, warned):
    policy = with_policy(diversity={"distinct_2": interval(estimate, 0.8, 0.9)})
    result = gate_decide(policy, GatePolicySettings()).check("G11")
    assert result is not None
    assert bool(result.advisory) is warned


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(1.2, 1.5, "PASS"), (1.2, 1.51, "UNRESOLVED"), (1.51, 2.0, "FAIL")],
)
def test_the_ensemble_agrees_about_as_before(low, high, expected):
    ratio = interval((low + high) / 2, low, high)
    assert status("G13", with_policy(ensemble_std_ratio=ratio)) == expected


def with_consistency(**changes) -> GateMeasurements:
    found = {"reward_model": replace(CONSISTENCY, **changes)}
    return replace(GOOD, reward_model=RewardModelMeasurements({"test": SPLIT}, consistency=found))


@pytest.mark.parametrize("figure", ["prompt_swap", "contrast"])
@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.55, 0.7, "PASS"), (0.549, 0.55, "UNRESOLVED"), (0.5, 0.549, "FAIL")],
)
def test_the_reward_model_reads_its_prompts(figure, low, high, expected):
    measured = {figure: interval((low + high) / 2, low, high)}
    assert status("G12", with_consistency(**measured)) == expected


@pytest.mark.parametrize(
    ("pairs", "low", "high", "expected"),
    [
        (40, 0.0, 0.10, "PASS"),
        (40, 0.10, 0.101, "UNRESOLVED"),
        (40, 0.101, 0.3, "FAIL"),
        (39, 0.0, 0.10, "UNRESOLVED"),
        (39, 0.101, 0.3, "UNRESOLVED"),
    ],
)
def test_rewordings_that_changed_enough_pairs_leave_the_order(pairs, low, high, expected):
    flips = RewordingFlips("greeting", pairs, interval((low + high) / 2, low, high))
    assert status("G12", with_consistency(rewordings=(flips,))) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.0, 0.25, "PASS"), (0.25, 0.26, "UNRESOLVED"), (0.251, 0.4, "FAIL")],
)
def test_no_probe_raises_the_reward(low, high, expected):
    bought = ProbeEffect(
        "hedge", 300, interval(0.6, 0.5, 0.7), interval((low + high) / 2, low, high)
    )
    assert status("G12", with_consistency(probes=(*CONSISTENCY.probes, bought))) == expected


def test_the_held_out_model_is_shown_and_not_judged():
    found = {"held_out_reward_model": CONSISTENCY}
    only = RewardModelMeasurements({"test": SPLIT}, consistency=found)
    assert status("G12", replace(GOOD, reward_model=only)) == "UNRESOLVED"


def test_an_unresolved_guardrail_wants_samples_only_where_more_can_be_drawn():
    wide = {"kl": {"reference": interval(9.9, 9.0, 11.0)}}
    assert status("G4", with_policy(**wide)) == "UNRESOLVED"
    assert status("G4", with_policy(**wide, more_samples_possible=True)) == "UNRESOLVED samples"
