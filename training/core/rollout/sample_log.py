"""RUN/samples.jsonl: a few completions of some updates with their scores, for people to read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from annotation.rows import PromptRow
from training.contracts import ArtifactRef
from training.core.rollout.episodes import Episodes
from training.core.rollout.metrics import Scores
from training.core.run.artifacts import file_write
from training.core.run.environment import json_finite
from training.core.run.run_directory import Run

__all__ = ["SampleLog"]

FILE = "samples.jsonl"
PER_UPDATE = 8


class SampleLog:
    """Rewritten whole at every addition: small, never torn, and easy to take back on a resume.

    `update` counts the updates behind the policy that wrote the completion.
    """

    def __init__(self, run: Run[Any], name: str) -> None:
        self._run, self._name = run, name
        self._rows: list[dict[str, Any]] = []

    def keep_before(self, update: int) -> None:
        """Read what an earlier attempt wrote, without the rows that this one will write again."""
        path = self._run.directory / FILE
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        rows = [json.loads(line) for line in lines]
        self._rows = [row for row in rows if row["update"] < update]

    def add(
        self, update: int, prompts: Sequence[PromptRow], episodes: Episodes, scores: Scores
    ) -> None:
        """The first completions of a rollout; prompts come shuffled, so they are a fair sample."""
        for row, prompt in enumerate(prompts[:PER_UPDATE]):
            self._rows.append(
                {
                    "update": update,
                    "prompt_id": prompt.id,
                    "messages": list(prompt.messages),
                    "text": episodes.texts[row],
                    "tokens": len(episodes.responses[row]),
                    "ended": bool(episodes.ended[row]),
                    "reward_train": _at(scores.train, row),
                    "reward_held_out": _at(scores.held_out, row),
                }
            )
        if self._run.main:
            file_write(self._run.directory / FILE, self._content(), guard=self._run.guard)

    def artifact(self) -> ArtifactRef:
        return self._run.write_file(self._name, FILE, self._content())

    def _content(self) -> bytes:
        lines = [json.dumps(json_finite(row), ensure_ascii=False) for row in self._rows]
        return "".join(line + "\n" for line in lines).encode()


def _at(scores: Tensor | None, row: int) -> float | None:
    return None if scores is None else float(scores[row])
