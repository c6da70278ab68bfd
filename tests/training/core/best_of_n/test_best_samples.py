"""Which of n completions wins, and what is learned from it."""

from __future__ import annotations

import torch

from training.core.best_of_n.best_samples import Examples, best_samples_choose
from training.core.rollout.episodes import Episodes
from training.core.rollout.metrics import Scores

# Two prompts with two completions each; the second one of the first prompt did not end.
DRAWN = Episodes(
    prompts=[[5, 6], [5, 6], [7], [7]],
    responses=[[10, 2], [11, 12], [13, 2], [14, 2]],
    ended=[True, False, True, True],
    texts=["a", "b", "c", "d"],
)
TRAIN, HELD_OUT = torch.tensor([1.0, 1.5, 4.0, 3.0]), torch.tensor([10.0, 11.0, 12.0, 13.0])


def test_the_highest_score_wins_after_the_fine_for_a_missing_end() -> None:
    scores = Scores(TRAIN, TRAIN, TRAIN, held_out=HELD_OUT)
    asked = [(0, 1), (2, 0)]  # (place among the iteration's prompts, prompt)
    free = best_samples_choose(asked, DRAWN, scores, n=2, missing_eos_penalty=0.0)
    assert [(w.place, w.prompt, w.text, w.score, w.held_out) for w in free.winners] == [
        (0, 1, "b", 1.5, 11.0),
        (2, 0, "c", 4.0, 12.0),
    ]
    fined = best_samples_choose(asked, DRAWN, scores, n=2, missing_eos_penalty=1.0)
    assert [w.text for w in fined.winners] == ["a", "c"]
    assert fined.train.tolist() == [[1.0, 0.5], [4.0, 3.0]]
    assert fined.held_out is not None
    assert fined.held_out.tolist() == [[10.0, 11.0], [12.0, 13.0]]


def test_without_a_held_out_model_its_score_is_unknown() -> None:
    scores = Scores(TRAIN, TRAIN, TRAIN)
    draw = best_samples_choose([(0, 0), (1, 1)], DRAWN, scores, n=2, missing_eos_penalty=0.0)
    assert draw.held_out is None
    assert [winner.held_out for winner in draw.winners] == [None, None]


def test_a_process_without_a_prompt_draws_nothing() -> None:
    empty, none = Episodes([], [], [], []), torch.zeros(0)
    draw = best_samples_choose([], empty, Scores(none, none, none), n=4, missing_eos_penalty=1.0)
    assert draw.winners == []
    assert draw.train.shape == (0, 4)


def test_the_completion_of_a_winner_is_what_is_learned() -> None:
    scores = Scores(TRAIN, TRAIN, TRAIN)
    draw = best_samples_choose([(0, 1), (1, 0)], DRAWN, scores, n=2, missing_eos_penalty=1.0)
    examples = Examples.of(draw.winners, prompt_ids=[[7], [5, 6]])
    first, second = examples.encoded([0, 1])
    assert (first.ids, first.trained) == ((5, 6, 10, 2), (False, False, True, True))
    assert (second.ids, second.trained) == ((7, 13, 2), (False, True, True))
    again = Examples.from_state(examples.to_state())
    assert again == examples
