"""The figures for Prometheus, read from the database at each scrape.

Nothing is counted in memory: several site processes therefore agree, and a restart loses no count.
What grows without end (every judgment) is counted over the last hour, so that a scrape stays cheap.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator

from django.conf import settings
from django.db import Error as DatabaseError
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector, CollectorRegistry

from annotation import facade as annotation
from evaluation import facade as evaluation
from outerloop.database.replica import configured, replica
from outerloop.rounds import figures
from training import facade as training
from web.registry import line_names

from .health import readiness

logger = logging.getLogger(__name__)

POLICY_SECONDS = 1.0


def registry_make() -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(LoopCollector())
    return registry


class LoopCollector(Collector):
    """Every part; one that the database does not answer for is named in `outerloop_scrape_failed`."""

    def collect(self) -> Iterable[Metric]:
        failed = GaugeMetricFamily(
            "outerloop_scrape_failed", "1 where a part could not be read", labels=["part"]
        )
        for name, part in PARTS.items():
            try:
                found, problem = list(part()), 0
            except DatabaseError as error:
                logger.error("The metrics of %s could not be read: %s", name, error)
                found, problem = [], 1
            failed.add_metric([name], problem)
            yield from found
        yield failed


def _health() -> Iterator[Metric]:
    ready = GaugeMetricFamily(
        "outerloop_ready", "1 where a check of /health/ready holds", labels=["check"]
    )
    for check in readiness():
        ready.add_metric([check.name], check.ok)
    yield ready
    try:
        free = shutil.disk_usage(settings.ARTIFACT_ROOT).free
    except OSError:
        return
    yield GaugeMetricFamily(
        "outerloop_store_free_bytes", "Free space where artifacts are kept", value=free
    )


def _queue() -> Iterator[Metric]:
    """Depth, live leases, and labels with the hours that they took, by campaign."""
    names = {str(line.id): line.name for line in line_names()}
    by = ["line", "campaign"]
    pairs = GaugeMetricFamily(
        "outerloop_queue_pairs", "Pairs with a free place for a judgment", labels=[*by, "purpose"]
    )
    leases = GaugeMetricFamily("outerloop_leases", "Pairs that people are at work on", labels=by)
    expired = GaugeMetricFamily(
        "outerloop_leases_expired", "Leases that ran out and were not taken up again", labels=by
    )
    hourly = GaugeMetricFamily(
        "outerloop_labels_last_hour", "Judgments of the last hour that count", labels=by
    )
    hours = GaugeMetricFamily(
        "outerloop_rater_hours_last_hour", "Hours spent on those judgments", labels=by
    )
    raters = GaugeMetricFamily(
        "outerloop_raters_last_hour", "Raters who gave those judgments", labels=by
    )
    for gauge in annotation.campaign_gauges():
        key = [names.get(str(gauge.line_id), str(gauge.line_id)), gauge.slug]
        for purpose, count in gauge.open.items():
            pairs.add_metric([*key, purpose], count)
        leases.add_metric(key, gauge.leased)
        expired.add_metric(key, gauge.expired)
        hourly.add_metric(key, gauge.recent_labels)
        hours.add_metric(key, gauge.recent_seconds / 3600)
        raters.add_metric(key, gauge.recent_raters)
    yield from (pairs, leases, expired, hourly, hours, raters)


def _rounds() -> Iterator[Metric]:
    """Where rounds stand, how long steps take and where they fail, and what the gate said."""
    states = GaugeMetricFamily("outerloop_rounds", "Rounds by state", labels=["line", "state"])
    for row in figures.round_counts():
        states.add_metric([row.line, row.key], row.count)
    verdicts = CounterMetricFamily(
        "outerloop_gate_verdicts", "Verdicts of the gate", labels=["line", "verdict"]
    )
    for row in figures.verdict_counts():
        verdicts.add_metric([row.line, row.key], row.count)
    starts = CounterMetricFamily(
        "outerloop_round_starts", "Starts asked for: started or skipped", labels=["line", "outcome"]
    )
    for row in figures.start_counts():
        starts.add_metric([row.line, row.key], row.count)
    seconds = SummaryMetricFamily(
        "outerloop_step_seconds", "From begin to end of finished steps", labels=["step"]
    )
    attempts = CounterMetricFamily(
        "outerloop_step_attempts", "Claims of a step by a worker", labels=["step"]
    )
    stopped = GaugeMetricFamily(
        "outerloop_steps_failed", "Failed rounds by the step that failed", labels=["step"]
    )
    for step in figures.step_figures():
        seconds.add_metric([step.name], count_value=step.finished, sum_value=step.seconds)
        attempts.add_metric([step.name], step.attempts)
        stopped.add_metric([step.name], step.failed)
    yield from (states, verdicts, starts, seconds, attempts, stopped)


def _runs() -> Iterator[Metric]:
    runs = GaugeMetricFamily(
        "outerloop_runs", "Runs of learning programs", labels=["kind", "state"]
    )
    seconds = CounterMetricFamily(
        "outerloop_run_seconds", "Seconds that learning programs ran", labels=["kind"]
    )
    attempts = CounterMetricFamily(
        "outerloop_run_attempts", "Starts of learning programs", labels=["kind"]
    )
    for figure in training.run_figures():
        for state, count in figure.states.items():
            runs.add_metric([figure.kind, state], count)
        seconds.add_metric([figure.kind], figure.seconds)
        attempts.add_metric([figure.kind], figure.attempts)
    yield from (runs, seconds, attempts)


def _serving() -> Iterator[Metric]:
    served = GaugeMetricFamily(
        "outerloop_deployment_served", "1 where the deployed policy has answered", labels=["line"]
    )
    deployed = 0
    for line in line_names():
        deployment = evaluation.deployment_current(line.id)
        if deployment is not None:
            served.add_metric([line.name], deployment.served_at is not None)
            deployed += 1
    yield served
    if deployed:
        found = evaluation.policy_replicas(
            host=settings.POLICY_SERVER_HOST,
            port=settings.POLICY_SERVER_PORT,
            timeout=POLICY_SECONDS,
        )
        yield GaugeMetricFamily(
            "outerloop_policy_server_up",
            "1 where the policy server answers",
            value=found is not None,
        )
        if found is not None:
            replicas = GaugeMetricFamily(
                "outerloop_policy_server_replicas",
                "Servers behind the policy server's port that answer, and that should",
                labels=["which"],
            )
            replicas.add_metric(["up"], found.up)
            replicas.add_metric(["wanted"], found.of)
            yield replicas


def _replica() -> Iterator[Metric]:
    lag = replica.standing().lag if configured() else None
    if lag is not None:
        yield GaugeMetricFamily(
            "outerloop_replica_lag_seconds", "Seconds that the replica is behind", value=lag
        )


PARTS: dict[str, Callable[[], Iterator[Metric]]] = {
    "health": _health,
    "queue": _queue,
    "rounds": _rounds,
    "runs": _runs,
    "serving": _serving,
    "replica": _replica,
}
