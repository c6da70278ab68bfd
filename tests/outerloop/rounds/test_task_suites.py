"""Tasks of lm-evaluation-harness on the page of suites, before a round, and as what a round reads."""

import json

import pytest
from django.test import Client
from django.urls import reverse

from evaluation import task_suites
from evaluation.contracts import TaskSuite
from evaluation.suite_files import suite_from_bytes
from outerloop.rounds.dry_run import start_check
from outerloop.rounds.models import LineSuite, State
from outerloop.rounds.services import round_start
from outerloop.rounds.suites import SuiteRefused, suites_attached, suites_words, task_attach
from tests.outerloop.rounds.world import advance_through, bare_line, run_of
from tests.support.lm_eval_tasks import library_provided, task_folder
from tests.support.people import person_create
from training.runs.inventory import input_path

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


def attach(line, task, name="house"):
    return task_attach(
        line=line, name=name, task=task, metric="", limit=5, chat=False, actor="set-up"
    )


def send(client: Client, slug: str, **fields: str) -> str:
    body = {"name": "house", "limit": "5", "metric": "", **fields}
    address = reverse("rounds:suite_task", args=[slug])
    sent = {f"task-{name}": value for name, value in body.items()}
    return client.post(address, sent, follow=True).content.decode()


def test_a_lead_attaches_a_task_on_the_page(client: Client, task):
    line = bare_line()
    client.force_login(person_create("lead", "lead", line=line.id))
    page = send(client, line.slug, task=task, chat="on")
    assert "house is attached; the next round takes it." in page
    assert "A task of lm-evaluation-harness, by its own score" in page
    (row,) = suites_attached(line)
    suite = TaskSuite.from_json(json.loads(row.content))
    assert (row.kind, row.items, suite.chat, suite.metric) == ("lm_eval", 5, True, "acc,none")
    assert suites_words([row]) == "house (5 items)"


def test_what_is_wrong_with_a_task_is_said_above_its_own_form(client: Client, task):
    line = bare_line()
    client.force_login(person_create("lead", "lead", line=line.id))
    page = send(client, line.slug, task=task, metric="bleu")
    assert "pick.yaml has no score &#x27;bleu&#x27;; it has acc,none." in page
    assert f'value="{task}"' in page
    assert "Ensure this value is" in send(client, line.slug, task=task, limit="1")
    assert not LineSuite.objects.exists()


def test_a_name_that_is_taken_is_refused_before_the_task_is_checked(task, monkeypatch):
    line = bare_line()
    attach(line, task)
    monkeypatch.setattr("subprocess.run", None)
    with pytest.raises(SuiteRefused, match="attached already"):
        attach(line, task)


def test_without_the_library_the_page_says_so_in_place_of_the_form(client: Client, monkeypatch):
    line = bare_line()
    client.force_login(person_create("lead", "lead", line=line.id))
    address = reverse("rounds:suites", args=[line.slug])
    assert "Check and attach" in client.get(address).content.decode()
    monkeypatch.setattr(task_suites, "find_spec", lambda name: None)
    page = client.get(address).content.decode()
    assert "The package lm-eval is not installed here" in page
    assert "Check and attach" not in page
    assert "The package lm-eval is not installed here" in send(client, line.slug, task="gsm8k")


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
