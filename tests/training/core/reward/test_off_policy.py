"""Importance weights of pairs: worked out by hand, and log-probabilities by the library's own loss."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.nn import functional

from annotation.rows import PreferenceRow, Writer
from tests.support.tiny_models import tiny_policy
from training.contracts import ContractError, ModelSource, OffPolicyConfig, RewardModelConfig
from training.core.data.tokenizers import completion_encode, prompt_encode
from training.core.reward.off_policy import (
    DrawnText,
    importance_factors,
    pair_log_ratios,
    written_by,
    written_log_probs,
)

PROMPT = ({"role": "user", "content": "What is 7 plus 5?"},)
CPU = torch.device("cpu")
OLD = Writer("old")


def row(*writers: Writer, **changes: Any) -> PreferenceRow:
    fields: dict[str, Any] = {
        "id": "1",
        "group": "g",
        "messages": PROMPT,
        "completions": ("7 plus 5 is 12.", "I can't help."),
        "preference": 1.0,
    }
    return PreferenceRow(**(fields | {"writers": writers} | changes))


# ------------------------------------------------------------------------- factors


def test_factors_by_hand() -> None:
    """w = 1, 4, 16 of equal labels: over their mean 7, and an unknown pair keeps 1."""
    ratios = [0.0, math.log(4), None, math.log(16)]
    found = importance_factors(ratios, [1.0] * 4, power=1.0, cap=100.0)
    assert found.factors == pytest.approx([1 / 7, 4 / 7, 1.0, 16 / 7])
    assert (found.known, found.capped) == (3, 0)
    assert found.effective_share == pytest.approx(21**2 / (3 * (1 + 16 + 256)))
    assert found.effective == pytest.approx(441 / 273)


def test_weights_are_flattened_and_then_capped_by_hand() -> None:
    """Square roots 1, 2, 4, of which the last is cut to 3: over their mean 2."""
    ratios = [0.0, math.log(4), math.log(16)]
    found = importance_factors(ratios, [1.0] * 3, power=0.5, cap=3.0)
    assert found.factors == pytest.approx([1 / 2, 1.0, 3 / 2])
    assert found.capped == 1
    assert found.effective_share == pytest.approx(36 / (3 * 14))


def test_the_mean_is_by_the_weights_that_labels_have_by_hand() -> None:
    """Weights 3 and 1 of w 1 and 5: the mean is 2, and 3 * 1/2 + 1 * 5/2 are 4 again."""
    found = importance_factors([0.0, math.log(5)], [3.0, 1.0], power=1.0, cap=10.0)
    assert found.factors == pytest.approx([0.5, 2.5])
    assert found.effective_share == pytest.approx(4**2 / (4 * (3 / 4 + 25 / 4)))


@pytest.mark.parametrize("shift", [-2000.0, 0.0, 700.0])
def test_ratios_beyond_any_number_still_weigh_against_one_another(shift: float) -> None:
    found = importance_factors([shift, shift + math.log(3)], [1.0, 1.0], power=1.0, cap=math.inf)
    assert found.factors == pytest.approx([0.5, 1.5])


def test_what_no_policy_is_known_to_have_written_keeps_its_weight() -> None:
    nothing = importance_factors([None, None], [1.0, 2.0], power=1.0, cap=10.0)
    assert (nothing.factors, nothing.known, nothing.effective_share) == ([1.0, 1.0], 0, 1.0)
    idle = importance_factors([1.0, None], [0.0, 2.0], power=1.0, cap=10.0)  # of weight 0
    assert idle.factors == [1.0, 1.0]


def test_a_pair_of_the_current_policy_alone_changes_nothing() -> None:
    found = importance_factors([0.0, 0.0], [1.0, 0.5], power=1.0, cap=10.0)
    assert found.factors == pytest.approx([1.0, 1.0])
    assert found.effective_share == pytest.approx(1.0)


# -------------------------------------------------------------------------- ratios


def test_the_ratio_of_a_pair_is_the_product_of_its_completions() -> None:
    one, two = (DrawnText(PROMPT, text, OLD) for text in ("a", "b"))
    pairs = [(one, two), (one, None), (None, None), (one, two)]
    present = {(0, 0): -3.0, (0, 1): -5.0, (1, 0): -3.0, (3, 1): -4.0}
    then = {(0, 0): -4.0, (0, 1): -4.5, (1, 0): -1.0, (3, 1): -6.0}
    # The first completion of the last pair was written by the current policy: it stands in neither.
    assert pair_log_ratios(pairs, present, then) == [0.5, -2.0, None, 2.0]


def test_who_wrote_is_known_of_models_at_hand_that_drew_from_their_whole_distribution() -> None:
    names = {"old": "writer_old"}
    known = DrawnText(PROMPT, "7 plus 5 is 12.", Writer("writer_old", 0.7, ended=False))
    drawn = Writer("old", 0.7, ended=False)
    assert written_by(row(drawn, Writer()), names) == (known, None)
    assert written_by(row(), names) == (None, None)  # a snapshot that says nothing of writers
    for other in (
        Writer("gone"),
        Writer("old", top_k=5),
        Writer("old", top_p=0.9),
        Writer("old", 0.0),
    ):
        assert written_by(row(other, other), names) == (None, None)


def test_a_row_has_two_writers_or_none_and_keeps_its_file_without() -> None:
    assert "writers" not in row().to_json()
    again = PreferenceRow.from_json(row(OLD, Writer()).to_json())
    assert again.writers == (OLD, Writer())
    with pytest.raises(ValueError, match="'writers' must hold two or none, not 1"):
        row(OLD)


# --------------------------------------------------------------- log-probabilities


def by_the_library(policy: Any, one: DrawnText) -> float:
    """One text at a time, by softmax of the model's own logits."""
    prompt = prompt_encode(policy.tokenizer, one.messages)
    response = completion_encode(policy.tokenizer, one.text)
    response = response if one.writer.ended else response[:-1]
    with torch.no_grad():
        logits = policy.model(input_ids=torch.tensor([prompt + response])).logits[0]
    table = functional.log_softmax(logits / one.writer.temperature, -1)
    return sum(float(table[len(prompt) - 1 + i, token]) for i, token in enumerate(response))


