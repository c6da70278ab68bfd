"""Many annotators at once, over HTTP, while the site and PostgreSQL are killed and started again.

    python -m benchmarks.annotator_load [--annotators 20] [--minutes 10] [--restarts 8] [--seed 7]

The site is the process that `make up` starts, on a PostgreSQL server of its own. Each annotator thinks
3 seconds on average and keeps its own record of what was acknowledged. In the end the records are
compared with the database: no acknowledged answer is lost or changed, none counts twice, live leases
and answers in time are never more than a pair wants, and what came late is kept as surplus. That last
rule is looked at all the while, too. Latencies and errors are reported. The result is kept in
benchmarks/results/annotator_load.json; the status is 1 where a rule was broken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection

import benchmarks.django_ready  # noqa: F401
from annotation.accounts.models import Rater, Role, User
from annotation.accounts.services import membership_grant
from annotation.campaigns.models import Campaign
from annotation.comparisons.models import Assignment, Comparison, Judgment
from annotation.comparisons.scale import value_turned
from benchmarks.annotator_clients import THINK_SECONDS, Client, Tally
from benchmarks.databases import database_new
from benchmarks.results_file import result_head
from tests.annotation.factories import a_campaign, some_pairs
from tests.support.installation import Installation
from tests.support.postgres import PostgresServer, wheel_binaries

RESULTS = Path(__file__).parent / "results" / "annotator_load.json"
LEASE_MINUTES, OVERLAP, MOST_PAIRS = 1, 2, 6_000
# Of the pairs that annotators who never wait could answer: towards the end they come back to pairs
# whose leases ran out, so that late answers meet places that others have taken.
SHARE = 0.55
LOOK_SECONDS = 15.0

# Pairs with more live leases and answers in time than they want, in one consistent view.
CROWDED = """
SELECT count(*) FROM comparisons_comparison c WHERE c.wanted <
  (SELECT count(*) FROM comparisons_assignment a WHERE a.comparison_id = c.id AND a.state = 'leased')
  + (SELECT count(*) FROM comparisons_assignment a JOIN comparisons_judgment j ON j.assignment_id = a.id
     WHERE a.comparison_id = c.id AND j.active AND NOT j.surplus)
