"""What `doctor` says of the copies: the replica of the database, and the replicas of the policy server."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings

from evaluation import facade as evaluation
from outerloop.database.replica import configured, replica

Finding = tuple[str, str]  # level and words


def replica_findings() -> Iterator[Finding]:
    """Where DATABASE_REPLICA_URL is set: whether reads of history go there, and why not."""
    if not configured():
        return
    standing = replica.standing()
    if standing.usable:
        yield "ok", f"answers reads of history. {standing.says}"
    else:
        says = f"{standing.says} History is read from DATABASE_URL."
        yield ("note" if standing.lag is not None else "bad"), says


def policy_server_finding(seconds: float) -> Finding:
    where = settings.POLICY_SERVER_HOST, settings.POLICY_SERVER_PORT
    found = evaluation.policy_replicas(host=where[0], port=where[1], timeout=seconds)
    if found is None:
        return "note", f"nothing answers at {where[0]}:{where[1]}; `make up`, or see its log"
    level = "ok" if found.up >= found.of else "note"
    return level, f"{found.up} of {found.of} replicas answer"