def test_a_text_has_the_log_probability_that_it_was_drawn_by() -> None:
    policy = tiny_policy(seed=2)
    policy.model.eval()
    texts = [
        DrawnText(PROMPT, "7 plus 5 is 12.", Writer("w")),
        DrawnText(PROMPT, "7 plus 5 is 12.", Writer("w", ended=False)),
        DrawnText(PROMPT, "7 plus 5 is 12.", Writer("w", 0.5)),
        DrawnText(
            (*PROMPT, {"role": "assistant", "content": "12"}, *PROMPT), "3000 m.", Writer("w")
        ),
    ]
    found = written_log_probs(policy, texts, batch_size=3, device=CPU)
    expected = [by_the_library(policy, one) for one in texts]
    assert found.tolist() == pytest.approx(expected, abs=1e-4)
    assert len({round(value, 3) for value in expected}) == 4


def test_of_nothing_drawn_it_is_0_and_of_what_is_too_long_unknown() -> None:
    texts = [DrawnText(PROMPT, "", Writer("w", ended=False)), DrawnText(PROMPT, "12 " * 200, OLD)]
    found = written_log_probs(tiny_policy(), texts, batch_size=2, device=CPU)
    assert float(found[0]) == 0.0
    assert math.isnan(float(found[1]))


# ------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("changes", "asked", "said"),
    [
        ({"loss": "plackett_luce"}, {}, "loss 'plackett_luce' learns rankings as a whole"),
        ({"cross_prompt_share": 1.0}, {}, "set cross_prompt_share to 0, or off_policy.correction"),
        ({}, {"power": 0.0}, "a power above 0, up to 1"),
        ({}, {"power": 1.5}, "a power above 0, up to 1"),
        ({}, {"cap": 0.5}, "a cap of 1 or more"),
        ({}, {"least_effective_share": 1.0}, "not 1.0, 10.0 and 1.0"),
    ],
)
def test_settings_that_contradict_it_are_refused(
    changes: dict[str, Any], asked: dict[str, Any], said: str
) -> None:
    weighed = OffPolicyConfig(**({"correction": "importance"} | asked))
    with pytest.raises(ContractError, match=said):
        RewardModelConfig(backbone=ModelSource(), off_policy=weighed, **changes)
    RewardModelConfig(backbone=ModelSource(), **changes)


@pytest.mark.parametrize("labels", ["votes", "vote_shares", "posterior"])
def test_it_goes_with_every_way_of_joining_votes(labels: Any) -> None:
    weighed = OffPolicyConfig(correction="importance")
    assert RewardModelConfig(backbone=ModelSource(), off_policy=weighed, labels=labels).labels
