import json

import pytest
from django.contrib.auth import get_user_model
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from evaluation.contracts import EarlierSuites, RewardSuite, Suite
from evaluation.facade import report_get
from outerloop.rounds.dry_run import start_check
from outerloop.rounds.models import LineSuite, State
from outerloop.rounds.record import record_build, record_refresh
from outerloop.rounds.services import round_start
from outerloop.rounds.suites import (
    SuiteRefused,
    suite_attach,
    suite_detach,
    suites_attached,
    suites_words,
)
from tests.outerloop.rounds.world import (
    PREFERENCES,
    SAFETY_CSV,
    advance_through,
    bare_line,
    reward_suite,
    run_of,
    safety_suite,
)
from tests.support.people import person_create
from training.runs.inventory import input_path
from web.models import AuditEvent

pytestmark = pytest.mark.django_db


def test_an_attached_suite_is_kept_as_one_line_with_its_hash():
    line = bare_line()
    row = safety_suite(line)
    suite = Suite.from_json(json.loads(row.content))
    assert [item.wanted for item in suite.items] == ["answer", "answer", "refuse", "refuse"]
    assert (row.items, row.kind) == (4, "safety")
    event = AuditEvent.objects.get(verb="attached suite")
    assert event.detail["sha256"] == row.sha256


def test_a_name_is_free_again_once_its_suite_is_detached():
    line = bare_line()
    first = safety_suite(line)
    with pytest.raises(SuiteRefused, match="attached already"):
        safety_suite(line)
    suite_detach(line=line, suite_id=first.pk, actor="lead")
    second = safety_suite(line)
    assert suites_attached(line) == [second]
    assert LineSuite.objects.count() == 2
    assert AuditEvent.objects.filter(verb="detached suite").count() == 1


def test_detaching_what_is_not_attached_changes_nothing():
    line, other = bare_line(), bare_line()
    row = safety_suite(line)
    suite_detach(line=other, suite_id=row.pk, actor="lead")
    assert suites_attached(line) == [row]
    assert not AuditEvent.objects.filter(verb="detached suite").exists()


def test_once_a_round_has_answered_it_two_leads_detach_a_suite(loop):
    row = safety_suite(loop.line)
    round_start(line=loop.line, trigger="person")
    assert suite_detach(line=loop.line, suite_id=row.pk, actor="lea") is False
    assert suites_attached(loop.line) == [row]
    with pytest.raises(SuiteRefused, match="another lead must agree"):
        suite_detach(line=loop.line, suite_id=row.pk, actor="lea")
    assert suite_detach(line=loop.line, suite_id=row.pk, actor="leo") is True
    assert suites_attached(loop.line) == []
    verbs = AuditEvent.objects.filter(verb__contains="detach").values_list("actor", "verb")
    assert list(verbs.order_by("pk")) == [
        ("lea", "asked to detach suite"),
        ("leo", "detached suite"),
    ]


def test_the_page_asks_for_the_second_lead(client: Client, loop):
    row = safety_suite(loop.line)
    round_start(line=loop.line, trigger="person")
    address = reverse("rounds:suite_detach", args=[loop.line.slug, row.pk])
    pages = []
    for name in ("lea", "lea", "leo"):
        user = get_user_model().objects.filter(username=name).first()
        client.force_login(user or person_create(name, "lead", line=loop.line.id))
        pages.append(client.post(address, follow=True).content.decode())
    assert "the suite stays until another lead agrees" in pages[0]
    assert "Agree and detach" in pages[0]
    assert "You have asked for it already" in pages[1]
    assert "The suite is detached" in pages[2]


def test_a_file_that_is_no_suite_is_refused_with_its_line():
    with pytest.raises(SuiteRefused, match="Line 2: the label is 'maybe'"):
        suite_attach(
            line=bare_line(),
            name="bad",
            kind="safety",
            content=b"id,prompt,label\n1,Hello?,maybe\n",
            actor="set-up",
        )
    assert not LineSuite.objects.exists()


def test_a_round_answers_the_suites_that_were_attached_when_it_started(loop, behave, evidence):
    before = safety_suite(loop.line, name="before")
    round_ = round_start(line=loop.line, trigger="person")
    safety_suite(loop.line, name="after")
    for lead in ("lead", "another lead"):
        suite_detach(line=loop.line, suite_id=before.pk, actor=lead)
    advance_through(round_, upto=State.AWAITING_LABELS)
    inputs = run_of(round_, State.POLICY_EVALUATION).spec["inputs"]
    assert [name for name in inputs if name.startswith("suite")] == ["suite_1"]
    assert inputs["suite_1"]["sha256"] == before.sha256
    assert input_path(inputs["suite_1"]["path"]).read_text() == before.content


