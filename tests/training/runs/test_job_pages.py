"""What the run's page says of a scheduler's job: only what was heard of it."""

from __future__ import annotations

import html
import re

import pytest
from django.urls import reverse

from tests.support.people import person_create
from training.contracts import JobStanding
from training.runs.models import Run, RunEventRow

pytestmark = pytest.mark.django_db


@pytest.fixture
def shown(client, order):
    """The words of the page of a run whose job stands so."""
    client.force_login(person_create("ada", "engineer"))

    def show(state="running", job_id="4711", backend="slurm", **standing):
        run = order()
        job = JobStanding(**standing).to_json()
        Run.objects.filter(pk=run.pk).update(
            state=state, fence=1, job_fence=1, backend=backend, job_id=job_id, job=job
        )
        RunEventRow.objects.create(
            run=run, seq=1, at="2026-01-02T03:04:05Z", phase="ppo", step=3, total_steps=20
        )
        body = client.get(reverse("runs:run", args=[run.id])).content.decode()
        return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", body)))

    return show


def test_a_job_in_the_queue_shows_since_when_where_and_why(shown):
    words = shown(
        phase="queued", since="2026-03-01T22:10:00+00:00", where="gpu", reason="Resources"
    )
    assert (
        "Slurm job 4711 waits in the queue of gpu: it waits for free nodes (Resources). Since 1 Mar 22:10."
        in words
    )
    assert "In the queue" in words
    assert "The program's job waits for the scheduler" in words
    assert "3 of 20" not in words  # no bar of a program that is not at work


def test_a_job_at_work_shows_its_node_and_its_progress(shown):
    words = shown(phase="running", since="2026-03-01T22:15:00+00:00", where="node7")
    assert "Slurm job 4711 runs on node7. Since 1 Mar 22:15." in words
    assert "Training the policy, 3 of 20" in words


def test_a_job_taken_off_its_node_and_a_lost_one_are_told_apart(shown):
    words = shown(phase="preempted", reason="BeginTime")
    assert "was taken off its node and is queued again: it may begin again in a moment" in words
    assert "Slurm job 4711 is lost (NODE_FAIL)." in shown(phase="lost", reason="NODE_FAIL")


def test_a_scheduler_that_does_not_answer_is_named(shown):
    words = shown(
        phase="running", where="node7", silent_since="2026-03-01T22:20:00+00:00",
        silence="Unable to contact slurm controller (connect failure)",
    )  # fmt: skip
    assert "Slurm does not answer (since 1 Mar 22:20): Unable to contact slurm controller" in words


def test_before_it_is_submitted_a_job_has_no_number(shown):
    words = shown(phase="submitting", job_id="")
    assert "The job is being handed to Slurm." in words
    assert "not submitted yet" in words


def test_of_a_run_that_is_over_the_page_says_where_it_was_and_no_more(shown):
    words = shown(state="succeeded", phase="running", where="node7")
    assert "4711, node7" in words
    assert "runs on" not in words


def test_a_job_of_kubernetes_is_called_so_and_its_silence_too(shown):
    words = shown(
        backend="kubernetes", job_id="outerloop-7f-1", phase="queued", where="night",
        reason="Unschedulable: 0/3 nodes are available", silent_since="2026-03-01T22:20:00+00:00",
        silence="the API server said nothing within 5 s",
    )  # fmt: skip
    assert (
        "Kubernetes job outerloop-7f-1 waits in the queue of night: no node has room for it"
        " (Unschedulable: 0/3 nodes are available)." in words
    )
    assert "Kubernetes does not answer (since 1 Mar 22:20): the API server said" in words
    assert "Slurm" not in words
