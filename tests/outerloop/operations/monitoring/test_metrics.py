"""The figures are those of the database, and only who may read them does."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.db.utils import OperationalError
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from annotation.comparisons.models import Assignment
from outerloop.operations.monitoring import metrics
from outerloop.rounds.models import RoundStep, StartAttempt, State
from tests.annotation.factories import label_next, lease, some_pairs
from tests.outerloop.rounds.world import LoopWorld
from tests.support.scripted_policy import by_seed, scripted_policy
from training.runs.models import Run

TOKEN = "a-token-of-the-tests-0123456789"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def loop(db, tmp_path, settings):
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    settings.OUTERLOOP_METRICS_TOKEN = TOKEN
    settings.POLICY_SERVER_PORT = 1  # nothing answers there
    return LoopWorld(tmp_path, labels=3)


def scrape(client) -> dict[tuple[str, ...], float]:
    """(name, label values in the order of their names ...) -> value, as Prometheus reads them."""
    response = client.get("/metrics", headers=BEARER)
    assert response.status_code == 200
    families = text_string_to_metric_families(response.content.decode())
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_queue_depth_leases_and_the_last_hours_labels_are_counted_by_campaign(loop, client):
    slug, line = loop.campaign.slug, loop.line.name
    some_pairs(loop.campaign, 4, split="train")
    label_next(loop.rater, loop.campaign, 2, seconds=36.0)
    lease(loop.rater, loop.campaign)
    found = scrape(client)
    assert found["outerloop_queue_pairs", slug, line, "training"] == 2
    assert found["outerloop_leases", slug, line] == 1
    assert found["outerloop_labels_last_hour", slug, line] == 4  # 3 of the set-up and this one
    assert found["outerloop_rater_hours_last_hour", slug, line] == pytest.approx(0.01)
    assert found["outerloop_raters_last_hour", slug, line] == 1
    Assignment.objects.filter(state="leased").update(state="expired")
    assert scrape(client)["outerloop_leases_expired", slug, line] == 1


def test_rounds_steps_verdicts_and_starts(loop, client):
    start = timezone.now()
    closed = loop.round(State.CLOSED, verdict="REJECT")
    failed = loop.round(State.FAILED)
    for round_, fence, minutes in ((closed, 1, 2), (failed, 3, None)):
        RoundStep.objects.create(
            round=round_,
            name=State.SNAPSHOT,
            position=0,
            fence=fence,
            started_at=start,
            finished_at=start + timedelta(minutes=minutes) if minutes else None,
        )
    StartAttempt.objects.create(line=loop.line, trigger="schedule", reason="too few labels")
    found, line = scrape(client), loop.line.name
    assert found["outerloop_rounds", line, "CLOSED"] == 1
    assert found["outerloop_rounds", line, "FAILED"] == 1
    assert found["outerloop_gate_verdicts_total", line, "REJECT"] == 1
    assert found["outerloop_round_starts_total", line, "skipped"] == 1
    assert found["outerloop_step_seconds_count", "SNAPSHOT"] == 1
    assert found["outerloop_step_seconds_sum", "SNAPSHOT"] == 120
    assert found["outerloop_step_attempts_total", "SNAPSHOT"] == 4
    assert found["outerloop_steps_failed", "SNAPSHOT"] == 1


def test_runs_and_serving(loop, client):
    for state, seconds, fence in (("succeeded", 60.0, 1), ("failed", 30.0, 2)):
        Run.objects.create(
            line=loop.line.id, kind="ppo", seed=1, spec={}, spec_sha256="", state=state,
            compute_seconds=seconds, fence=fence,
        )  # fmt: skip
    found = scrape(client)
    assert found["outerloop_runs", "ppo", "failed"] == 1
    assert found["outerloop_run_seconds_total", "ppo"] == 90
    assert found["outerloop_run_attempts_total", "ppo"] == 3
    assert found["outerloop_deployment_served", loop.line.name] == 0
    assert found["outerloop_policy_server_up",] == 0
    assert ("outerloop_policy_server_replicas", "up") not in found
    assert found["outerloop_ready", "database"] == 1
    assert found["outerloop_store_free_bytes",] > 0


def test_what_another_process_wrote_is_in_the_next_scrape(loop, client):
    assert ("outerloop_rounds", loop.line.name, "CANCELLED") not in scrape(client)
    loop.round(State.CANCELLED)
    assert scrape(client)["outerloop_rounds", loop.line.name, "CANCELLED"] == 1


def test_a_part_that_fails_is_named_and_the_rest_is_there(loop, client, monkeypatch):
    def broken():
        raise OperationalError("gone")

    monkeypatch.setitem(metrics.PARTS, "runs", broken)
    found = scrape(client)
    assert found["outerloop_scrape_failed", "runs"] == 1
    assert found["outerloop_scrape_failed", "rounds"] == 0
    assert ("outerloop_ready", "database") in found


@pytest.mark.parametrize(
    ("token", "local", "headers", "address", "status"),
    [
        ("", False, {}, "127.0.0.1", 404),
        (TOKEN, False, {}, "127.0.0.1", 401),
        (TOKEN, False, {"Authorization": "Bearer wrong"}, "127.0.0.1", 401),
        (TOKEN, False, {"Authorization": f"Basic {TOKEN}"}, "127.0.0.1", 401),
        (TOKEN, False, BEARER, "203.0.113.9", 200),
        ("", True, {}, "127.0.0.1", 200),
        ("", True, {}, "::1", 200),
        ("", True, {}, "203.0.113.9", 404),
        ("", True, {}, "", 404),
        ("", True, {"X-Forwarded-For": "203.0.113.9"}, "127.0.0.1", 404),
        ("", True, {"X-Forwarded-Proto": "https"}, "127.0.0.1", 404),
    ],
)
def test_who_may_read_them(
    db, client, settings, monkeypatch, token, local, headers, address, status
):
    settings.OUTERLOOP_METRICS_TOKEN, settings.OUTERLOOP_METRICS_LOCAL = token, local
    monkeypatch.setattr(metrics, "PARTS", {})
    response = client.get("/metrics", headers=headers, REMOTE_ADDR=address)
    assert response.status_code == status


def test_being_signed_in_does_not_open_them(db, client, admin_user):
    client.force_login(admin_user)
    assert client.get("/metrics").status_code == 404


def test_how_many_replicas_answer_is_told_where_a_policy_server_does(loop, client, settings):
    with scripted_policy(settings, uuid.uuid4(), by_seed("Hello")):
        found = scrape(client)
    assert found["outerloop_policy_server_up",] == 1
    assert found["outerloop_policy_server_replicas", "up"] == 1
    assert found["outerloop_policy_server_replicas", "wanted"] == 1
