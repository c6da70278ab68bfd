"""Who is erased leaves judgments and no trace; who is not stays as they were."""

from __future__ import annotations

import hashlib
import io
import uuid

import pytest
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import DatabaseError, transaction
from django.test import Client

from annotation.accounts.erasure import person_erase, person_find
from annotation.accounts.models import ApiToken, Rater, User
from annotation.accounts.services import imported_raters, rater_for
from annotation.accounts.tokens import token_issue
from annotation.comparisons.models import Assignment, Judgment
from annotation.contracts import AnnotationError, SnapshotRecipe
from tests.annotation.factories import a_campaign, label_next, lease, some_pairs
from tests.support.people import person_create
from training import facade as training
from web.models import AuditEvent, Notice

pytestmark = pytest.mark.django_db


@pytest.fixture
def campaign():
    return a_campaign()


@pytest.fixture
def ann(campaign):
    """An annotator with judgments that give reasons, a skipped pair, a draft and a session."""
    user = person_create("ann", "annotator", line=campaign.line)
    user.first_name, user.last_name = "Ann", "Tulip"
    user.save()
    some_pairs(campaign, 4, split="train")
    rater = rater_for(user=user)
    for _ in range(2):
        label_next(rater, campaign, 2, rationale="My cousin Tulip says so.")
    skipped, drafted = (lease(rater, campaign).assignment_id for _ in range(2))
    Assignment.objects.filter(pk=skipped).update(state="skipped", skip_reason="I know this man.")
    Assignment.objects.filter(pk=drafted).update(draft={"rationale": "I, Ann, think"})
    Notice.objects.create(user=user, topic="hello", level="info", text="Hello Ann")
    token_issue(user=user, name="Ann's own", days=1, scopes=["read", "export"])
    return user


@pytest.fixture
def max_():
    return person_create("max", "lead")


def everything_about(user_id) -> str:
    """All rows in which the person could still be named, as text."""
    tables = [
        User.objects.filter(pk=user_id), Notice.objects.filter(user=user_id),
        AuditEvent.objects.all(), Rater.objects.all(), Assignment.objects.all(),
    ]  # fmt: skip
    return " ".join(str(list(rows.values())) for rows in tables)


def test_the_name_goes_and_the_judgments_stay_under_the_pseudonym(ann, max_, campaign):
    rater = Rater.objects.get(user=ann)
    mine, hers = Client(), Client()
    mine.force_login(max_)
    hers.force_login(ann)
    erased = person_erase(person=ann, actor=max_)
    assert (erased.pseudonym, erased.judgments, erased.drafts, erased.sessions) == (
        rater.pseudonym, 2, 1, 1,
    )  # fmt: skip
    rest = everything_about(ann.pk)
    assert not [word for word in ("Tulip", "ann@example.org", "Ann", "'ann'") if word in rest]
    rater.refresh_from_db()
    assert (rater.user, Judgment.objects.filter(rater=rater).count()) == (None, 2)
    assert Session.objects.count() == 1
    assert not ApiToken.objects.exists()
    assert mine.get("/people/").status_code == 200
    assert hers.get("/").status_code == 302


def test_a_snapshot_taken_again_has_the_same_hash(ann, max_, campaign, settings, tmp_path):
    settings.ARTIFACT_ROOT = tmp_path
    before = training.snapshot_take(line_id=campaign.line, recipe=SnapshotRecipe())
    person_erase(person=ann, actor=max_, reasons="remove")
    after = training.snapshot_take(line_id=campaign.line, recipe=SnapshotRecipe())
    assert after.sha256 == before.sha256
    assert hashlib.sha256(before.path.read_bytes()).hexdigest() == before.sha256
    assert b"ann" not in before.path.read_bytes()


@pytest.mark.parametrize(("reasons", "left"), [("keep", 2), ("remove", 0)])
def test_what_they_wrote_is_kept_or_removed_as_asked(ann, max_, reasons, left):
    erased = person_erase(person=ann, actor=max_, reasons=reasons)
    assert Judgment.objects.exclude(rationale="").count() == left
    assert Assignment.objects.exclude(skip_reason="").count() == left / 2
    assert erased.reasons_removed == 3 - left - left / 2


