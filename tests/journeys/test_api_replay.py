"""Real votes given again by token, one rater a worker: what is stored is what the file says.

A few blocks of the file (see `tests.support.crowd_replay`); `python -m benchmarks.api_replay` does more.
"""

from __future__ import annotations

from uuid import UUID

import pytest

from annotation.comparisons.streams import overlap_votes
from annotation.exchange import services, tasks
from annotation.quality.selectors import agreement_of
from tests.support.crowd_replay import (
    block_replay,
    blocks_of,
    expected,
    in_the_database,
    tokens_made,
    votes_of,
)
from tests.support.crowd_votes import VOTES, rows_read
from web.client import Outerloop

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        not VOTES.exists(), reason=f"{VOTES} is not there; OUTERLOOP_REAL_DATA names its folder."
    ),
]
LINE = UUID(int=91)


def test_real_votes_by_token_are_stored_as_they_were_given(
    live_server, settings, tmp_path, monkeypatch
):
    settings.VAR_DIR = tmp_path
    settings.OUTERLOOP_API_PER_MINUTE = 100_000
    monkeypatch.setattr(tasks.import_run, "delay", lambda job: services.import_run(job_id=job))
    blocks = blocks_of(rows_read(VOTES))[:8]
    tokens = tokens_made(blocks, LINE)

    def client(worker: str) -> Outerloop:
        return Outerloop(live_server.url, tokens[worker])

    given = [
        block_replay(client(""), client, LINE, f"Block {n}", rows) for n, rows in enumerate(blocks)
    ]
    assert given == [len(votes_of(rows)) for rows in blocks]
    assert sum(given) > 70
    assert in_the_database() == expected(blocks)

    agreeing = pairs = 0  # once more from the file: two decided votes of a block on one pair
    for rows in blocks:
        decided = [(pair, w) for (pair, _), w in votes_of(rows).items() if w is not None]
        for n, (pair, winner) in enumerate(decided):
            others = [w for other, w in decided[n + 1 :] if other == pair]
            agreeing += others.count(winner)
            pairs += len(others)
    found = agreement_of(overlap_votes(line_id=LINE))
    assert (found.agreeing, found.pairs) == (agreeing, pairs)
