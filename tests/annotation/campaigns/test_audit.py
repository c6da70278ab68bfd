"""One way to write what people did to a campaign into the audit log."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3] / "annotation"


def _writers() -> set[str]:
    """Modules that call `audit_record` with a target of the words "campaign NAME" and an actor of a request."""
    found = set()
    for path in ROOT.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if not isinstance(call, ast.Call) or ast.unparse(call.func) != "audit_record":
                continue
            said = {word.arg: ast.unparse(word.value) for word in call.keywords}
            if said["target"] == "f'campaign {campaign.name}'":
                found.add(path.relative_to(ROOT).as_posix())
    return found


def test_what_people_do_to_a_campaign_is_written_in_one_place():
    assert _writers() == {"campaigns/audit.py"}
