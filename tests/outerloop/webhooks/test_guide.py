"""The guide says what the code does: its receiver verifies, its table has every kind, its figures are ours."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from outerloop.rounds.models import PolicyLine
from outerloop.webhooks import outcomes, sending, services
from outerloop.webhooks.sending import deliveries_send
from outerloop.webhooks.signing import secret_shown
from tests.outerloop.webhooks.world import a_webhook, told
from tests.support.receivers import Receiver
from web import outgoing
from web.registry import EventKind, registered

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "webhooks.md"
TEXT = GUIDE.read_text(encoding="utf-8")


@pytest.fixture
def verified() -> Callable[..., Any]:
    """The receiver's function as it stands in the guide."""
    (code,) = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {}
    exec(code, names)
    found: Callable[..., Any] = names["verified"]
    return found


def test_the_receiver_of_the_guide_takes_what_is_sent_and_nothing_else(
    line: PolicyLine, inside: Receiver, verified: Callable[..., Any]
) -> None:
    webhook = a_webhook(line, inside.url())
    told(line, number=7)
    deliveries_send()
    (received,) = inside.received
    secret = secret_shown(webhook.salt)
    assert verified(received.headers, received.body, secret)["data"] == {"number": 7}
    with pytest.raises(ValueError, match="not signed"):
        verified(received.headers, received.body + b" ", secret)
    with pytest.raises(ValueError, match="not signed"):
        verified(received.headers, received.body, secret_shown("another"))
    with pytest.raises(ValueError, match="not signed"):
        verified({**received.headers, "webhook-id": "another"}, received.body, secret)
    old = {**received.headers, "webhook-timestamp": "1600000000"}
    with pytest.raises(ValueError, match="too old"):
        verified(old, received.body, secret)


def test_the_table_has_every_kind_and_no_other() -> None:
    rows = "\n".join(line.split("|")[1] for line in TEXT.splitlines() if line.startswith("|"))
    named = set(re.findall(r"`(\w+\.\w+)`", rows))
    assert named == {kind.key for kind in registered(EventKind)}


def test_the_figures_are_those_of_the_code() -> None:
    for sentence in (
        f"tried {outcomes.TRIES} times",
        f"after {outcomes.STOP_FAILURES} failures in a row",
        f"within {outgoing.SECONDS:g} seconds",
    ):
        assert sentence.lower() in TEXT.lower()
    assert (sending.AT_ONCE, sending.FAILING_AT_ONCE) == (8, 4)  # "eight in all, at most four"
    assert (outcomes.STOP_AFTER.days, services.BOTH_SECRETS.days) == (1, 1)
