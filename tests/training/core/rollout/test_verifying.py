"""A check in a process of its own: what it says, and that nothing it does ends the run."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch

from training.core.rollout.rewarding import Rewarder
from training.core.rollout.verifying import Verifier
from training.core.run.errors import UserError

ASKED = [{"role": "user", "content": "Name a colour."}]


@pytest.fixture
def verifier() -> Iterator[Verifier]:
    made = Verifier("tests.support.verifiers:says_blue", seconds=3.0, megabytes=256)
    yield made
    made.close()


def test_it_says_what_the_function_returns(verifier: Verifier) -> None:
    verifier.check()
    assert [verifier(ASKED, text) for text in ("blue", "red")] == [2.0, 0.0]


@pytest.mark.parametrize("text", ["hang", "swallow", "die", "raise", "nan"])
def test_a_text_that_breaks_it_is_not_verified_and_the_next_one_is(
    verifier: Verifier, text: str
) -> None:
    verifier.seconds = 1.0 if text == "hang" else 30.0
    verifier.check()
    assert verifier(ASKED, text) is None
    verifier.seconds = 30.0
    assert verifier(ASKED, "blue") == 2.0


def test_a_process_that_hung_is_ended(verifier: Verifier) -> None:
    verifier.check()
    assert verifier._child is not None
    child = verifier._child.pid
    verifier.seconds = 0.5
    assert verifier(ASKED, "hang") is None
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        ("tests.support.verifiers:no_such", "write it as 'package.module:function'"),
        ("no_such_module:f", "cannot be imported"),
        ("tests.support.verifiers:always_wrong", r"RuntimeError: no tests found\); let it return"),
    ],
)
def test_one_that_cannot_work_is_refused(function: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Verifier(function, seconds=30.0, megabytes=256).check()


def test_what_it_says_is_added_to_the_reward_with_its_weight(verifier: Verifier) -> None:
    verifier.seconds = 30.0

    def length(messages: object, text: str) -> float:
        return float(len(text))

    rewarder = Rewarder(length, None, None, verifier=verifier, verifier_weight=0.5)
    scores = rewarder([ASKED] * 3, ["blue", "red", "raise"])
    assert scores.train.tolist() == [4 + 0.5 * 2, 3.0, 5.0]
    assert scores.train_raw.tolist() == [4.0, 3.0, 5.0]
    assert scores.verified is not None
    assert torch.isnan(scores.verified).tolist() == [False, False, True]
