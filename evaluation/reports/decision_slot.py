"""The place on a report page where a lead acts: approve, hold back, let a check through.

Reports import nothing of the rounds, so the rounds fill the slot when the site starts:

    report_decision_slot(template="rounds/_decision_actions.html", read=decision_of)

`read(request, round_id)` gives the template's context, or None where there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest

Read = Callable[[HttpRequest, UUID], Mapping[str, Any] | None]


@dataclass(frozen=True)
class _Slot:
    template: str
    read: Read


_filled: dict[str, _Slot] = {}


def report_decision_slot(*, template: str, read: Read) -> None:
    """Fill the slot; a second call replaces the first."""
    _filled["decision"] = _Slot(template, read)


def decision_context(request: HttpRequest, round_id: UUID) -> dict[str, Any]:
    """The slot's context with `decision_template`, which is empty where nothing is to be done."""
    slot = _filled.get("decision")
    found = slot.read(request, round_id) if slot else None
    if slot is None or found is None:
        return {"decision_template": ""}
    return {**found, "decision_template": slot.template}
