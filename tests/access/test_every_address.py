"""Every address of the URL table, asked by everybody: only whom the table allows is answered."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from tests.access.table import ACCOUNT_PAGES, ACTORS, CHIEF, OUTSIDER, RULES, Rule
from tests.access.world import House, house_build, url_table

FILLED = {
    "account_confirm_email": "accounts/confirm-email/some-key/",
    "account_reset_password_from_key": "accounts/password/reset/key/1-some-key/",
    "openid_connect_login": "accounts/oidc/nowhere/login/",
    "openid_connect_callback": "accounts/oidc/nowhere/login/callback/",
}
WRONG_METHOD = {405}
TURNED_AWAY = {"sign in", 401, 403, 404}


@pytest.fixture
def house(db: None, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    settings.VAR_DIR = tmp_path
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    # Hundreds of refusals are meant.
    monkeypatch.setattr(logging.getLogger("django.request"), "disabled", True)
    return house_build(tmp_path)


def asked(house: House, actor: str, method: str, name: str, pattern: str) -> int | str:
    """The status of the answer, or "sign in" where it leads there; whatever it changed is undone."""
    rule = RULES.get(name, Rule())
    address = house.address(FILLED.get(name, pattern))
    assert "<" not in address, f"{name}: fill {address} in tests/access/world.py"
    client = house.client(actor, by_token=rule.by_token)
    with transaction.atomic():
        if method == "get":
            answer = client.get(address)
        elif rule.json:
            body = json.dumps(house.filled(rule.body))
            answer = client.post(address, body, content_type="application/json")
        else:
            answer = client.post(address, house.filled(rule.body))
        transaction.set_rollback(True)
    leads_to_sign_in = answer.headers.get("Location", "").startswith("/accounts/login/")
    return "sign in" if leads_to_sign_in else answer.status_code


def test_every_address_has_its_row() -> None:
    assert url_table().keys() == RULES.keys() | ACCOUNT_PAGES.keys(), (
        "tests/access/table.py says who may use each address: add, or take away, a row."
    )


@pytest.mark.parametrize("room", sorted({name.split(":")[0] for name in RULES}))
def test_only_whom_the_table_allows_is_answered(house: House, room: str) -> None:
    wrong = []
    for name in (name for name in RULES if name.startswith(f"{room}:")):
        for method in ("get", "post"):
            allowed = getattr(RULES[name], method)
            for actor in ACTORS if allowed else (OUTSIDER, CHIEF):
                status = asked(house, actor, method, name, url_table()[name])
                if not _as_the_table_says(status, offered=bool(allowed), mine=actor in allowed):
                    wrong.append(f"{method.upper()} {name} as {actor}: {status}")
    assert not wrong, "\n".join(wrong)


def _as_the_table_says(status: int | str, *, offered: bool, mine: bool) -> bool:
    if not offered:
        return status in WRONG_METHOD | TURNED_AWAY
    return status not in TURNED_AWAY | WRONG_METHOD if mine else status in TURNED_AWAY


def test_pages_of_one_s_own_account_show_a_stranger_nothing(house: House) -> None:
    shown = []
    for name, account in ACCOUNT_PAGES.items():
        for method in ("get", "post"):
            status = asked(house, OUTSIDER, method, name, url_table()[name])
            if account.own and status not in {"sign in", 302, 301, 403, 404, 405}:
                shown.append(f"{method.upper()} {name}: {status}")
    assert not shown, "\n".join(shown)
