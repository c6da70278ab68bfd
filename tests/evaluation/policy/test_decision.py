"""How checks combine into a verdict, and what nobody may override."""

import json
from dataclasses import replace

import pytest

from evaluation.contracts import CheckSettings, GateMeasurements, GatePolicySettings, GateVerdict
from evaluation.policy import check_settings, error_level, gate_decide, gate_override
from training.contracts import json_sha256

from .evidence import GOOD, LABELS, POLICY, interval

SETTINGS = GatePolicySettings()
WEAK = replace(GOOD, labels=replace(LABELS, e_value=1.0, max_e_value=2.0))
FAR = replace(GOOD, policy=replace(POLICY, kl={"reference": interval(12.0, 11.0, 13.0)}))


def let_through(measured: GateMeasurements, *checks: str) -> GateVerdict:
    return gate_override(gate_decide(measured, SETTINGS), measured, overridden=checks)


def test_a_candidate_that_passes_everything_is_promoted():
    verdict = gate_decide(GOOD, SETTINGS)
    assert verdict.verdict == "PROMOTE"
    assert verdict.wants == ()
    assert verdict.reasons == ("Every required check passes.",)
    assert [check.id for check in verdict.checks if not check.overridable] == ["G0", "G9"]
    assert verdict.evidence_sha256 == json_sha256(
        {"measurements": GOOD.to_json(), "settings": SETTINGS.to_json()}
    )


def test_a_refused_candidate_wants_nothing_whatever_else_is_open():
    assert gate_decide(replace(FAR, labels=None), SETTINGS).wants == ()


def test_what_passes_is_not_marked_as_overridden():
    result = let_through(FAR, "G4", "G3").check("G3")
    assert result is not None
    assert (result.status, result.overridden) == ("PASS", False)


def test_evidence_is_enough_when_it_reaches_the_bound_exactly():
    needed = 1 / error_level(0.0, 0, SETTINGS.alpha)
    exact = replace(LABELS, e_value=1.0, max_e_value=needed)
    assert gate_decide(replace(GOOD, labels=exact), SETTINGS).verdict == "PROMOTE"


def test_one_failed_required_check_rejects_and_is_the_reason():
    verdict = gate_decide(FAR, SETTINGS)
    assert verdict.verdict == "REJECT"
    assert [reason[:2] for reason in verdict.reasons] == ["G4"]


def test_a_failed_guardrail_rejects_before_any_label_is_spent():
    assert gate_decide(replace(FAR, labels=None), SETTINGS).verdict == "REJECT"


def test_open_questions_that_labels_can_answer_are_inconclusive():
    verdict = gate_decide(WEAK, SETTINGS)
    assert verdict.verdict == "INCONCLUSIVE"
    assert verdict.wants == ("labels",)


def test_an_open_question_that_nothing_can_answer_rejects():
    wide = replace(GOOD, policy=replace(POLICY, kl={"reference": interval(9.9, 9.0, 11.0)}))
    verdict = gate_decide(wide, SETTINGS)
    assert verdict.verdict == "REJECT"
    assert "Nothing more can be had" in verdict.reasons[0]


def test_a_round_past_its_age_without_a_label_rejects():
    none = replace(
        LABELS, labels=0, wins=0, ties=0, losses=0, e_value=1.0, max_e_value=1.0, expired=True
    )
    verdict = gate_decide(replace(GOOD, labels=none), SETTINGS)
    assert verdict.verdict == "REJECT"
    assert verdict.reasons[0] == "The round reached its maximum age."


def test_an_advisory_check_warns_and_does_not_block():
    policy = replace(POLICY, ensemble_std_ratio=interval(2.0, 1.8, 2.2))
    verdict = gate_decide(replace(GOOD, policy=policy), SETTINGS)
    assert verdict.verdict == "PROMOTE"
    result = verdict.check("G13")
    assert result is not None
    assert (result.status, result.required) == ("FAIL", False)


