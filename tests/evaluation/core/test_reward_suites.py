import numpy as np
import pytest

from evaluation.contracts import RewardSuite, RewardSuiteItem
from evaluation.core.reward_suites import (
    Question,
    length_bias,
    questions_credit,
    reward_suite_measure,
    suite_questions,
)
from evaluation.core.rewardbench import SECTIONS, subset_weights
from evaluation.statistics.intervals import cluster_share_interval
from tests.evaluation.recipes.tiny_artifacts import tiny_reward_artifact
from training.core.reward.scoring import reward_model_load


def item(prompt, chosen, rejected, subset="", **fields):
    return RewardSuiteItem(
        ({"role": "user", "content": prompt},), tuple(chosen), tuple(rejected), subset, **fields
    )


def credit(chosen, rejected):
    rows = range(len(chosen) + len(rejected))
    question = Question(0, "", tuple(rows[: len(chosen)]), tuple(rows[len(chosen) :]))
    return questions_credit([question], np.array([*chosen, *rejected], dtype=float))[0]


@pytest.mark.parametrize(
    ("chosen", "rejected", "worth"),
    [
        ([2], [1], 1),
        ([1], [2], 0),
        ([1], [1], 1 / 2),
        ([3], [1, 2, 0], 1),
        ([2], [1, 3, 0], 0),
        ([2], [2, 2, 0], 1 / 3),  # RewardBench 2: one of three at the top
        ([5, 3], [2], 1),
        ([5, 1], [2], 0),  # one right answer below a wrong one
        ([5, 2], [2], 1 / 2),
    ],
)
def test_every_better_answer_must_be_above_every_worse_one(chosen, rejected, worth):
    assert credit(chosen, rejected) == pytest.approx(worth)


def test_scores_that_say_nothing_are_right_as_often_as_chance_says():
    rng = np.random.default_rng(0)
    rows = (tuple(range(2)), tuple(range(2, 5)))
    drawn = [questions_credit([Question(0, "", *rows)], rng.normal(size=5))[0] for _ in range(4000)]
    assert Question(0, "", *rows).chance == 1 / 10
    assert np.mean(drawn) == pytest.approx(0.1, abs=0.015)  # 3 standard errors


def test_a_text_is_scored_once_and_prompts_are_told_apart():
    suite = RewardSuite(
        "s",
        (item("a", ["x"], ["y"]), item("a", ["x"], ["z"]), item("b", ["x"], ["y"])),
    )
    texts, questions = suite_questions(suite)
    assert [text for _, text in texts] == ["x", "y", "z", "x", "y"]
    assert [(q.prompt, q.chosen, q.rejected) for q in questions] == [
        (0, (0,), (1,)),
        (0, (0,), (2,)),
        (1, (3,), (4,)),
    ]


def test_rm_bench_holds_each_style_against_each_other():
    """As its paper counts: hard above the diagonal of the 3 x 3, where the worse answer has more style."""
    _, questions = suite_questions(
        RewardSuite("s", (item("a", "ABC", "xyz", "math", by_style=True),))
    )
    styles = {(q.chosen[0], q.rejected[0] - 3): q.subset for q in questions}
    assert len(styles) == 9
    assert styles[0, 2] == styles[1, 2] == "math, hard"
    assert styles[1, 1] == "math, normal"
    assert styles[2, 0] == "math, easy"


def test_length_bias_looks_at_pairs_by_which_is_the_shorter():
    """Scores are lengths: always right where the better answer is the longer, never where the shorter."""
    questions = [
        Question(0, "", (0,), (1,)),  # 5 tokens against 3
        Question(1, "", (2,), (3,)),  # 2 against 9
        Question(2, "", (4,), (5, 6)),  # 4 against 6 and 1
        Question(3, "", (7,), (8,)),  # equal: in neither
    ]
    tokens = np.array([5, 3, 2, 9, 4, 6, 1, 7, 7], dtype=float)
    found = length_bias(questions, tokens, tokens)
    assert found.shorter is not None
    assert found.longer is not None
    assert (found.shorter.estimate, found.shorter.n) == (0.0, 2)
    assert (found.longer.estimate, found.longer.n) == (1.0, 2)
    only = length_bias(questions[:1], tokens, tokens)
    assert (only.shorter, only.longer) == (None, None)


def test_rewardbench_counts_its_sections_alike_and_within_them_prompts():
    subsets = [subset for section in SECTIONS.values() for subset in section]
    weights, sections = subset_weights(subsets)
    assert sections
    assert sum(weights.values()) == pytest.approx(1)
    assert weights["math-prm"] == pytest.approx(984 / 1968 / 4)
    assert weights["alpacaeval-easy"] == pytest.approx(100 / 358 / 4)
    assert subset_weights(["a", "b"]) == ({"a": 0.5, "b": 0.5}, False)
    assert not subset_weights([*subsets, "own"])[1]


def test_a_suite_is_measured_with_both_models_and_by_length(tmp_path):
    """Against scores of the same artifact, worked out pair by pair."""
    model = reward_model_load(tiny_reward_artifact(tmp_path / "train", members=2))
    held_out = reward_model_load(tiny_reward_artifact(tmp_path / "held", seed=9))
    items = tuple(
        item(f"question {n}?", [f"good {n}"], [f"bad answer {n}"], "one" if n < 4 else "two")
        for n in range(6)
    )
    found = reward_suite_measure(
        RewardSuite("s", items), model, held_out, sha256="0" * 64, direction=-1.0
    )

    def right(scorer):
        sides = ("chosen", "rejected")
        better, worse = (
            scorer.score([(i.messages, getattr(i, s)[0]) for i in items]).raw.mean(0) for s in sides
        )
        return (better > worse).double().numpy()

    for name, scorer in (("accuracy", model), ("held_out", held_out)):
        values = right(scorer)
        one, two = values[:4].mean(), values[4:].mean()
        by_subset = {s.subset: getattr(s, name).estimate for s in found.subsets}
        assert by_subset == pytest.approx({"one": one, "two": two})
        assert getattr(found.mean, name).estimate == pytest.approx((one + two) / 2)
    assert (found.prompts, found.texts, found.mean.questions) == (6, 12, 6)
    assert found.mean.length.estimate == 1.0  # the shorter is always the better here
    assert found.mean.chance == 0.5
    expected = cluster_share_interval(right(model)[:4], range(4))
    assert found.subsets[0].accuracy.low == pytest.approx(expected.low)
    assert set(found.bias) == {"reward_model", "held_out_reward_model"}
    alone = reward_suite_measure(RewardSuite("s", items), model, None, sha256="", direction=1.0)
    assert alone.mean.held_out is None
    assert alone.mean.length.estimate == 0.0
    assert set(alone.bias) == {"reward_model"}