def test_a_round_measures_its_reward_model_on_preferences_and_asks_no_policy(
    loop, behave, evidence
):
    row = reward_suite(loop.line)
    round_ = round_start(line=loop.line, trigger="person")
    advance_through(round_, upto=State.AWAITING_LABELS)
    inputs = run_of(round_, State.REWARD_EVALUATION).spec["inputs"]
    assert inputs["suite_1"]["sha256"] == row.sha256
    suite = RewardSuite.from_json(json.loads(input_path(inputs["suite_1"]["path"]).read_text()))
    assert [(i.chosen, i.rejected, i.subset) for i in suite.items] == [
        (("4",), ("5",), "sums"),
        (("6",), ("5",), "sums"),
    ]
    asked = run_of(round_, State.POLICY_EVALUATION).spec["inputs"]
    assert not [name for name in asked if name.startswith("suite")]


def test_a_report_keeps_what_the_last_round_measured_on_the_same_suite(loop, behave, evidence):
    first = reward_suite(loop.line)
    before = round_start(line=loop.line, trigger="person")
    advance_through(before, upto=State.AWAITING_LABELS)
    record_refresh(before)
    kept = report_get(before.id)
    assert kept is not None
    assert kept.suites_before is None
    before.state = State.CLOSED
    before.save()
    reward_suite(loop.line, name="another")
    loop.label(3)
    later = round_start(line=loop.line, trigger="person")
    advance_through(later, upto=State.AWAITING_LABELS)
    found = record_build(later)
    assert found.reward_model is not None
    assert len(found.reward_model.suites) == 2
    assert kept.reward_model is not None
    assert found.suites_before == EarlierSuites(before.number, kept.reward_model.suites)
    assert found.suites_before.suites[0].sha256 == first.sha256


def test_one_lead_detaches_preferences_since_no_check_rests_on_them(loop):
    row = reward_suite(loop.line)
    round_start(line=loop.line, trigger="person")
    assert suite_detach(line=loop.line, suite_id=row.pk, actor="lea") is True
    assert suites_attached(loop.line) == []


def test_preferences_watch_no_policy_and_the_page_says_so(client: Client):
    line = bare_line()
    client.force_login(person_create("engineer", "engineer", line=line.id))
    address = reverse("rounds:suites", args=[line.slug])
    unwatched = "Neither safety nor capability is watched: no suite is for the policy."
    empty = client.get(address).content.decode()
    assert "reward models are measured on the line's own labels alone" in empty
    page = upload(client, line.slug, PREFERENCES, kind="preferences").content.decode()
    assert "XSTest is attached" in page
    assert unwatched in page
    words = suites_words(suites_attached(line))
    assert words == "XSTest (2 items); neither safety nor capability is watched"
    safety_suite(line)
    assert unwatched not in client.get(address).content.decode()


def test_rows_without_a_better_answer_are_named_above_the_form(client: Client):
    line = bare_line()
    client.force_login(person_create("engineer", "engineer", line=line.id))
    page = upload(client, line.slug, SAFETY_CSV, kind="preferences").content.decode()
    assert "Line 2: there is no chosen." in page
    assert not LineSuite.objects.exists()


def test_before_a_round_the_dry_run_says_what_is_watched():
    line = bare_line()
    assert dict(start_check(line=line).facts)["Suites"] == suites_words([])
    assert "neither safety nor capability is watched" in suites_words([])
    safety_suite(line)
    assert dict(start_check(line=line).facts)["Suites"] == "own safety (4 items)"


def upload(client: Client, slug: str, content: bytes, **fields: str):
    body = {"name": "XSTest", "kind": "safety", **fields}
    file = SimpleUploadedFile("suite.csv", content)
    return client.post(reverse("rounds:suites", args=[slug]), {**body, "file": file}, follow=True)


def test_an_engineer_attaches_and_a_lead_detaches_on_the_page(client: Client):
    line = bare_line()
    client.force_login(person_create("engineer", "engineer", line=line.id))
    page = upload(client, line.slug, SAFETY_CSV).content.decode()
    assert "XSTest is attached; the next round takes it." in page
    assert "Detach" not in page
    row = suites_attached(line)[0]
    client.force_login(person_create("lead", "lead", line=line.id))
    assert "Detach" in client.get(reverse("rounds:suites", args=[line.slug])).content.decode()
    client.post(reverse("rounds:suite_detach", args=[line.slug, row.pk]))
    assert suites_attached(line) == []


def test_what_is_wrong_with_a_file_is_said_above_the_form(client: Client, monkeypatch):
    line = bare_line()
    client.force_login(person_create("engineer", "engineer", line=line.id))
    page = upload(client, line.slug, b"{}", kind="exact_match").content.decode()
    assert "Line 1 has no answer." in page
    monkeypatch.setattr("outerloop.rounds.forms.SUITE_BYTES", 10)
    assert "more than 20 MB" in upload(client, line.slug, SAFETY_CSV).content.decode()
    assert suites_attached(line) == []
