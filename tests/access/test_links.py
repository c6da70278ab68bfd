"""Every link of every page that a person can reach answers, and no button of theirs is refused."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from django.db import transaction
from django.test import Client

from outerloop.rounds.models import State
from outerloop.rounds.services import round_start
from tests.access.world import ROLES, House, house_build
from tests.outerloop.rounds.world import Evidence, LoopWorld, advance_through, bare_line
from tests.support.fake_runs import fake_programs
from tests.support.people import person_create

# Signing out ends the walk, and allauth's own pages send e-mail: tests/access/test_sign_in.py has them.
NOT_WALKED = ("/accounts/", "/static/")
REFUSED = {403, 404, 405}
EVERYWHERE = tuple(f"{role} of every line" for role in ROLES)


@dataclass
class Door:
    """A form that is sent by POST, with what it would send if nothing were filled in."""

    address: str
    fields: dict[str, str] = field(default_factory=dict)


class Doors(HTMLParser):
    """The links and the POST forms of one page."""

    def __init__(self, page: str, address: str) -> None:
        super().__init__()
        self.address = address
        self.links: set[str] = set()
        self.forms: list[Door] = []
        self.open: Door | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "a" and "href" in said:
            self.links.add(self._inside(said["href"]))
        elif tag == "form" and said.get("method") == "post":
            self.open = Door(self._inside(said.get("action") or self.address))
            self.forms.append(self.open)
        elif self.open and tag in ("input", "button") and "name" in said:
            self.open.fields.setdefault(said["name"], said.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.open = None

    def _inside(self, link: str) -> str:
        parts = urlsplit(urljoin(f"http://testserver{self.address}", link))
        if parts.netloc != "testserver" or parts.path.startswith(NOT_WALKED):
            return ""
        return parts.path + (f"?{parts.query}" if parts.query else "")


@pytest.fixture
def house(db: None, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    settings.VAR_DIR = tmp_path
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    settings.OUTERLOOP_HEARTBEAT_SECONDS = 0.05
    monkeypatch.setattr(logging.getLogger("django.request"), "disabled", True)
    house = house_build(tmp_path)
    for role in ROLES:
        house.people[f"{role} of every line"] = person_create(f"every-{role}", role)
    _rounds_in_every_state(tmp_path, monkeypatch)
    return house


def _rounds_in_every_state(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that waits for a lead, one that failed, one at work, one without a base."""
    fake_programs(monkeypatch)()
    monkeypatch.setattr("evaluation.gates.services.decisions.round_measure", Evidence())
    advance_through(round_start(line=LoopWorld(folder).line, trigger="person"))
    LoopWorld(folder).round(State.FAILED, error="No disk.")
    LoopWorld(folder).round(State.POLICY_TRAINING)
    LoopWorld(folder, labels=0)
    bare_line()


def walk(client: Client) -> tuple[dict[str, int], list[Door]]:
    """Every address that links lead to from home, with its status, and every form on the way."""
    found: dict[str, int] = {}
    forms: dict[str, Door] = {}
    ahead = ["/"]
    while ahead:
        address = ahead.pop()
        if not address or address in found:
            continue
        answer = client.get(address)
        found[address] = answer.status_code
        if answer.status_code in (301, 302):
            ahead.append(answer["Location"])
        if answer.streaming or "html" not in answer.headers.get("Content-Type", ""):
            continue
        if "attachment" in answer.headers.get("Content-Disposition", ""):
            continue
        doors = Doors(answer.content.decode(), address)
        ahead += doors.links - found.keys()
        forms.update({form.address: form for form in doors.forms if form.address})
    return found, list(forms.values())


@pytest.mark.parametrize("actor", [*ROLES, *EVERYWHERE, "nobody"])
def test_no_page_shows_a_link_or_button_that_its_reader_may_not_use(
    house: House, actor: str
) -> None:
    client = house.client(actor)
    found, forms = walk(client)
    assert {a for a, status in found.items() if status in REFUSED} == set()
    if actor != "nobody":
        assert len(found) > 2
    refused = []
    for form in forms:
        with transaction.atomic():
            if client.post(form.address, form.fields).status_code in REFUSED:
                refused.append(form.address)
            transaction.set_rollback(True)
    assert refused == []
