"""Odd families, one of a kind, through the steps of `benchmarks.architectures`, which walks all of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.architecture_models import model_write
from benchmarks.architecture_steps import Outcome, step_try
from tests.support.documented import assert_said

CPU_SECONDS = 60


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def tried(step: str, family: str, folder: Path) -> Outcome:
    model_write(family, folder / "model")
    return step_try(step, folder, limit=CPU_SECONDS)


@pytest.mark.parametrize(
    ("family", "step"),
    [
        ("gemma2", "policy"),  # sliding windows shorter than the texts
        ("mamba", "SFT, LoRA"),  # a matrix that its kernel reads past any adapter
        ("falcon_mamba", "PPO"),  # recurrent states, rows of which leave
        ("gpt_oss", "DPO, LoRA"),  # experts in one tensor
        ("llama4_text", "PPO, LoRA"),  # routers that are linear layers; no base model by its name
        ("albert", "backbone"),  # layers that cannot be recomputed
        ("mamba2", "reward model"),  # no classifier in the library
    ],
)
def test_an_odd_family_is_trained_and_its_numbers_agree(
    tmp_path: Path, family: str, step: str
) -> None:
    assert tried(step, family, tmp_path).why == ""


@pytest.mark.parametrize(
    ("family", "step", "sentence"),
    [
        ("bert", "SFT", "reads what comes later"),
        (
            "xmod",
            "reward model",
            "its own code fails on plain texts (score: Input language unknown",
        ),
        ("rwkv", "PPO", "its own code fails on plain texts (training pass: one of the variables"),
        ("fnet", "reward model", "scores a text differently alone and in a batch"),
        ("reformer", "reward model", "does not read all of it"),
        ("xlstm", "without a padding token", "cannot grow to them"),
        ("blenderbot", "SFT", "beside padding than alone"),
        ("cpmant", "without a padding token", "its output has"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_sentence_before_any_step(
    tmp_path: Path, family: str, step: str, sentence: str
) -> None:
    outcome = tried(step, family, tmp_path)
    assert (outcome.state, sentence in outcome.why) == ("refused", True), outcome


@pytest.mark.parametrize(
    ("family", "step", "case"),
    [
        ("deberta-v2", "DPO", "no language model of this family"),
        ("emu3", "SFT", "a text part alone"),
        ("canine", "backbone", "no table of embeddings"),
    ],
)
def test_what_lacks_a_part_is_refused_as_documented(
    tmp_path: Path, family: str, step: str, case: str
) -> None:
    outcome = tried(step, family, tmp_path)
    assert outcome.state == "refused"
    assert_said(case, outcome.why)


def test_relative_positions_without_an_end_are_no_limit(tmp_path: Path) -> None:
    outcome = tried("SFT", "xlnet", tmp_path)
    assert "reads what comes later" in outcome.why


@pytest.mark.parametrize("family", ["gemma4_text", "llama4_text"])
def test_the_text_part_of_a_larger_model_can_stand_under_a_head(
    tmp_path: Path, family: str
) -> None:
    assert tried("backbone", family, tmp_path).why == ""
