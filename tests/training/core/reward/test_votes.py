import math
import random

import pytest
import torch

from tests.training.core.reward.pairs import pair_of
from training.core.data.pairs import labels_of
from training.core.reward.ties import TieModel, pair_nll
from training.core.reward.votes import RaterVote, pair_posteriors, pairs_merge, rater_reliabilities


def test_posterior_by_hand():
    # two raters right in 0.8 and one in 0.6 of their votes: odds 4 * (1/4) * 1.5 = 1.5
    votes = [
        RaterVote("x", "a", 1.0),
        RaterVote("x", "b", 0.0),
        RaterVote("x", "c", 1.0),
        RaterVote("y", "a", 0.5),
    ]
    found = pair_posteriors(votes, {"a": 0.8, "b": 0.8, "c": 0.6})
    assert found == {"x": pytest.approx(0.6), "y": pytest.approx(0.5)}


def test_reliabilities_are_found_again():
    generator = random.Random(1)
    right = {"good": 0.95, "fair": 0.8, "poor": 0.55}
    votes = []
    for i in range(1200):
        truth = generator.random() < 0.5
        votes += [
            RaterVote(i, rater, float(truth == (generator.random() < share)))
            for rater, share in right.items()
        ]
    found = rater_reliabilities(votes)
    assert found == {rater: pytest.approx(share, abs=0.06) for rater, share in right.items()}


def test_rater_whom_nobody_can_check_stays_at_the_prior():
    votes = [RaterVote(i, "alone", float(i % 2)) for i in range(500)]
    assert rater_reliabilities([*votes, RaterVote("z", "tied", 0.5)]) == {
        "alone": pytest.approx(0.8, abs=1e-3),
        "tied": pytest.approx(0.8),
    }


def test_a_rater_s_repeats_are_one_vote():
    # b is right in 0.6: said three times it would be 1.5^3 = 3.4 to 1, and outvote a's 4 to 1 by little less
    votes = [RaterVote("x", "a", 1.0), *[RaterVote("x", "b", 0.0)] * 3]
    found = pair_posteriors(votes, {"a": 0.8, "b": 0.6})
    assert found["x"] == pytest.approx((4 / 1.5) / (1 + 4 / 1.5))
    # who contradicts themselves says nothing; votes without a name are of different people
    torn = [RaterVote("x", "a", 1.0), RaterVote("x", "a", 0.0)]
    assert pair_posteriors(torn, {"a": 0.8})["x"] == pytest.approx(0.5)
    nameless = [RaterVote("x", "", 1.0), RaterVote("x", "", 1.0)]
    assert pair_posteriors(nameless, {"": 0.8})["x"] == pytest.approx(16 / 17)


def test_a_rater_cannot_confirm_themselves():
    repeated = [RaterVote(i, "alone", 1.0) for i in range(100) for _ in range(5)]
    assert rater_reliabilities(repeated) == rater_reliabilities(repeated[::5])


def test_repeats_count_once_in_weight_ties_and_posterior_of_merged_votes():
    once = [
        pair_of("a", "b", preference=1.0, strength=1.0, rater="x", weight=1.0),
        pair_of("a", "b", preference=0.5, strength=4.0, rater="z", weight=1.0),
    ]
    again = pair_of("b", "a", preference=0.0, strength=7.0, rater="x", weight=1.0)
    (merged,), (plain,) = (pairs_merge(v, "posterior") for v in ([*once, again, again], once))
    assert merged.row.preference == pytest.approx(plain.row.preference)
    assert merged.row.preference == pytest.approx(0.25 + 0.5 * 0.8, abs=1e-2)
    assert [merged.row.weight, merged.ties] == [plain.row.weight, plain.ties] == [1.0, 0.5]


def several():
    return [
        pair_of("a", "b", preference=1.0, strength=1.0, rater="x", weight=1.0),
        pair_of("b", "a", preference=0.0, strength=6.0, rater="y", weight=1.0),
        pair_of("a", "b", preference=0.5, strength=4.0, rater="z", weight=2.0),
        pair_of("a", "c", preference=0.0, strength=5.0, rater="x", weight=1.0),
    ]


def test_votes_one_by_one_are_left_as_they_are():
    assert pairs_merge(several(), "votes") == several()


def test_vote_shares_by_hand():
    merged = pairs_merge(several(), "vote_shares")
    assert [p.row.completions for p in merged] == [("a", "b"), ("a", "c")]
    # votes 1, 1 (turned) and a tie of weight 2: p = (1 + 1 + 2 / 2) / 4; strength (1 + 2 + 8) / 4
    assert merged[0].row.preference == pytest.approx(0.75)
    assert merged[0].row.strength == pytest.approx(2.75)
    assert [merged[0].row.weight, merged[0].ties] == pytest.approx([4.0, 0.5])
    assert (merged[1].row.preference, merged[1].row.weight, merged[1].ties) == (0.0, 1.0, 0.0)


@pytest.mark.parametrize(
    "ties", [TieModel(), TieModel("rao_kupper", 0.5), TieModel("davidson", 0.5)]
)
def test_vote_shares_are_the_objective_of_the_votes_one_by_one(ties):
    scores = {"a": 0.9, "b": 0.1, "c": -0.4}

    def objective(pairs):
        labels = labels_of(pairs)
        difference = torch.tensor([scores[a] - scores[b] for a, b in names(pairs)])
        return (
            labels.weight * pair_nll(difference, labels.preference, labels.tie_share, ties)
        ).sum()

    def names(pairs):
        return [pair.row.completions for pair in pairs]

    torch.testing.assert_close(
        objective(pairs_merge(several(), "vote_shares")), objective(several())
    )


def test_posterior_of_merged_votes_weighs_ties_in():
    merged = pairs_merge(several(), "posterior")
    # with so few votes raters stay near 0.8: two of them agree, and half the weight is a tie
    raters = rater_reliabilities(
        [
            RaterVote("ab", "x", 1.0),
            RaterVote("ab", "y", 1.0),
            RaterVote("ab", "z", 0.5),
            RaterVote("ac", "x", 0.0),
        ]
    )
    odds = math.prod(raters[r] / (1 - raters[r]) for r in ("x", "y"))
    assert merged[0].row.preference == pytest.approx(0.25 + 0.5 * odds / (1 + odds))
    assert [merged[0].row.weight, merged[0].ties] == pytest.approx([4 / 3, 0.5])
    assert merged[1].row.preference == pytest.approx(1 - raters["x"])


def test_votes_that_weigh_nothing_keep_their_mean():
    pairs = [pair_of("a", "b", preference=p, weight=0.0) for p in (1.0, 0.0)]
    (merged,) = pairs_merge(pairs, "vote_shares")
    assert (merged.row.preference, merged.row.weight) == (0.5, 0.0)
