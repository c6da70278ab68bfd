"""Which reads go to a replica, when it is not read, and what becomes of a page when it fails.

The replica of these tests is another connection to their own database, by a name that statements tell;
tests/faults/test_replica.py has a real one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError, connection, connections, transaction
from django.http import HttpResponse
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotation.campaigns.models import Campaign
from annotation.contracts import AnnotationError
from annotation.exchange import exporting, services
from annotation.exchange.export_options import ExportOptions
from annotation.exchange.models import ExportJob
from outerloop.database import replica as module
from outerloop.database.replica import ALIAS, HistoryRouter, Replica, ReplicaStanding
from outerloop.database.wrote import wrote_marked
from outerloop.operations.monitoring import health
from outerloop.operations.standing import replica_findings
from tests.annotation.factories import a_campaign
from tests.support.people import person_create
from web.history import WROTE, history_read, history_view
from web.models import AuditEvent, Notice
from web.services import audit_record

pytestmark = pytest.mark.django_db(transaction=True)
USABLE = ReplicaStanding(True, "It is 0 s behind.", 0.0)


@pytest.fixture(autouse=True)
def replica(
    transactional_db: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Replica]:
    monkeypatch.setitem(settings.DATABASES, ALIAS, dict(connection.settings_dict))
    own = connections[ALIAS]

    def ensure_connection() -> None:
        """Django's own, which lets tests connect only to what their class names."""
        if own.connection is None:
            with own.wrap_database_errors:
                own.connect()

    monkeypatch.setattr(own, "ensure_connection", ensure_connection)
    made = Replica(_standing=USABLE, _again_at=float("inf"))
    monkeypatch.setattr(module, "replica", made)
    for each in ("outerloop.operations.standing", "outerloop.operations.monitoring.health"):
        monkeypatch.setattr(f"{each}.replica", made)
    yield made
    connections[ALIAS].close()
    del connections[ALIAS]


def test_only_reads_of_history_go_there() -> None:
    def act() -> list[str]:
        return [
            AuditEvent.objects.all().db,
            AuditEvent.objects.select_for_update().db,
            Notice.objects.all().db,
            get_user_model().objects.all().db,
            ExportJob.objects.all().db,
        ]

    assert history_read(act) == [ALIAS, *["default"] * 4]
    assert act() == ["default"] * 5


def test_what_is_written_in_a_reading_is_written_to_the_database_itself() -> None:
    def act() -> None:
        audit_record(actor="ada", verb="did", target="one")
        row = AuditEvent.objects.get()
        assert row._state.db == ALIAS
        with transaction.atomic():
            assert AuditEvent.objects.using("default").count() == 1

    history_read(act)
    assert HistoryRouter().db_for_write(AuditEvent) == "default"
    assert not HistoryRouter().allow_migrate(ALIAS, "web")


def test_a_reading_is_of_one_place(replica: Replica) -> None:
    def act() -> list[str]:
        found = [AuditEvent.objects.all().db]
        replica._standing = ReplicaStanding(False, "It is away.")
        return [*found, AuditEvent.objects.all().db]

    assert history_read(act) == [ALIAS, ALIAS]
    assert history_read(act) == ["default", "default"]


@pytest.mark.parametrize("wrong", [OperationalError("terminating connection"), ValueError("x")])
def test_where_it_fails_the_page_is_made_once_more_without_it(
    wrong: Exception, replica: Replica
) -> None:
    seen = []

    def act() -> str:
        seen.append(AuditEvent.objects.all().db)
        if seen[-1] == ALIAS:
            raise wrong
        return "shown"

    if isinstance(wrong, ValueError):
        with pytest.raises(ValueError, match="x"):
            history_read(act)
        assert (seen, replica.standing().usable) == ([ALIAS], True)
    else:
        assert history_read(act) == "shown"
        assert (seen, replica.standing().usable) == ([ALIAS, "default"], False)


def test_an_error_of_the_database_itself_is_raised(replica: Replica) -> None:
    replica._standing = ReplicaStanding(False, "It is away.")
    seen = []

    def act() -> None:
        seen.append(AuditEvent.objects.all().db)
        raise OperationalError

    with pytest.raises(OperationalError):
        history_read(act)
    assert seen == ["default"]


@pytest.mark.parametrize(
    ("method", "cookies", "expected"),
    [
        ("get", {}, ALIAS),
        ("head", {}, ALIAS),
        ("post", {}, "default"),
        ("get", {WROTE: "1"}, "default"),
    ],
)
def test_who_writes_or_has_just_written_is_shown_the_database_itself(
    method: str, cookies: dict[str, str], expected: str
) -> None:
    view: Any = history_view(lambda request: HttpResponse(AuditEvent.objects.all().db))
    request = getattr(RequestFactory(), method)("/")
    request.COOKIES.update(cookies)
    assert view(request).content == expected.encode()


def test_a_browser_that_writes_is_marked_and_a_program_is_not(settings: Any) -> None:
    settings.OUTERLOOP_REPLICA_SECONDS = 5
    mark = wrote_marked(lambda request: HttpResponse())
    ask = RequestFactory()
    (cookie,) = mark(ask.post("/")).cookies.values()
    assert (cookie.key, cookie["max-age"], cookie["httponly"]) == (WROTE, 9, True)
    assert not mark(ask.get("/")).cookies
    assert not mark(ask.post("/", headers={"Authorization": "Bearer x"})).cookies


