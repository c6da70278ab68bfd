"""The registry: who adds what to which page, and that nobody can add amiss."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import get_args

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.template.loader import get_template
from django.urls import reverse

from tests.support import registry as support
from web import registry
from web.registry import LineAction, NavigationLink, Panel, ReportCard, RoundLookup, RoundPlace

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "work-on-the-code.md"
REGISTERED = {
    "Panel": [
        *("rounds.begin", "quality.returned", "comparisons.start", "rounds.waiting"),
        *("quality.settling", "quality.questions", "rounds.lines"),
    ],
    "NavigationLink": [
        *("lines", "comparisons.history", "campaigns", "runs", "work"),
        *("data", "selftest", "people", "tokens", "audit"),
    ],
    "LineAction": ["overoptimise"],
    "ReportCard": ["rounds.decision"],
    "RoundLookup": ["rounds"],
    "LineNames": ["rounds"],
    "LineLink": ["webhooks"],
    "ModelLink": ["publishing.push"],
    "EventKind": [
        *("round.started", "round.waiting_for_labels", "round.waiting_for_approval"),
        *("round.decided", "round.closed", "round.failed", "round.cancelled"),
        *("deployment.changed", "deployment.rolled_back"),
        *("import.finished", "import.failed", "export.finished", "export.failed"),
        *("campaign.opened", "campaign.closed", "campaign.finished"),
        *("notice.raised", "webhook.test"),
    ],
    "EventSink": ["webhooks"],
    "PolicyVoice": ["gates.policy_server"],
    "SetUpStep": ["base", "campaign", "prompts", "people", "review"],
}
KINDS = get_args(registry.Extension)


def test_these_extensions_are_registered_in_the_order_of_the_page():
    found = {kind.__name__: [one.key for one in registry.registered(kind)] for kind in KINDS}
    assert found == REGISTERED


def test_what_is_registered_leads_to_pages_and_templates_that_exist():
    for link in registry.registered(NavigationLink):
        assert reverse(link.url_name)
    for action in registry.registered(LineAction):
        assert reverse(action.url_name, args=["desk"])
    parts: list[Panel | ReportCard] = [
        *registry.registered(Panel),
        *registry.registered(ReportCard),
    ]
    for part in parts:
        assert get_template(part.template)


def test_the_guide_names_every_place():
    text = GUIDE.read_text()
    assert [kind.__name__ for kind in KINDS if f"`{kind.__name__}`" not in text] == []


def test_a_key_is_given_once_in_each_place(monkeypatch):
    support.only(monkeypatch, RoundLookup)
    lookup = RoundLookup("same", lambda _: None)
    registry.register(lookup)
    with pytest.raises(ImproperlyConfigured, match="A RoundLookup 'same' is registered already"):
        registry.register(lookup)


def test_what_no_page_shows_is_refused():
    with pytest.raises(ImproperlyConfigured, match="No page has a place for a RoundPlace"):
        registry.register(RoundPlace("a", "/"))  # type: ignore[arg-type]


def test_lower_orders_come_first_and_then_keys(monkeypatch):
    lookups = [
        RoundLookup(key, lambda _: None, order) for key, order in (("b", 1), ("c", 0), ("a", 1))
    ]
    support.only(monkeypatch, RoundLookup, *lookups)
    assert [one.key for one in registry.registered(RoundLookup)] == ["c", "a", "b"]


def test_the_first_that_knows_a_round_names_it(monkeypatch):
    place = RoundPlace("Desk, round 2", "/2/")
    lookups = RoundLookup("a", lambda _: None), RoundLookup("b", lambda _: place)
    support.only(monkeypatch, RoundLookup, *lookups)
    assert registry.round_place(uuid.UUID(int=1)) == place
    assert registry.round_place(None) is None
