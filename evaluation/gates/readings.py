"""What the evaluation programs of a round left behind: the one place where their files are read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from evaluation.contracts import SamplePair
from evaluation.gates.predicting import PairGap
from training import facade as training
from training.contracts import JsonContract, require_finite

ContractT = TypeVar("ContractT", bound=JsonContract)

TrainScores = dict[str, tuple[float, float]]


def measurements_read(run: training.RunRecord, contract: type[ContractT]) -> ContractT:
    document = json.loads(_file(run, "measurements").read_text())
    require_finite(document, "measurements")
    return contract.from_json(document)


def highlights_read(run: training.RunRecord) -> list[SamplePair]:
    """The pairs that a policy evaluation picked for people to look at."""
    return [SamplePair.from_json(row) for row in json.loads(_file(run, "highlights").read_text())]


def samples_read(run: training.RunRecord) -> Iterator[dict[str, Any]]:
    """Rows of the `samples` artifact of a policy evaluation."""
    yield from _rows(_file(run, "samples"))


def train_scores(run: training.RunRecord) -> TrainScores:
    """Prompt id -> train reward of (candidate's, incumbent's) text, as people were shown them."""
    shown = {str(row["prompt_id"]): row for row in samples_read(run) if row["sample"] == 0}
    scores = {
        prompt: tuple(float(row[side]["scores"]["train"]) for side in ("candidate", "incumbent"))
        for prompt, row in shown.items()
    }
    require_finite(scores, "train scores")
    return {prompt: (candidate, incumbent) for prompt, (candidate, incumbent) in scores.items()}


def held_out_gaps(run: training.RunRecord) -> list[PairGap]:
    """The pairs that people may be shown in their drawn order, with the held-out reward model's gap."""
    found = []
    for row in samples_read(run):
        if row["sample"] > 0:
            continue
        ours, theirs = row["candidate"], row["incumbent"]
        gap = float(ours["scores"]["held_out"]) - float(theirs["scores"]["held_out"])
        found.append(PairGap(str(row["prompt_id"]), gap, ours["text"] == theirs["text"]))
    require_finite([pair.gap for pair in found], "held-out scores")
    return found


@dataclass(frozen=True)
class PairTexts:
    """Of the pairs that people may be shown, one a prompt: `identical` are of one and the same text."""

    pairs: int
    identical: int

    @property
    def differing(self) -> int:
        return self.pairs - self.identical


def pair_texts(run: training.RunRecord) -> PairTexts:
    same = [
        row["candidate"]["text"] == row["incumbent"]["text"]
        for row in samples_read(run)
        if row["sample"] == 0
    ]
    return PairTexts(len(same), sum(same))


def groups_shared(snapshot: training.SnapshotRecord, run: training.RunRecord) -> set[str]:
    """Prompt groups that are both learned from and judged on."""
    preferences = training.input_local(training.input_from_snapshot(snapshot))
    prompts = training.input_local(training.input_of_run(run, "prompts"))
    learned = {row["group"] for row in _rows(preferences)}
    return learned & {row["group"] for row in _rows(prompts)}


def _file(run: training.RunRecord, artifact: str) -> Path:
    return training.input_local(training.input_from_run(run, artifact))


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
