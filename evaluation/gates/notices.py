"""Telling the other leads of a line that a weaker gate policy waits for one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.urls import reverse

from evaluation.gates.models import GatePolicyRequest
from web.access import LEAD, people_with
from web.registry import line_name
from web.services import notice_send

if TYPE_CHECKING:
    from web.access import User


def second_lead_tell(asked: GatePolicyRequest, *, by: User) -> None:
    notice_send(
        users=people_with(LEAD, line_id=asked.line).exclude(pk=by.pk),
        topic=f"gate policy request {asked.pk}",
        level="attention",
        text=f"{by} asks you to confirm a weaker gate policy of {line_name(asked.line)}.",
        url=reverse("gates:policy", args=[asked.line]),
    )