def test_a_changed_threshold_keeps_the_other_defaults_and_changes_the_evidence_hash():
    looser = GatePolicySettings(
        version=2, checks={"G4": CheckSettings(thresholds={"budget": 20.0})}
    )
    verdict = gate_decide(FAR, looser)
    assert verdict.verdict == "PROMOTE"
    assert verdict.evidence_sha256 != gate_decide(FAR, SETTINGS).evidence_sha256
    filled = check_settings(
        GatePolicySettings(checks={"G3": CheckSettings(thresholds={"share": 0.5})})
    )
    assert filled["G3"].thresholds == {"held_out_gain": 0.0, "share": 0.5, "share_advised": 0.6}
    assert filled["G3"].required is True
    assert filled["G13"].required is False


def test_a_disabled_check_is_not_in_the_table():
    verdict = gate_decide(FAR, GatePolicySettings(checks={"G4": CheckSettings(enabled=False)}))
    assert verdict.check("G4") is None
    assert verdict.verdict == "PROMOTE"


def test_an_overridden_check_lets_the_candidate_through_and_says_so():
    verdict = let_through(FAR, "G4")
    assert verdict.verdict == "PROMOTE"
    result = verdict.check("G4")
    assert result is not None
    assert (result.status, result.overridden) == ("FAIL", True)
    assert any("overridden by two leads" in reason for reason in verdict.reasons)


@pytest.mark.parametrize("check_id", ["G0", "G9"])
def test_integrity_and_unsafe_compliance_are_never_overridden(check_id):
    with pytest.raises(ValueError, match="cannot be overridden"):
        let_through(GOOD, check_id)


@pytest.mark.parametrize(
    ("checks", "sentence"),
    [
        ({"G99": CheckSettings()}, "unknown check 'G99'"),
        ({"G4": CheckSettings(thresholds={"limit": 1.0})}, "no threshold 'limit'"),
        ({"G0": CheckSettings(enabled=False)}, "cannot be switched off"),
        ({"G0": CheckSettings(required=False)}, "made advisory"),
    ],
)
def test_settings_that_make_no_sense_are_named(checks, sentence):
    with pytest.raises(ValueError, match=sentence):
        gate_decide(GOOD, GatePolicySettings(checks=checks))


def test_evidence_and_verdict_survive_json_unchanged():
    again = GateMeasurements.from_json(json.loads(json.dumps(GOOD.to_json())))
    assert again == GOOD
    verdict = gate_decide(GOOD, SETTINGS)
    assert gate_decide(again, SETTINGS) == verdict
    assert GateVerdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict


def test_an_override_leaves_every_recorded_finding_as_it_was():
    """A later release's statistics change no verdict of before: only the checks on record are combined."""
    decided = gate_decide(FAR, SETTINGS)
    old = replace(
        decided,
        checks=tuple(
            replace(check, thresholds={"accuracy": 0.55}) if check.id == "G5" else check
            for check in decided.checks
        ),
    )
    found = gate_override(old, FAR, overridden={"G4"})
    assert (found.verdict, found.evidence_sha256) == ("PROMOTE", decided.evidence_sha256)
    assert found.check("G5") == old.check("G5")
    assert gate_override(old, FAR, overridden=()) == old


def test_a_policy_of_an_earlier_release_is_read_without_its_former_thresholds():
    saved = GatePolicySettings(checks={"G5": CheckSettings(thresholds={"accuracy": 0.7})})
    assert check_settings(saved)["G5"] == check_settings(SETTINGS)["G5"]
    assert gate_decide(GOOD, saved).verdict == "PROMOTE"


def test_evidence_of_an_earlier_release_is_read_without_its_agreement():
    agreed = interval(0.68, 0.63, 0.73)
    document = {**GOOD.to_json(), "fresh_agreement": agreed, "fresh_agreement_sequence": None}
    assert GateMeasurements.from_json(document) == GOOD


def test_people_who_nearly_always_choose_the_candidate_do_not_hold_it_back():
    """There is no order that a reward model could tell; that it prefers the candidate too is enough."""
    side = interval(0.9, 0.8, 0.95)
    labels = replace(LABELS, wins=200, losses=3)
    clear = replace(GOOD, fresh_discrimination=None, fresh_side=side, labels=labels)
    assert gate_decide(clear, SETTINGS).verdict == "PROMOTE"
    assert gate_decide(replace(clear, fresh_side=None), SETTINGS).verdict == "INCONCLUSIVE"
    both_ways = replace(clear, labels=replace(LABELS, wins=200, losses=36))
    assert gate_decide(both_ways, SETTINGS).verdict == "INCONCLUSIVE"