"""


def main() -> int:
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    folder = Path(tempfile.mkdtemp(prefix="outerloop-load-"))
    try:
        with PostgresServer(wheel_binaries()) as server:
            result = Load(server, folder, arguments).measure()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _keep(arguments.results, f"{arguments.annotators} annotators", result)
    print(json.dumps(result, indent=1))
    return 0 if result["rules kept"] else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--annotators", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument(
        "--restarts", type=int, default=8, help="kills, site and PostgreSQL in turn"
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args()


def _keep(path: Path, name: str, result: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    runs = json.loads(path.read_text())["runs"] if path.exists() else {}
    runs[name] = result
    path.write_text(json.dumps({**result_head(), "runs": runs}, indent=1) + "\n")


class Load:
    def __init__(self, server: PostgresServer, folder: Path, arguments: argparse.Namespace) -> None:
        self.server, self.folder, self.arguments = server, folder, arguments
        self.dice = random.Random(arguments.seed)
        self.tally = Tally()
        self.crowded: list[int] = []
        self.kills: list[dict[str, Any]] = []

    def measure(self) -> dict[str, Any]:
        url = database_new(self.server, "load")
        campaign, sessions = self._world()
        connection.close()
        secret = str(settings.SECRET_KEY)
        with Installation(self.folder, url, OUTERLOOP_SECRET_KEY=secret) as site:
            site.start("site")
            clients = [self._client(site, campaign, session) for session in sessions]
            seconds = asyncio.run(self._run(site, clients))
        return self._compared(campaign, clients, seconds)

    def _world(self) -> tuple[Campaign, list[str]]:
        """A campaign with pairs for everybody, and the sessions of its annotators."""
        campaign = a_campaign(overlap=OVERLAP, lease_minutes=LEASE_MINUTES)
        answers = self.arguments.annotators * self.arguments.minutes * 60 / THINK_SECONDS
        some_pairs(campaign, min(MOST_PAIRS, int(SHARE * answers / OVERLAP) + 50))
        return campaign, [self._session(campaign, n) for n in range(self.arguments.annotators)]

    def _session(self, campaign: Campaign, number: int) -> str:
        user = User.objects.create_user(f"annotator{number}", email=f"a{number}@example.com")
        membership_grant(user=user, role=Role.ANNOTATOR, line_id=campaign.line)
        session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.create()
        return str(session.session_key)

    def _client(self, site: Installation, campaign: Campaign, session: str) -> Client:
        return Client(
            port=site.port,
            base=f"/compare/{campaign.pk}/",
            session=session,
            lease_seconds=60.0 * LEASE_MINUTES,
            dice=random.Random(self.dice.random()),
            tally=self.tally,
        )

    async def _run(self, site: Installation, clients: list[Client]) -> float:
        await asyncio.to_thread(self._site_wait, site)
        began = time.monotonic()
        until = began + 60 * self.arguments.minutes
        looks = asyncio.create_task(self._look(until))
        kills = asyncio.create_task(self._disturb(site, until))
        await asyncio.gather(*(client.work(until) for client in clients))
        await asyncio.gather(looks, kills)
        return time.monotonic() - began

    async def _look(self, until: float) -> None:
        """Count the crowded pairs now and then, while everything is in motion."""
        while time.monotonic() < until - LOOK_SECONDS:
            await asyncio.sleep(LOOK_SECONDS)
            found = await asyncio.to_thread(self._crowded)
            if found is not None:
                self.crowded.append(found)

    def _crowded(self) -> int | None:
        try:
            with psycopg.connect(self.server.url("load"), connect_timeout=5) as look:
                row = look.execute(CROWDED).fetchone()
        except psycopg.OperationalError:  # killed just now
            return None
        return int(row[0]) if row else None

    async def _disturb(self, site: Installation, until: float) -> None:
        """Kill site and PostgreSQL in turn, at random moments of equal parts of the time."""
        part = 60 * self.arguments.minutes / max(1, self.arguments.restarts)
        began = until - 60 * self.arguments.minutes
        for number in range(self.arguments.restarts):
            at = began + part * (number + self.dice.uniform(0.2, 0.7))
            await self._tended_sleep(site, at - time.monotonic())
            what = ("site", "postgres")[number % 2]
            pause = self.dice.uniform(0.5, 3.0)
            away = await asyncio.to_thread(self._kill, site, what, pause)
            self.kills.append(
                {"what": what, "at": round(at - began, 1), "away seconds": round(away, 1)}
            )
        await self._tended_sleep(site, until - time.monotonic())

    async def _tended_sleep(self, site: Installation, seconds: float) -> None:
        """Wait, and start the site again should it end by itself, as a supervisor does."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for name in site.revive():
                self.tally.errors[f"{name} ended by itself"] += 1
            await asyncio.sleep(0.5)

    def _kill(self, site: Installation, what: str, pause: float) -> float:
        """SIGKILL, a pause, a start; seconds until it answers again."""
        began = time.monotonic()
        if what == "site":
            site.kill("site")
            time.sleep(pause)
            site.start("site")
            self._site_wait(site)
        else:
            self.server.kill()
            time.sleep(pause)
            self.server.start()
        return time.monotonic() - began

    def _site_wait(self, site: Installation) -> None:
        deadline = time.monotonic() + 120
        while not _answers(site.port):
            site.revive()
            if time.monotonic() > deadline:
                raise SystemExit(f"The site does not answer.\n{site.log('site')[-3000:]}")
            time.sleep(0.2)

    def _compared(
        self, campaign: Campaign, clients: list[Client], seconds: float
    ) -> dict[str, Any]:
        """Every rule against the database, with the figures around it."""
        acknowledged = sum(len(client.acknowledged) for client in clients)
        stored = Judgment.objects.filter(assignment__comparison__campaign=campaign)
        problems = [*self.tally.wrong, *_lost(clients), *_doubled(clients)]
        problems += [f"{n} crowded pairs in one look" for n in self.crowded if n]
        problems += _miscounted(campaign)
        return {
            **result_head(),
            "annotators": self.arguments.annotators,
            "minutes": round(seconds / 60, 2),
            "seed": self.arguments.seed,
            "rules kept": not problems,
            "problems": problems[:50],
            "answers acknowledged": acknowledged,
            "answers sent, reply never seen": sum(len(c.sent) for c in clients) - acknowledged,
            "answers stored": stored.count(),
            "in time": stored.filter(active=True, surplus=False).count(),
            "late, kept as surplus": stored.filter(active=True, surplus=True).count(),
            "edited": stored.filter(active=False).count(),
            "pairs": Comparison.objects.filter(campaign=campaign).count(),
            "looks at the rule of overlap": len(self.crowded),
            "asked when there was nothing left": self.tally.dry,
            "answers per second": round(acknowledged / seconds, 1),
            "seconds": {door: _quantiles(times) for door, times in self.tally.seconds.items()},
            "errors seen by clients": dict(self.tally.errors),
            "kills": self.kills,
        }


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _quantiles(times: list[float]) -> dict[str, float]:
    ordered = sorted(times) or [0.0]
    named = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "longest": 1.0}
    found = {
        n: round(ordered[min(len(ordered) - 1, int(q * len(ordered)))], 3) for n, q in named.items()
    }
    return {"requests": len(times), **found}


