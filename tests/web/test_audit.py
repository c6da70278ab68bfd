"""The audit log as a lead reads it: sentences, names and ways to the things, no verbs and ids of the machine."""

from __future__ import annotations

import ast
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.architecture.packages import PACKAGES, ROOT
from tests.support.people import person_create
from tests.support.registry import paged_line
from web.audit import PROCESSES, SENTENCES, acts
from web.models import AuditEvent
from web.registry import NamedLine
from web.services import audit_record

LINE = uuid.UUID(int=7)


@pytest.fixture(autouse=True)
def help_desk(db: None, monkeypatch: pytest.MonkeyPatch) -> NamedLine:
    line = NamedLine(LINE, "Help desk", "/lines/help-desk/")
    paged_line(monkeypatch, line)
    return line


def said(**event: Any) -> str:
    audit_record(**event)
    (act,) = acts(AuditEvent.objects.all())
    return f"{act.who} {act.before}{act.thing}{act.after}"


def test_a_person_and_whom_it_was_done_to_have_their_names():
    lea, ann = person_create("lea", "lead"), person_create("ann")
    detail = {"role": "annotator"}
    audit_record(actor=lea, verb="took role", target=f"person {ann.pk}", line=LINE, detail=detail)
    (act,) = acts(AuditEvent.objects.all())
    assert (act.who, act.before + act.thing, act.url) == ("lea", "took a role from ann", "/people/")
    assert act.details == (("role", "annotator"),)
    ann.delete()
    assert acts(AuditEvent.objects.all())[0].thing == "a former member"


@pytest.mark.parametrize(
    ("verb", "target", "sentence", "url"),
    [
        ("decision_record", "round 2", "the gate decided round 2", "/lines/help-desk/rounds/2/"),
        ("started round", "help-desk/3", "the gate started round 3", "/lines/help-desk/rounds/3/"),
        ("deployment_rollback", "policy v1", "the gate rolled back to policy v1", f"/gate/{LINE}/deployments/"),
        ("gate_policy_save", "gate policy 4", "the gate saved version 4 of the gate policy", f"/gate/{LINE}/policy/"),
        ("label_plan_keep", "plan of 20 labels", "the gate kept a plan of 20 labels", f"/gate/{LINE}/labels/"),
        ("cancelled run", f"ppo {LINE}", "the gate cancelled a run", f"/runs/{LINE}/"),
        ("exported", f"export {LINE}", "the gate ordered an export", f"/data/exports/{LINE}/"),
        ("set base policy", str(LINE), "the gate set the base policy", ""),
    ],
)  # fmt: skip
def test_an_act_is_a_sentence_that_leads_to_its_thing(
    verb: str, target: str, sentence: str, url: str
):
    assert said(actor="gate", verb=verb, target=target, line=LINE) == sentence
    if url:
        assert acts(AuditEvent.objects.all())[0].url == url


def test_of_a_changed_plan_only_what_differs_is_told():
    plan = {"policy": {"updates": 30, "kl": {"beta": 0.1}}, "seed": 1}
    after = {"policy": {"updates": 20, "kl": {"beta": 0.1}}, "seed": 1}
    audit_record(
        actor="demo", verb="changed plan", target="help-desk", line=LINE,
        detail={"before": plan, "after": after, "evidence_sha256": "a" * 64},
    )  # fmt: skip
    assert acts(AuditEvent.objects.all())[0].details == (("policy: updates", "30 → 20"),)


def test_several_sentences_are_read_one_after_the_other_and_no_key_of_the_machine():
    audit_record(
        actor="demo", verb="attached suite", target="own safety", line=LINE,
        detail={"weaker": ["The one (instead of 5%).", "The other."], "kind": "exact_match", "sha256": "a" * 64},
    )  # fmt: skip
    assert acts(AuditEvent.objects.all())[0].details == (
        ("kind", "exact match"),
        ("weaker", "The one (instead of 5%); The other"),
    )


def test_the_page_shows_no_verb_or_id_of_the_machine():
    lea = person_create("lea", "lead")
    audit_record(
        actor=lea, verb="deployment_deploy", target="policy v2", line=LINE,
        detail={"deployment": str(uuid.uuid4()), "artifact_sha256": "b" * 64, "reason": ""},
    )  # fmt: skip
    client = Client()
    client.force_login(lea, backend="django.contrib.auth.backends.ModelBackend")
    html = client.get("/audit/").content.decode()
    cells = re.sub(r"<[^>]+>", "", html.split("<tbody>")[1].split("</tbody>")[0])
    assert "deployed policy v2" in cells
    assert "Help desk" in cells
    assert not re.search(r"[0-9a-f]{12}|_", cells)


def test_every_verb_that_is_written_has_its_sentence():
    written = set(_verbs()) - PROCESSES.keys()
    assert len(written) > 20
    assert written <= SENTENCES.keys(), "web/audit.py: say what is read for the further verbs"


def _verbs() -> Iterator[str]:
    """What is given to `audit_record` as verb, and to the rooms' own `_audit` in between."""
    for package in PACKAGES:
        for path in Path(ROOT / package).rglob("*.py"):
            for call in ast.walk(ast.parse(path.read_text())):
                if isinstance(call, ast.Call):
                    yield from _verb_of(call)


def _verb_of(call: ast.Call) -> Iterator[str]:
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    if name == "audit_record":
        given = [keyword.value for keyword in call.keywords if keyword.arg == "verb"]
    elif name == "_audit" and len(call.args) > 2:
        given = [call.args[1], call.args[2]]
    else:
        return
    for value in given:
        parts = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
        for part in parts:
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield part.value
            elif isinstance(part, ast.JoinedStr):  # the kinds of a deployment
                yield from (f"deployment_{kind}" for kind in ("initial", "deploy", "rollback"))
