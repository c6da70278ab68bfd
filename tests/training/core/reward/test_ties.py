import math

import pytest
import torch

from tests.support.tiny_models import tiny_classifier
from tests.training.core.reward.independent import davidson_by_strengths, rao_kupper_by_strengths
from training.core.reward.ties import (
    TieModel,
    davidson,
    outcome_log_probs,
    outcome_shares,
    pair_nll,
    rao_kupper,
    tie_attach,
    tie_loss,
    tie_start,
    tie_value,
    ties_mean,
    win_log_odds,
    without_tie,
)

SCORES = [(0.0, 0.0), (1.3, 0.2), (-2.0, 1.5), (4.0, -4.0), (0.1, 0.2)]
MODELS = {"rao_kupper": rao_kupper_by_strengths, "davidson": davidson_by_strengths}


def t(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("parameter", [0.05, 0.7, 3.0])
def test_probabilities_are_those_of_the_paper_and_sum_to_one(kind, parameter):
    difference = t(*(first - second for first, second in SCORES))
    found = outcome_log_probs(difference, kind, t(parameter)).exp()
    assert found.sum(-1).tolist() == pytest.approx([1.0] * len(SCORES), abs=1e-12)
    for row, (first, second) in zip(found.tolist(), SCORES, strict=True):
        assert row == pytest.approx(MODELS[kind](first, second, parameter), abs=1e-12)


def test_half_knows_no_tie():
    found = outcome_log_probs(t(math.log(3)), "half", t(0.0)).exp()
    assert found.tolist() == [pytest.approx([3 / 4, 0, 1 / 4])]


def test_extreme_differences_stay_finite():
    for model in (rao_kupper, davidson):
        found = model(torch.tensor([-200.0, 200.0]), torch.tensor(1e-3))
        assert torch.isfinite(found).all()


@pytest.mark.parametrize("kind", MODELS)
def test_parameter_starts_where_equal_scores_tie_as_often_as_the_pairs(kind):
    start = tie_start(kind, 0.3)
    win, tie, loss = MODELS[kind](0.0, 0.0, start)
    assert [tie, win] == pytest.approx([0.3, loss])


def test_shares_of_a_soft_label_with_ties():
    # of ten votes 5 say the first, 2 tie, 3 the second: p = 0.5 + 0.2 / 2
    assert outcome_shares(t(0.6), t(0.2)).tolist() == [pytest.approx([0.5, 0.2, 0.3])]


def test_outcome_that_cannot_be_and_was_not_costs_nothing():
    loss = tie_loss(outcome_log_probs(t(0.0), "half", t(0.0)), outcome_shares(t(1.0), t(0.0)))
    assert loss.item() == pytest.approx(math.log(2))


def test_likelihood_of_half_is_bradley_terry_and_of_a_model_its_own():
    d, p, ties = t(1.0, 1.0), t(1.0, 0.5), t(0.0, 1.0)
    half = pair_nll(d, p, ties, TieModel()).tolist()
    win, loss = math.log1p(math.exp(-1)), math.log1p(math.e)
    assert half == pytest.approx([win, (win + loss) / 2])
    own = pair_nll(d, p, ties, TieModel("davidson", 0.4)).tolist()
    expected = davidson_by_strengths(1.0, 0.0, 0.4)
    assert own == pytest.approx([-math.log(expected[0]), -math.log(expected[1])])


@pytest.mark.parametrize("kind", ["half", "rao_kupper", "davidson"])
def test_odds_of_winning_leave_the_ties_out(kind):
    found = win_log_odds(t(1.2), TieModel(kind, 0.8)).item()
    if kind == "half":
        assert found == 1.2
    else:
        win, _, loss = MODELS[kind](1.2, 0.0, 0.8)
        assert found == pytest.approx(math.log(win / loss))


def test_members_parameters_are_averaged_beside_their_differences():
    assert ties_mean("half", [0.0, 0.0]) == TieModel()
    assert ties_mean("rao_kupper", [0.2, 0.8]).parameter == pytest.approx(0.5)
    assert ties_mean("davidson", [0.5, 2.0]).parameter == pytest.approx(1.0)


@pytest.mark.parametrize("learned", [True, False])
def test_parameter_travels_with_the_model_but_not_into_its_files(learned):
    model = tiny_classifier().model
    names = set(model.state_dict())
    tie_attach(model, "davidson", start=0.7, learned=learned)
    value = tie_value(model)
    assert value is not None
    assert value.item() == pytest.approx(0.7, rel=1e-6)
    assert value.requires_grad is learned
    assert set(without_tie(model.state_dict())) == names < set(model.state_dict())


def test_plain_model_has_no_parameter():
    model = tiny_classifier().model
    tie_attach(model, "half", start=1.0, learned=True)
    assert tie_value(model) is None