def _stored(clients: list[Client]) -> dict[str, Judgment]:
    keys = [key for client in clients for key in client.sent]
    rows = Judgment.objects.filter(idempotency_key__in=keys).select_related("assignment")
    return {row.idempotency_key: row for row in rows.prefetch_related("values")}


def _lost(clients: list[Client]) -> list[str]:
    """Answers that were acknowledged and are not there as they were acknowledged."""
    stored, problems = _stored(clients), []
    for client in clients:
        for key, said in client.acknowledged.items():
            row = stored.get(key)
            if row is None:
                problems.append(f"lost: {key}")
                continue
            value = value_turned(said.value, row.assignment.shown_order)
            found = (str(row.assignment_id), row.revision, row.surplus, row.values.get().value)
            if found != (said.assignment, said.revision, said.surplus, value):
                problems.append(f"changed: {key}: {found} instead of {said}")
    return problems


def _doubled(clients: list[Client]) -> list[str]:
    """Answers that nobody sent, or that stand twice."""
    keys = Counter(Judgment.objects.values_list("idempotency_key", flat=True))
    sent = {key for client in clients for key in client.sent}
    problems = [f"twice: {key}" for key, times in keys.items() if times > 1]
    problems += [f"nobody sent: {key}" for key in keys.keys() - sent]
    active = Counter(Judgment.objects.filter(active=True).values_list("assignment", flat=True))
    return problems + [f"two answers count: {pk}" for pk, times in active.items() if times > 1]


def _miscounted(campaign: Campaign) -> list[str]:
    """Pairs whose counters are not what their rows say, or that hold more than they want."""
    leased = Counter(Assignment.objects.filter(state="leased").values_list("comparison", flat=True))
    active = Judgment.objects.filter(active=True, surplus=False)
    judged = Counter(active.values_list("assignment__comparison", flat=True))
    problems = []
    for pair in Comparison.objects.filter(campaign=campaign):
        rows = (judged[pair.pk], leased[pair.pk])
        if rows != (pair.judged, pair.leased) or sum(rows) > pair.wanted:
            problems.append(f"pair {pair.pk}: rows {rows}, counted {(pair.judged, pair.leased)}")
    labels = Rater.objects.filter(queues__campaign=campaign).values_list("queues__labels", "pk")
    answered = Counter(Judgment.objects.filter(active=True).values_list("rater", flat=True))
    return problems + [f"rater {pk}: {n} labels" for n, pk in labels if n != answered[pk]]


if __name__ == "__main__":
    sys.exit(main())