@pytest.mark.parametrize(
    "page", ["web:audit", "quality:progress", "quality:progress_csv", "quality:time_csv"]
)
def test_pages_of_history_are_read_there_and_from_the_database_where_it_is_away(
    page: str, client: Any, settings: Any, replica: Replica
) -> None:
    client.force_login(person_create("lea", "lead"))
    campaign = a_campaign()
    address = reverse(page, args=[] if page == "web:audit" else [campaign.pk])
    with CaptureQueriesContext(connections[ALIAS]) as there:
        assert client.get(address).status_code == 200
    assert len(there) > 0
    assert not [each for each in there if "SELECT" not in each["sql"].split("(")[0].upper()]
    connections[ALIAS].close()
    connections[ALIAS].settings_dict = {
        **connections[ALIAS].settings_dict, "HOST": "127.0.0.1", "PORT": "1",
    }  # fmt: skip
    assert client.get(address).status_code == 200
    assert replica.standing().says.startswith("It does not answer: ")


def test_reports_are_read_there(client: Any) -> None:
    client.force_login(person_create("lea", "lead"))
    with CaptureQueriesContext(connections[ALIAS]) as there:
        client.get(reverse("reports:history", args=["no-line"]))
        client.get(reverse("reports:report", args=["no-line", 1]))
    assert len(there) >= 2


@pytest.mark.parametrize("fresh", [True, False])
def test_an_export_has_every_label_that_was_given_before_it(
    fresh: bool, monkeypatch: pytest.MonkeyPatch, replica: Replica
) -> None:
    """It waits for the replica, and where that does not come up in time it reads the database itself."""
    seen = []

    def write(**_: Any) -> Any:
        seen.append(Campaign.objects.all().db)
        raise AnnotationError("That is enough.")

    monkeypatch.setattr(replica, "fresh", lambda: fresh)
    monkeypatch.setattr(exporting, "export_write", write)
    options = ExportOptions().to_json()
    job = ExportJob.objects.create(line=a_campaign().line, options=options)
    services.export_run(job_id=job.pk)
    job.refresh_from_db()
    assert (seen, job.error) == ([ALIAS if fresh else "default"], "That is enough.")


# ---------------------------------------------------------------- how far it is behind


class Servers:
    """What the two say, by hand: bytes that were written and replayed, and the time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.written, self.replayed, self.since = 100.0, 1000, 1000, 500.0
        self.system, self.standby = 7, True
        self.replica = Replica(clock=lambda: self.now)
        monkeypatch.setattr(module, "_row", self.row)

    def row(self, alias: str, _: str) -> Any:
        if alias == "default":
            return 7, self.written
        return self.system, self.standby, self.replayed, self.since

    def at(self, now: float) -> ReplicaStanding:
        self.now = now
        return self.replica.standing()


def test_an_idle_primary_is_no_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the last transaction was replayed long ago."""
    assert Servers(monkeypatch).at(100) == ReplicaStanding(True, "It is 0 s behind.", 0.0)


def test_the_lag_is_the_age_of_what_was_replayed(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.OUTERLOOP_REPLICA_SECONDS = 5
    servers = Servers(monkeypatch)
    servers.at(100)
    servers.written = 2000
    assert servers.at(103) == ReplicaStanding(True, "It is 3 s behind.", 3.0)
    servers.written = 3000
    found = servers.at(106)
    assert (found.usable, found.lag) == (False, 6.0)
    servers.replayed = 2500  # it has what was written at 103, not what was at 106
    assert servers.at(109).lag == 6.0
    servers.replayed = 3000
    assert servers.at(112) == ReplicaStanding(True, "It is 0 s behind.", 0.0)


def test_where_nothing_is_known_yet_the_replica_s_own_clock_tells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    servers = Servers(monkeypatch)
    servers.written = 2000
    assert servers.at(100).lag == 500.0


def test_it_is_looked_at_every_two_seconds_and_after_a_failure_every_ten(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.OUTERLOOP_REPLICA_SECONDS = 1
    servers = Servers(monkeypatch)
    servers.at(100)
    servers.written = 2000
    assert servers.at(101.9).usable
    assert not servers.at(102.1).usable
    servers.replica.failed(OperationalError("gone"))
    servers.written = servers.replayed
    assert not servers.at(112).usable
    assert servers.at(112.2).usable


@pytest.mark.parametrize(
    ("system", "standby", "says"), [(8, True, "another server"), (7, False, "no standby")]
)
def test_another_server_is_never_read(
    system: int, standby: bool, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = Servers(monkeypatch)
    servers.system, servers.standby = system, standby
    found = servers.at(100)
    assert not found.usable
    assert says in found.says


def test_what_was_just_written_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = Servers(monkeypatch)
    servers.at(100)
    assert servers.replica.fresh()
    servers.written = 1001
    monkeypatch.setattr(
        "outerloop.database.replica.time.sleep", lambda _: setattr(servers, "now", servers.now + 1)
    )
    assert not servers.replica.fresh()


# ----------------------------------------------------------------------- who is told


def test_health_tells_and_does_not_fail(replica: Replica) -> None:
    assert health.replica_check().ok
    replica._standing = ReplicaStanding(False, "It does not answer: a secret address")
    found = health.replica_check()
    assert (found.ok, found.ready, "secret" in found.says) == (False, True, False)
    (silent,) = health.Look({"replica": health.replica_check}).answers()
    assert (silent.ok, silent.ready) == (False, True)


@pytest.mark.parametrize(
    ("standing", "level"),
    [
        (USABLE, "ok"),
        (ReplicaStanding(False, "It is 9 s behind.", 9.0), "note"),
        (ReplicaStanding(False, "x"), "bad"),
    ],
)
def test_doctor_says_whether_it_is_read(
    standing: ReplicaStanding, level: str, replica: Replica
) -> None:
    replica._standing = standing
    ((found, says),) = replica_findings()
    assert found == level
    assert standing.says in says
