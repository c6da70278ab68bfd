"""Real votes from file to reward model: the import's counts, then a reward stage on whole topics.

A part of the file (see `tests.support.crowd_votes`); `python -m benchmarks.real_votes` does it with all of it.
"""

from __future__ import annotations

import re

import pytest
from django.core.management import call_command

from tests.support.crowd_votes import VOTES, part_write

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        not VOTES.exists(), reason=f"{VOTES} is not there; OUTERLOOP_REAL_DATA names its folder."
    ),
]


def test_real_votes_train_a_reward_model_beside_its_length_baseline(
    capsys, tmp_path, settings, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "160")  # the table in one line a row
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    line = "6f0c7a52-4c0b-4a53-9a0f-9a4fd0a8f001"
    path = tmp_path / VOTES.name
    part_write(path)
    call_command("import_judgments", str(path), line=line, campaign="Arguments")
    taken = capsys.readouterr().out
    assert re.search(r"Rows read\D+1,?100\b", taken)

    call_command("reward_stage", line, pairs=400, hidden_size=48, layers=1, max_length=128)
    said = capsys.readouterr().out
    assert "Reward model on 400 training pairs" in said
    assert "choosing by length" in said
    rows = re.findall(r"(\d+\.\d)% \((\d+\.\d)% to (\d+\.\d)%\)", said)
    assert len(rows) >= 2, said
    for estimate, low, high in rows:
        assert float(low) <= float(estimate) <= float(high)
