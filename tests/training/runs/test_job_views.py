"""The addresses that jobs ask: what opens them, and what they refuse."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.support.storage_fixtures import *  # noqa: F403
from training.digests import file_sha256
from training.runs.job_mirror import report_open
from training.runs.job_token import job_token, job_token_new, job_token_opens
from training.runs.models import JobReport, Run

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(order, machine_is) -> Run:
    """Its second attempt is carried out by a job."""
    machine_is("site")
    made: Run = order()
    Run.objects.filter(pk=made.pk).update(
        state="running", fence=2, job_fence=2, lease_owner="w#1", backend="slurm"
    )
    made.refresh_from_db()
    report_open(made, "use_cpu: true\n")
    return made


@pytest.fixture
def asked(client, run) -> Any:
    """Asks as the job does; `begun` is added."""

    def ask(action: str, body: Any = None, *, token: str | None = None, attempt: int = 2) -> Any:
        word = job_token(run.pk, attempt) if token is None else token
        return client.post(
            f"/jobs/{run.pk}/{attempt}/{action}/",
            json.dumps(body if body is not None else {}),
            content_type="application/json",
            headers={"Authorization": f"Bearer {word}"},
        )

    return ask


EVENT = {"seq": 1, "at": "2026-03-01T22:10:00+00:00", "phase": "ppo", "step": 1, "total_steps": 2}


@pytest.mark.parametrize("action", ["begin", "tell", "send", "kept"])
def test_only_the_token_of_this_attempt_of_this_run_opens(asked, client, run, action):
    for token in ("", "guess", job_token(run.pk, 2)[:-1], job_token_new()):
        answer = asked(action, token=token)
        assert (answer.status_code, answer.json()) == (
            401,
            {"error": "This is not the token of this attempt."},
        )
    drawn = job_token(run.pk, 2)
    assert asked(action, token=drawn, attempt=1).status_code == 401
    assert client.get(f"/jobs/{run.pk}/2/{action}/").status_code == 405
    assert not JobReport.objects.get(run=run).holder


def test_each_attempt_has_a_token_of_its_own_which_needs_no_key_of_the_site(run, settings):
    settings.SECRET_KEY = ""  # a worker's process is started without it
    token = job_token(run.pk, 2)
    report_open(run, "")  # the worker comes back: the job that is under way keeps its token
    assert job_token(run.pk, 2) == token
    assert job_token_opens(token, run.pk, 2)
    assert not job_token_opens(token, uuid4(), 2)
    Run.objects.filter(pk=run.pk).update(fence=3)
    run.refresh_from_db()
    report_open(run, "")
    assert not job_token_opens(token, run.pk, 2)
    assert not job_token_opens(token, run.pk, 3)
    assert job_token_opens(job_token(run.pk, 3), run.pk, 3)


@pytest.mark.parametrize(
    "change",
    [
        {"fence": 3, "job_fence": 3},
        {"job_fence": None},
        {"state": "cancelled"},
        {"state": "failed"},
        {"state": "succeeded"},
    ],
)
def test_an_attempt_that_is_over_or_replaced_is_refused_and_changes_nothing(asked, run, change):
    assert asked("begin", {"job": "7"}).json()["begun"] == 1
    Run.objects.filter(pk=run.pk).update(**change)
    before = JobReport.objects.filter(pk=run.pk).values().get()
    for action, body in (("begin", {"job": "7"}), ("tell", {"begun": 1, "events": [EVENT]})):
        answer = asked(action, body)
        assert answer.status_code == 409
        assert answer.json()["error"] == "Attempt 2 of this run is over, or was replaced."
    assert JobReport.objects.filter(pk=run.pk).values().get() == before
    assert not run.events.exists()


def test_the_first_job_that_begins_has_the_attempt_and_its_later_beginning_counts(asked, run):
    first = asked("begin", {"job": "7"}).json()
    assert (first["begun"], first["accelerate"], first["inputs"]) == (1, "use_cpu: true\n", [])
    assert first["spec"]["run_id"] == str(run.pk)
    other = asked("begin", {"job": "8"})
    assert (other.status_code, "belongs to job 7" in other.json()["error"]) == (409, True)
    assert asked("begin", {"job": "7"}).json()["begun"] == 2
    stale = asked("tell", {"begun": 1, "events": [EVENT]})
    assert (stale.status_code, "begun anew" in stale.json()["error"]) == (409, True)
    assert asked("tell", {"begun": 2, "events": [EVENT, EVENT]}).json() == {"stop": False}
    assert asked("tell", {"begun": 2, "events": [EVENT, {"seq": "x"}]}).status_code == 200
    assert run.events.count() == 1
    assert asked("begin", {"job": "7"}).json()["events"][0]["phase"] == "ppo"


def test_a_job_hears_that_it_is_to_stop(asked, run):
    asked("begin", {"job": "7"})
    assert asked("tell", {"begun": 1}).json() == {"stop": False}
    Run.objects.filter(pk=run.pk).update(cancel_requested_at="2026-01-01T00:00Z")
    assert asked("tell", {"begun": 1}).json() == {"stop": True}


def test_what_is_no_message_is_refused_by_a_sentence(asked, run, settings):
    asked("begin", {"job": "7"})
    for action, body, words in (
        ("begin", {}, "id of the job"),
        ("begin", [], "JSON object"),
        ("tell", {}, "begun"),
        ("tell", {"begun": 1, "end": {"code": 0, "manifest": 3}}, "manifest is no object"),
        ("tell", {"begun": 1, "end": {"code": 1 << 40}}, "integer out of range"),
        ("tell", {"begun": 1, "tree": {f"runs/{run.pk}/x": "0" * 64}}, "nothing whole"),
        ("tell", {"begun": 1, "tree": {"models/base": "0" * 64}}, "nothing whole"),
    ):
        answer = asked(action, body)
        assert (answer.status_code, words in answer.json()["error"]) == (400, True), answer.json()
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    assert asked("tell", {"begun": 1, "log": "x" * 2000}).status_code == 413


def unit(path: str, content: bytes, tmp_path: Any) -> dict[str, Any]:
    file = tmp_path / "content"
    file.write_bytes(content)
    sha256 = file_sha256(file)
    files = {path.rpartition("/")[2]: {"sha256": sha256, "bytes": len(content)}}
    return {"format": 1, "path": path, "sha256": sha256, "folder": False, "files": files}


def test_a_job_writes_below_its_own_run_alone(asked, run, tmp_path, bucket):
    for path in (
        f"runs/{uuid4()}/x",
        "models/base",
        f"runs/{run.pk}/../../models/base",
        f"runs/{run.pk}//x",
        f"runs/{run.pk}",
    ):
        answer = asked("send", unit(path, b"new", tmp_path))
        assert (answer.status_code, "does not lie in" in answer.json()["error"]) == (400, True)
    wrong = unit(f"runs/{run.pk}/x", b"new", tmp_path) | {"sha256": "0" * 64}
    assert asked("send", wrong).status_code == 400
    assert not list(bucket.listed("models"))


def test_the_store_keeps_only_what_has_come(asked, run, tmp_path, bucket):
    told = unit(f"runs/{run.pk}/x", b"new", tmp_path)
    pieces = asked("send", told).json()["files"][told["sha256"]]
    assert [piece[:2] for piece in pieces] == [[0, 3]]
    assert "X-Amz-Signature" in pieces[0][2]
    missing = asked("kept", told)
    assert (missing.status_code, "has not come whole" in missing.json()["error"]) == (400, True)
    bucket.put(f"{told['path']}/{told['sha256']}/{told['sha256']}", b"new")
    assert asked("kept", told).status_code == 200
    assert asked("send", told).json() == {"files": {}}


def test_storage_that_is_away_is_for_later(asked, run, tmp_path, settings):
    settings.OUTERLOOP_S3_ENDPOINT = "http://127.0.0.1:9"
    answer = asked("send", unit(f"runs/{run.pk}/x", b"new", tmp_path))
    assert (answer.status_code, "does not answer" in answer.json()["error"]) == (503, True)