def test_nobody_empties_a_reason_but_the_erasure(ann, max_):
    """Not before, and not later in the same transaction; and a value never changes."""
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        Judgment.objects.update(rationale="")
    person_erase(person=ann, actor=max_, reasons="remove")
    judgment = Judgment.objects.all()[0]
    for change in ({"rationale": "forged"}, {"both_bad": True}):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            Judgment.objects.filter(pk=judgment.pk).update(**change)


def test_the_audit_log_tells_of_it_without_the_name(ann, max_):
    pseudonym = rater_for(user=ann).pseudonym
    person_erase(person=ann, actor=max_)
    event = AuditEvent.objects.get(verb="erased person")
    assert (event.actor, event.target) == (str(max_.pk), f"rater {pseudonym}")
    assert event.detail == {"reasons": "keep", "judgments_kept": 2}


def test_somebody_who_never_judged_goes_without_a_rater(max_):
    eve = person_create("eve", "engineer")
    assert person_erase(person=eve, actor=max_).pseudonym == ""
    assert not User.objects.filter(pk=eve.pk).exists()
    assert AuditEvent.objects.get().target == "a person who never judged"


def test_an_imported_voter_is_erased_by_pseudonym(max_):
    voter = imported_raters(source="forum", external_ids=["tulip@example.org"])["tulip@example.org"]
    found = person_find(voter.pseudonym)
    assert isinstance(found, Rater)
    person_erase(person=found, actor=max_)
    voter.refresh_from_db()
    assert (voter.source, voter.external_id) == ("", "")


def test_the_last_lead_of_every_line_and_oneself_are_refused(max_):
    with pytest.raises(AnnotationError, match="Another lead must erase"):
        person_erase(person=max_, actor=max_)
    with pytest.raises(AnnotationError, match="only lead of every line"):
        person_erase(person=max_, actor="command")
    person_create("lea", "lead")
    person_erase(person=max_, actor="command")


def test_the_command_asks_first_and_finds_by_name_or_address(ann, max_, monkeypatch, capsys):
    with pytest.raises(CommandError, match="Nobody has the user name"):
        call_command("erase_person", "nobody")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(CommandError, match="nobody to ask here"):
        call_command("erase_person", "ann")
    monkeypatch.setattr("builtins.input", lambda: "not that")
    with pytest.raises(CommandError, match="Nobody was erased"):
        call_command("erase_person", "ann")
    monkeypatch.setattr("builtins.input", lambda: "ANN@example.org")
    call_command("erase_person", "ANN@example.org", "--reasons", "remove")
    said = capsys.readouterr().out
    assert "2 judgments stay under the pseudonym r-" in said
    assert "3 reasons" in said
    assert not User.objects.filter(username="ann").exists()


def test_the_page_erases_after_the_user_name_was_typed(ann, max_):
    client = Client()
    client.force_login(max_)
    assert f"/people/{ann.pk}/erase/" in client.get("/people/").content.decode()
    page = client.get(f"/people/{ann.pk}/erase/").content.decode()
    assert "2 judgments" in page
    wrong = client.post(f"/people/{ann.pk}/erase/", {"reasons": "keep", "username": "anna"})
    assert "This is not the user name" in wrong.content.decode()
    assert User.objects.filter(pk=ann.pk).exists()
    client.post(f"/people/{ann.pk}/erase/", {"reasons": "remove", "username": "ann"})
    assert not User.objects.filter(pk=ann.pk).exists()


def test_only_a_lead_of_every_line_may(ann):
    lea = person_create("lea", "lead", line=uuid.uuid4())
    for person in (lea, ann, person_create("eve", "engineer")):
        client = Client()
        client.force_login(person)
        answer = client.post(f"/people/{ann.pk}/erase/", {"reasons": "keep", "username": "ann"})
        assert answer.status_code == 403
    assert User.objects.filter(pk=ann.pk).exists()
