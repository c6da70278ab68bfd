"""Tasks of lm-evaluation-harness on the page of suites, before a round, and as what a round reads."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from evaluation import task_suites
from evaluation.contracts import TaskSuite
from evaluation.suite_files import suite_from_bytes
from outerloop.rounds import suite_views, tasks
from outerloop.rounds.dry_run import start_check
from outerloop.rounds.models import LineSuite, State, TaskCheck
from outerloop.rounds.services import round_start
from outerloop.rounds.suites import SuiteRefused, suites_attached, suites_words
from outerloop.rounds.task_checks import SHOWN, task_check_run, task_order
from tests.outerloop.rounds.world import advance_through, bare_line, run_of
from tests.support.lm_eval_tasks import library_provided, task_folder
from tests.support.people import person_create
from training.runs.inventory import input_path
from web.clock import database_now
from web.jobs import SILENCE, jobs_waiting
from web.models import AuditEvent

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module", autouse=True)
def library(tmp_path_factory):
    with library_provided(tmp_path_factory.mktemp("library")):
        yield


@pytest.fixture
def task(settings, tmp_path):
    settings.OUTERLOOP_TASK_FOLDERS = [str(tmp_path / "tasks")]
    task_folder(tmp_path / "tasks")
    return str(tmp_path / "tasks" / "pick.yaml")


def order(line, task, name="house", **fields) -> TaskCheck:
    asked = {"metric": "", "limit": 5, "chat": False, "actor": "set-up", **fields}
    return task_order(line=line, name=name, task=task, **asked)


def attach(line, task, name="house") -> LineSuite:
    task_check_run(check_id=order(line, task, name).pk)
    return LineSuite.objects.get(line=line, name=name)


def after(check: TaskCheck) -> tuple[str, str]:
    check.refresh_from_db()
    return check.state, check.error


@pytest.fixture
def carried_out(monkeypatch, django_capture_on_commit_callbacks):
    """What is ordered on a page is done by a worker at once."""

    def at_once(check_id: UUID) -> None:
        task_check_run(check_id=check_id)

    monkeypatch.setattr(suite_views, "task_check_enqueue", at_once)
    return lambda: django_capture_on_commit_callbacks(execute=True)


def lead_of(line) -> Client:
    client = Client()
    client.force_login(person_create("lead", "lead", line=line.id))
    return client


def send(client: Client, slug: str, **fields: str) -> Any:
    body = {"name": "house", "limit": "5", "metric": "", **fields}
    address = reverse("rounds:suite_task", args=[slug])
    return client.post(address, {f"task-{name}": value for name, value in body.items()})


def page_of(client: Client, answer) -> str:
    return client.get(answer.url).content.decode()


def test_a_lead_attaches_a_task_on_the_page(task, carried_out):
    line = bare_line()
    lead = lead_of(line)
    with carried_out():
        answer = send(lead, line.slug, task=task, chat="on")
    assert "house is attached; the next round takes it." in page_of(lead, answer)
    shown = lead.get(reverse("rounds:suites", args=[line.slug])).content.decode()
    assert "A task of lm-evaluation-harness, by its own score" in shown
    assert "Checks of tasks" not in shown
    (row,) = suites_attached(line)
    suite = TaskSuite.from_json(json.loads(row.content))
    assert (row.kind, row.items, suite.chat, suite.metric) == ("lm_eval", 5, True, "acc,none")
    assert suites_words([row]) == "house (5 items)"
    verbs = AuditEvent.objects.filter(line=line.pk, target="house").order_by("pk")
    assert [event.verb for event in verbs] == ["ordered check of suite", "attached suite"]


def test_what_can_be_seen_at_once_is_said_above_the_task_s_own_form(settings, task, tmp_path):
    line = bare_line()
    lead = lead_of(line)
    gone = str(tmp_path / "tasks" / "gone.yaml")
    page = send(lead, line.slug, task=gone).content.decode()
    assert f"There is no {gone}." in page
    assert f'value="{gone}"' in page
    assert "Ensure this value is" in send(lead, line.slug, task=task, limit="1").content.decode()
    assert not TaskCheck.objects.exists()


def test_what_the_check_refuses_is_said_on_its_page_and_asked_again_from_there(task, carried_out):
    line = bare_line()
    lead = lead_of(line)
    with carried_out():
        answer = send(lead, line.slug, task=task, metric="bleu", limit="7")
    page = page_of(lead, answer)
    assert "pick.yaml has no score &#x27;bleu&#x27;; it has acc,none." in page
    assert not LineSuite.objects.exists()
    check = TaskCheck.objects.get()
    again = reverse("rounds:suites", args=[line.slug]) + f"?check={check.pk}"
    assert f'href="{again}#attach-task"' in page
    form = lead.get(again).content.decode()
    for value in (task, "bleu", "7", "house"):
        assert f'value="{value}"' in form
    assert "Checks of tasks" in form
    TaskCheck.objects.update(finished_at=timezone.now() - SHOWN)
    assert "Checks of tasks" not in lead.get(again).content.decode()


def test_the_check_of_another_line_is_no_page_and_fills_no_form(task):
    line, other = bare_line(), bare_line()
    check = order(other, task, name="theirs")
    lead = lead_of(line)
    assert lead.get(reverse("rounds:suite_check", args=[line.slug, check.pk])).status_code == 404
    for asked in (str(check.pk), "nonsense", ""):
        page = lead.get(reverse("rounds:suites", args=[line.slug]) + f"?check={asked}")
        assert "theirs" not in page.content.decode()


def test_a_check_that_waits_is_stopped_at_once_and_attaches_nothing(task):
    line = bare_line()
    lead = lead_of(line)
    check = order(line, task)
    shown = reverse("rounds:suite_check", args=[line.slug, check.pk])
    TaskCheck.objects.update(created_at=timezone.now() - 2 * SHOWN)  # however long it waits
    suites = reverse("rounds:suites", args=[line.slug])
    assert f'href="{shown}"' in lead.get(suites).content.decode()
    page = lead.get(shown).content.decode()
    assert "waits for a worker" in page
    assert 'hx-trigger="every 1s"' in page
    page = lead.post(shown + "stop/", follow=True).content.decode()
    assert "The check stops; nothing is attached." in page
    assert task_check_run(check_id=check.pk) is None
    assert after(check) == ("cancelled", "")
    assert not LineSuite.objects.exists()


def test_a_running_check_is_stopped_where_it_is(settings, task):
    settings.OUTERLOOP_HEARTBEAT_SECONDS = 0
    check = order(bare_line(), task)
    TaskCheck.objects.update(cancel_requested=True)
    task_check_run(check_id=check.pk)
    assert after(check) == ("cancelled", "")
    assert not LineSuite.objects.exists()


def test_a_check_whose_worker_was_killed_is_taken_up_and_attached_once(task, monkeypatch):
    line = bare_line()
    check = order(line, task)
    enqueued: list[UUID] = []
    monkeypatch.setattr(tasks, "task_check_enqueue", enqueued.append)
    TaskCheck.objects.update(
        state="running", heartbeat_at=database_now() - SILENCE - timedelta(seconds=1)
    )
    tasks.sweep()
    assert enqueued == [check.pk]
    for _ in range(2):  # and a second message finds it done
        task_check_run(check_id=check.pk)
    assert after(check) == ("done", "")
    assert len(suites_attached(line)) == 1


def test_a_worker_that_dies_as_it_attached_leaves_a_check_that_is_done(task, monkeypatch):
    check = order(bare_line(), task)

    def killed(*_: object, **__: object) -> None:
        raise SystemExit

    monkeypatch.setattr("web.jobs._finish", killed)
    with pytest.raises(SystemExit):
        task_check_run(check_id=check.pk)
    assert after(check)[0] == "done"
    assert jobs_waiting(TaskCheck) == []


def test_a_name_that_is_taken_is_refused_before_the_task_is_checked_and_after(task, monkeypatch):
    line = bare_line()
    late = order(line, task)
    attach(line, task)
    task_check_run(check_id=late.pk)
    state, error = after(late)
    assert (state, "is attached already" in error) == ("failed", True)
    with pytest.raises(SuiteRefused, match="attached already"):
        order(line, task)


def test_without_the_library_the_page_says_so_in_place_of_the_form(monkeypatch):
    line = bare_line()
    lead = lead_of(line)
    address = reverse("rounds:suites", args=[line.slug])
    assert "Check and attach" in lead.get(address).content.decode()
    monkeypatch.setattr(task_suites, "find_spec", lambda name: None)
    page = lead.get(address).content.decode()
    assert "The package lm-eval is not installed here" in page
    assert "Check and attach" not in page
    sent = send(lead, line.slug, task="gsm8k").content.decode()
    assert "The package lm-eval is not installed here" in sent


def test_a_round_does_not_start_where_its_task_could_not_be_measured(task, monkeypatch):
    line = bare_line()
    attach(line, task)
    monkeypatch.setattr(task_suites, "find_spec", lambda name: None)
    (reason,) = [r for r in start_check(line=line).reasons if "lm-eval" in r]
    assert reason.endswith("Attached: house.")
    assert not [r for r in start_check(line=bare_line()).reasons if "lm-eval" in r]


def test_a_round_reads_the_task_with_its_files_as_they_were(loop, behave, evidence, task):
    row = attach(loop.line, task)
    round_ = round_start(line=loop.line, trigger="person")
    advance_through(round_, upto=State.AWAITING_LABELS)
    inputs = run_of(round_, State.POLICY_EVALUATION).spec["inputs"]
    assert inputs["suite_1"]["sha256"] == row.sha256
    suite = suite_from_bytes(input_path(inputs["suite_1"]["path"]).read_bytes())
    assert isinstance(suite, TaskSuite)
    assert suite.files.keys() == {"pick.yaml", "pick.jsonl", "write.yaml", "write.jsonl"}
