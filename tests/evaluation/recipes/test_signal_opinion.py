"""The program of the second opinion on a real, tiny reward model: what it learns, measures and refuses."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation.contracts import SignalOpinion
from evaluation.recipes import signal_opinion
from evaluation.recipes.signal_opinion import is_held_out, opinion
from tests.support.tiny_models import TEXTS, json_lines
from training.core.reward.scoring import reward_model_load

from .test_evaluate_reward_model import preference_rows
from .tiny_artifacts import tiny_reward_artifact

GOOD, BAD = TEXTS[1], TEXTS[4]


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("opinion")
    rows = [*preference_rows("train", 20), *preference_rows("test", 60)]
    return {
        "reward_model": str(tiny_reward_artifact(home / "reward", members=2)),
        "preferences": str(json_lines(home / "preferences.jsonl", rows)),
    }


def said(users: int) -> list[dict[str, Any]]:
    """Each user edits the bad answer into the good one, and gives a thumb up or down to one of them."""
    examples = []
    for i in range(users):
        about = {
            "messages": [{"role": "user", "content": TEXTS[i % 7]}],
            "user": str(i),
            "conversation": f"c{i % 40}",
            "up": True,
        }
        examples.append({**about, "text": GOOD, "other": BAD})
        examples.append({**about, "text": (GOOD, BAD)[i % 2], "other": None, "up": i % 2 == 0})
    return examples


def test_it_learns_what_users_say_and_is_measured_on_conversations_that_it_did_not_see(
    order: dict[str, Any],
) -> None:
    found = opinion({**order, "examples": said(90)})
    assert (found.problem, found.pairs, found.votes, found.users) == ("", 90, 90, 90)
    held = [e for e in said(90) if is_held_out(e["conversation"])]
    assert found.held_out == len(held)
    assert 0 < len(held) < 90
    assert found.pairs_right is not None
    assert found.thumbs_told is not None
    assert found.pairs_right.estimate > 0.9
    assert found.thumbs_told.estimate > 0.9
    assert found.pairs_right.n == len({e["user"] for e in held})
    assert found.largest_share <= 0.02


def test_people_s_reward_model_is_read_beside_it(order: dict[str, Any]) -> None:
    """Its figures by its own scores, and the agreement is that of a head that says the contrary."""
    found = opinion({**order, "examples": said(90)})
    model = reward_model_load(Path(order["reward_model"]))
    held = [e for e in said(90) if is_held_out(e["conversation"]) and e["other"] is not None]
    texts = [(e["messages"], text) for e in held for text in (e["text"], e["other"])]
    scores = model.score(texts).raw.mean(0).double().numpy().reshape(-1, 2)
    assert found.pairs_right_people is not None
    right = np.mean(scores[:, 0] > scores[:, 1])
    assert found.pairs_right_people.estimate == pytest.approx(right)
    rows = [row for row in preference_rows("test", 60) if row["preference"] != 0.5]
    assert found.judged == len(rows)
    assert found.agreement is not None
    assert found.labels_right is not None
    assert found.agreement.n == len({row["group"] for row in rows})
    texts = [(row["messages"], text) for row in rows for text in row["completions"]]
    scores = model.score(texts).raw.mean(0).double().numpy().reshape(-1, 2)
    won = np.array([row["preference"] for row in rows]) > 0.5
    assert found.labels_right_people is not None
    assert found.labels_right_people.estimate == pytest.approx(
        np.mean((scores[:, 0] > scores[:, 1]) == won)
    )


def test_too_few_users_train_nothing(order: dict[str, Any]) -> None:
    found = opinion({**order, "examples": said(49)})
    assert "49 users said something" in found.problem
    assert (found.pairs, found.pairs_right) == (49, None)
    assert (
        "are left beside the held-out signals" in opinion({**order, "examples": said(51)}).problem
    )


def test_equal_thumbs_train_nothing(order: dict[str, Any]) -> None:
    thumbs = [{**e, "up": False} for e in said(90) if e["other"] is None]
    assert "all thumbs are the same" in opinion({**order, "examples": thumbs}).problem


def test_the_program_reads_an_order_and_prints_the_opinion(
    order: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps({**order, "examples": said(90)})))
    assert signal_opinion.main() == 0
    found = SignalOpinion.from_json(json.loads(capsys.readouterr().out))
    assert found.users == 90
