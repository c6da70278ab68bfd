"""The pages of one line and of all lines."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from annotation import facade as annotation
from evaluation import facade as evaluation
from evaluation.contracts import RoundSummary
from evaluation.formatting import share
from outerloop.rounds.models import PolicyLine, Round
from outerloop.rounds.pages.offer import Offer, line_offer
from outerloop.rounds.pages.rows import MEANINGS, RoundRow, round_row, round_rows
from outerloop.rounds.pages.stations import stations
from outerloop.rounds.schedule import next_start
from outerloop.rounds.selectors import active_round, fresh_labels
from training import facade as training
from web.access import ENGINEER, LEAD, roles_of

ROUNDS_SHOWN = 20
ROUNDS_RATED = 50
RUNS_LOOKED_AT = 20


@dataclass(frozen=True)
class LineRow:
    """A line as one row: what runs, the last verdict, and how far the next start is.

    `rated` are the ratings of the last rounds' candidates, oldest first, after the first policy's (0) where
    they reach back to it; empty before the first candidate was rated. `may_start` is for engineers.
    """

    line: PolicyLine
    deployed: str
    running: RoundRow | None
    fresh: int
    missing: int
    next_start: datetime | None
    last: RoundSummary | None
    meaning: str
    rated: tuple[float, ...]
    offer: Offer
    may_start: bool

    @property
    def win_rate(self) -> str:
        """The last verdict's win rate, as the mark draws it: "58% (54% to 62%)"."""
        rate = self.last.win_rate if self.last else None
        return share(rate) if rate else ""

    @property
    def rating_now(self) -> str:
        return f"{self.rated[-1]:+.2f}" if self.rated else ""

    @property
    def rating(self) -> str:
        """What the small line of ratings says aloud."""
        return f"Rating by round, in log-odds over the first policy: now {self.rating_now}"


def lines_context(lines: list[PolicyLine], user: Any) -> dict[str, Any]:
    return {"rows": [_line_row(line, user) for line in lines]}


def line_context(line: PolicyLine, user: Any) -> dict[str, Any]:
    running = active_round(line)
    fresh = fresh_labels(line)
    queue = annotation.queue_status(line_id=line.id)
    deployment = evaluation.deployment_current(line.id)
    run = _first_policy(line)
    followed = training.run_followed(run) if run else None
    rounds = line.rounds.order_by("-number")[:ROUNDS_SHOWN]
    roles = roles_of(user, line.id)
    return {
        "line": line,
        "running": running,
        "offer": line_offer(line, running=running, fresh=fresh, first_policy=run),
        "stations": stations(
            line,
            running=running,
            fresh=fresh,
            queue=queue,
            deployment=deployment,
            first_policy=followed,
        ),
        "first_policy": followed,
        "fresh": fresh,
        "missing": max(0, line.minimum_fresh_labels - fresh),
        "deployed": _version_name(deployment),
        "deployment": deployment,
        "candidate": _candidate_name(running),
        "next_start": next_start(line),
        "rounds": round_rows(rounds),
        "attempts": line.start_attempts.filter(round__isnull=True).order_by("-at")[:5],
        "queue": queue,
        "shares": annotation.label_shares(line_id=line.id),
        "may_start": ENGINEER in roles,
        "may_decide": LEAD in roles,
        "live": "3s" if running or (followed and followed.live) else "10s",
    }


def _line_row(line: PolicyLine, user: Any) -> LineRow:
    running = active_round(line)
    fresh = fresh_labels(line)
    rounds = evaluation.rounds_rated(line.id, newest=ROUNDS_RATED)
    last = next((one for one in reversed(rounds) if one.verdict), None)
    ratings = [one.rating.estimate for one in rounds if one.rating]
    return LineRow(
        line=line,
        deployed=_version_name(evaluation.deployment_current(line.id)),
        running=round_row(running) if running else None,
        fresh=fresh,
        missing=max(0, line.minimum_fresh_labels - fresh),
        next_start=next_start(line),
        last=last,
        meaning=MEANINGS[last.verdict] if last and last.verdict else "",
        rated=_from_the_first(rounds, ratings),
        offer=line_offer(line, running=running, fresh=fresh, first_policy=_first_policy(line)),
        may_start=ENGINEER in roles_of(user, line.id),
    )


def _from_the_first(rounds: list[RoundSummary], ratings: list[float]) -> tuple[float, ...]:
    if not ratings:
        return ()
    return (0.0, *ratings) if len(rounds) < ROUNDS_RATED else tuple(ratings)


def _first_policy(line: PolicyLine) -> training.RunRecord | None:
    """The newest training of a line's first policy, while there is no base yet."""
    if line.base_version is not None:
        return None
    runs = training.runs_of_line(line.id, limit=RUNS_LOOKED_AT)
    return next((run for run in runs if run.kind == "sft"), None)


def _version_name(deployment: evaluation.LineDeployment | None) -> str:
    return training.model_version_get(deployment.version_id).name if deployment else ""


def _candidate_name(running: Round | None) -> str:
    if running is None or running.candidate in (None, running.incumbent):
        return ""
    return training.model_version_get(running.candidate).name
