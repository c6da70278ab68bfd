"""Every loss against an independent formula, its reductions to Bradley-Terry, and its gradients."""

import math
from typing import Any

import pytest
import torch

from tests.training.core.reward.independent import pair_loss_by_hand
from training.contracts import ContractError, ModelSource, RewardModelConfig
from training.core.data.pairs import Labels
from training.core.reward.objective import LossSettings, loss_settings, pair_loss

FIRST = [0.3, -1.0, 2.0, 0.7, -0.2]
SECOND = [0.1, 2.0, 2.0, -0.9, 0.4]
PREFERENCE = [1.0, 0.0, 0.5, 0.7, 0.35]
STRENGTH = [1.0, 6.0, 4.0, 3.0, 5.0]
TIE_SHARE = [0.0, 0.0, 1.0, 0.0, 0.3]


def t(values):
    return torch.tensor(values, dtype=torch.float64)


def labels(preference=PREFERENCE, strength=STRENGTH, tie_share=TIE_SHARE):
    unread = torch.zeros(len(preference), dtype=torch.float64)
    return Labels(t(preference), t(strength), t(tie_share), unread, unread)


CASES: dict[str, tuple[LossSettings, dict[str, Any]]] = {
    "plain": (LossSettings(), {}),
    "margins": (LossSettings(margins=(0.2, 0.5, 1.5)), {"margins": (0.2, 0.5, 1.5)}),
    "smoothing": (LossSettings(label_smoothing=0.05), {"smoothing": 0.05}),
    "centering": (LossSettings(centering=0.01), {"centering": 0.01}),
    "rao_kupper": (LossSettings(ties="rao_kupper"), {"ties": "rao_kupper", "parameter": 0.6}),
    "davidson": (LossSettings(ties="davidson"), {"ties": "davidson", "parameter": 0.6}),
    "all but ties": (
        LossSettings(margins=(1 / 3, 2 / 3, 1.0), label_smoothing=0.1, centering=0.02),
        {"margins": (1 / 3, 2 / 3, 1.0), "smoothing": 0.1, "centering": 0.02},
    ),
    "ties, smoothed and centred": (
        LossSettings(ties="davidson", label_smoothing=0.1, centering=0.02),
        {"ties": "davidson", "parameter": 0.6, "smoothing": 0.1, "centering": 0.02},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_loss_equals_an_independent_formula(case):
    settings, options = CASES[case]
    found = pair_loss(t(FIRST), t(SECOND), labels(), settings, t(0.6)).loss
    rows = zip(FIRST, SECOND, PREFERENCE, STRENGTH, TIE_SHARE, strict=True)
    expected = [pair_loss_by_hand(*row, tie_share=tie, **options) for *row, tie in rows]
    assert found.tolist() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_those_of_finite_differences(case):
    settings, _ = CASES[case]
    inputs = [t(FIRST), t(SECOND), t(0.6)]

    def loss(first, second, parameter):
        return pair_loss(first, second, labels(), settings, parameter).loss.sum()

    first, second, parameter = (value.clone().requires_grad_() for value in inputs)
    loss(first, second, parameter).backward()
    learned = [first, second] + ([parameter] if settings.ties != "half" else [])
    for place, value in enumerate(learned):
        assert value.grad is not None
        for i, slope in enumerate(value.grad.flatten().tolist()):
            moved = []
            for step in (1e-6, -1e-6):
                changed = [value.clone() for value in inputs]
                changed[place].view(-1)[i] += step
                moved.append(loss(*changed).item())
            assert slope == pytest.approx((moved[0] - moved[1]) / 2e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("settings", "parameter"),
    [
        (LossSettings(margins=(0.0, 0.0, 0.0)), None),
        (LossSettings(label_smoothing=0.0, centering=0.0), None),
        (LossSettings(ties="rao_kupper"), 0.0),
        (LossSettings(ties="davidson"), 0.0),
    ],
)
def test_every_loss_without_its_extra_is_plain_bradley_terry(settings, parameter):
    preference = [1.0, 0.0, 1.0, 0.7, 0.35]  # no ties
    plain = [
        math.log1p(math.exp(-(a - b))) * p + math.log1p(math.exp(a - b)) * (1 - p)
        for a, b, p in zip(FIRST, SECOND, preference, strict=True)
    ]
    without_ties = labels(preference, tie_share=[0.0] * 5)
    tie = None if parameter is None else t(parameter)
    found = pair_loss(t(FIRST), t(SECOND), without_ties, settings, tie).loss
    assert found.tolist() == pytest.approx(plain, abs=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_loss_does_not_depend_on_the_slots(case):
    settings, _ = CASES[case]
    turned = labels([1 - p for p in PREFERENCE], [8 - s for s in STRENGTH])
    found = pair_loss(t(FIRST), t(SECOND), labels(), settings, t(0.6)).loss
    other = pair_loss(t(SECOND), t(FIRST), turned, settings, t(0.6)).loss
    torch.testing.assert_close(found, other)


def test_right_order_is_told_from_the_wrong_one():
    result = pair_loss(t(FIRST), t(SECOND), labels(), LossSettings())
    assert result.correct.tolist() == [True, True, True, True, True]
    assert pair_loss(t(SECOND), t(FIRST), labels(), LossSettings()).correct[:2].tolist() == [
        False,
        False,
    ]


# ------------------------------------------------------------------------ settings


def config(**changes):
    return RewardModelConfig(backbone=ModelSource(), **changes)


def test_config_picks_the_loss():
    assert loss_settings(config()) == LossSettings()
    assert loss_settings(config(margin_scale=0.5)).margins == (0.5, 1.0, 1.5)
    chosen = config(margins=(0.1, 0.2, 0.9), label_smoothing=0.1, centering=0.01)
    assert loss_settings(chosen) == LossSettings("half", (0.1, 0.2, 0.9), 0.1, 0.01)
    assert loss_settings(config(ties="davidson")).ties == "davidson"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"members": 0}, "must be at least 1"),
        ({"held_out_share": 1.0}, "the held-out model is always trained"),
        ({"label_smoothing": 0.5}, "must lie in \\[0, 0.5\\)"),
        ({"centering": -0.1}, "must not be negative"),
        ({"margin_scale": 0.1, "margins": (1.0, 2.0, 3.0)}, "both set the margin"),
        ({"margins": (1.0, 2.0)}, "three rising numbers"),
        ({"margins": (3.0, 2.0, 1.0)}, "three rising numbers"),
        ({"margins": (-1.0, 2.0, 3.0)}, "three rising numbers"),
        ({"margin_scale": 0.1, "ties": "rao_kupper"}, "both claim the scores near equality"),
        ({"tie_parameter": 0.3}, "belongs to a tie model"),
        ({"labels": "posterior", "label_smoothing": 0.1}, "choose one"),
        ({"validate_every": -1}, "0 \\(never\\) or more"),
        ({"patience": 0}, "patience must be at least 1"),
        ({"weight_average": True, "members": 1}, "set members to 2 or more"),
    ],
)
def test_settings_that_contradict_one_another_are_refused(changes, sentence):
    with pytest.raises(ContractError, match=sentence):
        config(**changes)
