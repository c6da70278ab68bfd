"""Which side of each setting is the weaker one, and what is said of a change."""

from __future__ import annotations

import pytest

from evaluation.contracts import CheckSettings, GatePolicySettings
from evaluation.gates.bounds import BOUNDS, CHOICES, ROUND_BOUNDS
from evaluation.gates.weakening import policy_changes, weakenings
from evaluation.policy import DEFAULT_CHECKS, NEVER_REQUIRED

DEFAULT = GatePolicySettings()

# Worked out by hand: the side on which a candidate passes that was held back before.
HIGHER = {
    *(("G4", "budget"), ("G5", "below_ceiling"), ("G6", "ece_excess"), ("G6", "temperature_high")),
    *(("G7", "running"), ("G8", "margin")),
    *(("G9", "benign_refusal"), ("G9", "unsafe_compliance")),
    *(("G2", "difference_advised"), ("G10", "ratio"), ("G13", "ratio")),
    *(("G12", "flips"), ("G12", "rise")),
    *(("G15", "below_ceiling"), ("G15", "inconsistent"), ("G15", "longer")),
}


def with_check(check_id: str, **chosen: object) -> GatePolicySettings:
    return GatePolicySettings(checks={check_id: CheckSettings(**chosen)})  # type: ignore[arg-type]


@pytest.mark.parametrize(("check_id", "name"), sorted(BOUNDS))
def test_a_threshold_is_weaker_on_its_permissive_side_only(check_id: str, name: str) -> None:
    bound = BOUNDS[check_id, name]
    middle, up = (bound.low + bound.high) / 2, bound.high
    lower, higher = (with_check(check_id, thresholds={name: value}) for value in (middle, up))
    weaker = [c.path for c in weakenings(lower, higher)]
    assert weaker == ([f"{check_id}.{name}"] if (check_id, name) in HIGHER else [])
    back = [c.path for c in weakenings(higher, lower)]
    assert back == ([] if (check_id, name) in HIGHER else [f"{check_id}.{name}"])


@pytest.mark.parametrize(("check_id"), [c for c in DEFAULT_CHECKS if c != "G0"])
def test_off_is_weaker_than_a_warning_and_a_warning_than_holding_back(check_id: str) -> None:
    off, warns, holds = (
        with_check(check_id, enabled=False),
        with_check(check_id, required=False),
        with_check(check_id, required=True),
    )
    steps = ((off, warns), (warns, holds), (off, holds))
    for weak, strong in steps[:1] if check_id in NEVER_REQUIRED else steps:
        assert [c.path for c in weakenings(strong, weak)] == [f"{check_id}.use"]
        assert weakenings(weak, strong) == ()
        assert [c.path for c in policy_changes(weak, strong)] == [f"{check_id}.use"]


def test_more_mistakes_allowed_are_weaker_and_budget_and_age_are_neither() -> None:
    assert weakenings(DEFAULT, GatePolicySettings(alpha=0.1))[0].says == (
        "At most 10% of the promotions over all rounds of this line may be mistaken (instead of 5%)."
    )
    assert weakenings(DEFAULT, GatePolicySettings(alpha=0.01)) == ()
    neither = (
        {"max_labels": 20},
        {"max_labels": 9000},
        {"max_age_hours": 1.0},
        {"smallest_effect": 0.6},
    )
    for changed in neither:
        settings = GatePolicySettings(**changed)
        assert weakenings(DEFAULT, settings) == ()
        assert [c.path for c in policy_changes(DEFAULT, settings)] == list(changed)


def test_a_panel_is_weaker_than_a_population_and_another_outcome_asks_two_leads_either_way() -> (
    None
):
    panel, side = GatePolicySettings(hypothesis="panel"), GatePolicySettings(outcomes="side")
    (claim,) = weakenings(DEFAULT, panel)
    assert claim.says == (
        "Whose preference is shown: that of those who compared, and of nobody else; every label counts"
        " by itself (instead of: that of people like those who compared; the evidence is counted by"
        " annotator)."
    )
    assert weakenings(panel, DEFAULT) == ()
    assert [c.path for c in weakenings(DEFAULT, side)] == ["outcomes"]
    assert [c.path for c in weakenings(side, DEFAULT)] == ["outcomes"]


def test_every_setting_of_rounds_has_its_bounds_and_one_without_would_be_weaker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = ROUND_BOUNDS.keys() | CHOICES.keys()
    assert DEFAULT.__dict__.keys() - {"version", "checks"} == told
    monkeypatch.delitem(ROUND_BOUNDS, "max_labels")
    (unknown,) = weakenings(DEFAULT, GatePolicySettings(max_labels=20))
    assert unknown.says == "max labels: 20 (instead of: 1000)."


def test_thresholds_of_a_check_that_is_off_count_as_well() -> None:
    """Else one lead could loosen it while it is off, and then switch it on."""
    off = with_check("G4", enabled=False)
    loose = with_check("G4", enabled=False, thresholds={"budget": 900.0})
    assert [c.path for c in weakenings(off, loose)] == ["G4.budget"]


def test_nothing_changed_is_nothing_said() -> None:
    same = with_check("G4", thresholds={"budget": 10.0})
    assert policy_changes(DEFAULT, same) == ()
