"""The real crowd votes given again, through the programming interface, by one rater a worker.

Rows that the same workers judged are a block: its pairs go in as an import, into a campaign of its own, and
each of its workers asks for pairs until there are none, answering as the file says. So the queue chooses who
gets which pair next, and has nobody to ask but those who did answer. The suite replays a few blocks,
`python -m benchmarks.api_replay` more.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from annotation.accounts.models import Role
from annotation.accounts.tokens import token_issue
from annotation.comparisons.models import Judgment
from tests.support.crowd_votes import Pair, Row, last_votes
from tests.support.people import person_create
from web.client import Json, Outerloop

ENGINEER = ("read", "import", "campaigns")
STEPS = {"left": 2, "tie": 4, "right": 6}
ASKS_ALL = {
    "overlap_sample_share": 0, "gate_share": 0, "gold_share": 0, "repeat_share": 0,
}  # fmt: skip
Said = Counter[tuple[str, frozenset[str], str | None]]


def blocks_of(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows by who judged them, in the order of the file."""
    found: dict[frozenset[str], list[Row]] = defaultdict(list)
    for row in rows:
        found[frozenset(vote["worker"] for vote in row["votes"])].append(row)
    return list(found.values())


def votes_of(rows: Sequence[Row]) -> dict[tuple[Pair, str], str | None]:
    """Each worker's last word on each pair of two texts: only those can be asked about."""
    return {key: winner for key, winner in last_votes(rows).items() if len(key[0][2]) == 2}


def tokens_made(blocks: Sequence[Sequence[Row]], line: UUID) -> dict[str, str]:
    """A token for every worker, each a rater of their own; "" stands for the engineer's."""
    workers = sorted({vote["worker"] for rows in blocks for row in rows for vote in row["votes"]})
    made = {}
    for worker in workers:
        user = person_create(worker, Role.ANNOTATOR, line=line)
        made[worker] = token_issue(user=user, name="replay", days=1, scopes=["label"])[1]
    engineer = person_create("engineer", Role.ENGINEER, line=line)
    made[""] = token_issue(user=engineer, name="replay", days=1, scopes=ENGINEER)[1]
    return made


def block_replay(
    site: Outerloop, raters: Callable[[str], Outerloop], line: UUID, name: str, rows: Sequence[Row]
) -> int:
    """Put the block's pairs in and let its workers answer them; how many answers were given."""
    votes = votes_of(rows)
    workers = sorted({worker for _, worker in votes})
    campaign = site.campaign_create(str(line), name, overlap=max(len(workers), 1), **ASKS_ALL)
    site.wait(
        site.import_rows(str(line), [_unjudged(row) for row in rows], campaign=name), every=0.2
    )
    site.campaign_state(campaign["id"], "active")
    return sum(_labelled(raters(worker), campaign["id"], worker, votes) for worker in workers)


def _unjudged(row: Row) -> Json:
    return {
        "prompt": f"{row['debate_title']}\n\nArgue for: {row['stance']}",
        "completions": [row["a1"], row["a2"]],
        "group": row["debate_title"],
    }


def _labelled(
    rater: Outerloop, campaign: str, worker: str, votes: dict[tuple[Pair, str], str | None]
) -> int:
    own = {pair: winner for (pair, who), winner in votes.items() if who == worker}
    given = 0
    for shown in rater.pairs(campaign):
        texts = frozenset((shown["left"], shown["right"]))
        (winner,) = (winner for pair, winner in own.items() if pair[2] == texts)
        side = "tie" if winner is None else "left" if shown["left"] == winner else "right"
        rater.answer(shown, STEPS[side])
        given += 1
    return given


def expected(blocks: Sequence[Sequence[Row]]) -> Said:
    """(worker, texts, winning text) as the file has it, block by block."""
    return Counter(
        (worker, pair[2], winner)
        for rows in blocks
        for (pair, worker), winner in votes_of(rows).items()
    )


def in_the_database() -> Said:
    """The same as the tables have it: values are in slot order, whatever was shown where."""
    found: Said = Counter()
    rows = Judgment.objects.filter(active=True).select_related("rater__user", "assignment")
    rows = rows.prefetch_related("values", "assignment__comparison__slots__completion")
    for judgment in rows:
        slots: Any = judgment.assignment.comparison.slots.all()
        first, second = (slot.completion.text for slot in slots)
        (value,) = (each.value for each in judgment.values.all())
        winner = None if value == 4 else first if value < 4 else second
        worker = judgment.rater.user.username if judgment.rater.user else ""
        found[worker, frozenset((first, second)), winner] += 1
    return found
