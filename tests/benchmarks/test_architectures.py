"""The walk over all architectures: it leaves none out, and a row that crashes says so."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.models.auto import modeling_auto

from benchmarks import architecture_steps
from benchmarks.architecture_configs import EXCEPTIONS
from benchmarks.architecture_models import families, model_write, plain_load
from benchmarks.architecture_numbers import policy_numbers, reload_numbers
from benchmarks.architecture_steps import STEPS, Outcome, step_try
from benchmarks.architecture_table import PAGE, RESULTS, page_text
from benchmarks.architectures import NOT_TRIED, family_try, faults_of, in_process

Told = Iterator[tuple[str, Outcome | None]]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_every_family_of_the_library_s_own_lists_is_walked() -> None:
    listed = {
        *modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        *modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    }
    assert set(families()) == listed
    assert len(listed) > 150
    assert {*NOT_TRIED, *EXCEPTIONS} <= listed
    assert len(NOT_TRIED) < 8


KNOWN: dict[str, list[str]] = {}
"""Faults that the stored table still has, each in its row; a new one fails here."""


def test_the_stored_table_has_every_family_and_no_new_fault() -> None:
    stored = json.loads(RESULTS.read_text())
    if stored["transformers"] != metadata.version("transformers"):
        pytest.skip("another version of transformers has other families")
    rows = stored["families"]
    assert [row["family"] for row in rows] == families()
    assert {row["family"]: found for row in rows if (found := faults_of(row))} == KNOWN
    assert all("not_tried" in row or set(row["steps"]) == set(STEPS) for row in rows)
    assert PAGE.read_text() == page_text(rows, stored)


# ------------------------------------------------------------------------------ crashes


def test_a_step_that_raises_is_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Path) -> Outcome:
        raise RuntimeError("of two\n  lines")

    monkeypatch.setitem(STEPS, "SFT", fails)
    outcome = step_try("SFT", tmp_path, limit=60)
    assert outcome.state == "crash"
    assert outcome.why.startswith("RuntimeError: of two lines (test_architectures.py:")


def test_a_step_without_an_end_is_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(_: Path) -> Outcome:
        while True:
            pass

    monkeypatch.setitem(STEPS, "SFT", endless)
    outcome = step_try("SFT", tmp_path, limit=1)
    assert (outcome.state, outcome.why[:7]) == ("crash", "TooSlow")


def test_a_process_that_dies_leaves_a_crash_and_what_it_had_done(tmp_path: Path) -> None:
    def dies() -> Told:
        yield "policy", None
        yield "policy", Outcome("works")
        yield "SFT", None
        os.kill(os.getpid(), signal.SIGKILL)

    found = in_process(dies, tmp_path / "log")
    assert found["policy"] == Outcome("works")
    assert found["SFT"] == Outcome("crash", "the process ended with signal 9")


def test_a_process_that_takes_too_much_memory_is_stopped(tmp_path: Path) -> None:
    def grows() -> Told:
        yield "SFT", None
        held = [bytearray(1 << 30) for _ in range(8)]
        yield "SFT", Outcome(f"{len(held)}")

    assert in_process(grows, tmp_path / "log")["SFT"].state == "crash"


def test_a_family_that_cannot_be_built_is_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXCEPTIONS, "gpt2", {"n_head": 5})
    row = family_try("gpt2", tmp_path / "now", commit="")
    assert list(row["steps"]) == ["built"]
    assert faults_of(row) == ["built crash"]


# ------------------------------------------------------------------------------ numbers


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("built") / "llama"
    model_write("llama", path)
    return path


def test_numbers_that_agree_have_nothing_to_say(llama: Path) -> None:
    assert policy_numbers(llama) == ""


def test_an_encoder_s_numbers_say_that_it_reads_what_comes(tmp_path: Path) -> None:
    model_write("bert", tmp_path / "bert")
    assert "what stands later changes what stands before" in policy_numbers(tmp_path / "bert")


def test_an_artifact_of_other_weights_is_wrong(llama: Path) -> None:
    rows = [[9, 10, 11]]
    model = plain_load(llama)
    logits = [model(input_ids=torch.tensor(rows)).logits[0].detach()]
    assert reload_numbers(llama, rows, logits, tied=False) == ""
    assert "tied otherwise" in reload_numbers(llama, rows, logits, tied=True)
    assert "off by 1" in reload_numbers(llama, rows, [logits[0] + 1], tied=False)


def test_what_is_said_to_work_and_does_not_is_wrong(
    llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def off(_: Path) -> str:
        return "off by 2"

    monkeypatch.setattr(architecture_steps, "policy_numbers", off)
    folder: Any = llama.parent
    (folder / "model").symlink_to(llama)
    assert step_try("policy", folder, limit=60).state == "wrong"
