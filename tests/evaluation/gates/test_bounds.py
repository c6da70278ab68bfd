from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.contracts import CheckSettings, GatePolicySettings
from evaluation.gates.bounds import BOUNDS, sentences, settings_require_bounds
from evaluation.gates.records import GateError
from evaluation.policy import DEFAULT_CHECKS

THRESHOLDS = [(c, name) for c, chosen in DEFAULT_CHECKS.items() for name in chosen.thresholds]


def with_threshold(check_id: str, name: str, value: float) -> GatePolicySettings:
    return GatePolicySettings(checks={check_id: CheckSettings(thresholds={name: value})})


def test_every_threshold_has_words_and_bounds_and_no_others_do() -> None:
    assert set(BOUNDS) == set(THRESHOLDS)
    assert all(bound.words.count("{}") == 1 for bound in BOUNDS.values())


def test_the_defaults_lie_within_the_bounds() -> None:
    settings_require_bounds(GatePolicySettings())
    spoken = [sentence for _, sentence in sentences(GatePolicySettings())]
    assert all(
        BOUNDS[check_id, name].sentence(DEFAULT_CHECKS[check_id].thresholds[name]) in spoken
        for check_id, name in THRESHOLDS
    )


@pytest.mark.parametrize(("check_id", "name"), THRESHOLDS)
def test_a_threshold_beyond_its_bounds_is_refused_by_name(check_id: str, name: str) -> None:
    bound = BOUNDS[check_id, name]
    for value in (bound.low - 0.001, bound.high + 0.001, float("nan")):
        with pytest.raises(GateError, match=f"{check_id} {name} is"):
            settings_require_bounds(with_threshold(check_id, name, value))


def test_the_bounds_themselves_are_allowed() -> None:
    settings_require_bounds(with_threshold("G4", "budget", BOUNDS["G4", "budget"].high))
    settings_require_bounds(with_threshold("G4", "budget", BOUNDS["G4", "budget"].low))


def test_a_warning_below_the_threshold_that_blocks_is_refused() -> None:
    with pytest.raises(GateError, match="never be seen"):
        settings_require_bounds(with_threshold("G11", "ratio_advised", 0.4))


@pytest.mark.parametrize(
    "chosen",
    [
        GatePolicySettings(alpha=0.5),
        GatePolicySettings(max_labels=5),
        GatePolicySettings(max_age_hours=100_000),
        GatePolicySettings(checks={"G0": CheckSettings(enabled=False)}),
        GatePolicySettings(checks={"G77": CheckSettings()}),
    ],
)
def test_settings_that_would_switch_the_gate_off_are_refused(chosen: GatePolicySettings) -> None:
    with pytest.raises(GateError):
        settings_require_bounds(chosen)


def test_words_show_shares_as_percentages() -> None:
    spoken = dict(sentences(with_threshold("G3", "share", 0.45)))
    assert BOUNDS["G3", "share"].sentence(0.45) in [
        sentence for _, sentence in sentences(with_threshold("G3", "share", 0.45))
    ]
    assert "45%" in BOUNDS["G3", "share"].sentence(0.45)
    assert "10 nats" in spoken["G4"]


def test_every_setting_stands_in_the_docs_with_its_default_and_bounds() -> None:
    page = (Path(__file__).parents[3] / "docs/how-to/own-gate-policy.md").read_text()
    for (check_id, name), bound in BOUNDS.items():
        default = DEFAULT_CHECKS[check_id].thresholds[name]
        row = f"| `{check_id} {name}` | {default:g} | {bound.low:g} | {bound.high:g} |"
        assert row in page
