"""Telling the line's leads and engineers that a deployed policy cannot be served."""

from __future__ import annotations

from django.urls import reverse

from evaluation.gates.records import CanaryRecord, LineDeployment
from web.access import STAFF, people_with
from web.services import notice_send


def serving_failure_tell(deployment: LineDeployment, error: str, *, still_serving: bool) -> None:
    """One notice a person and deployment, however often the start is tried again."""
    meanwhile = (
        "The version before still answers" if still_serving else "The policy server is silent"
    )
    notice_send(
        users=people_with(*STAFF, line_id=deployment.line_id),
        topic=f"serving:{deployment.id}",
        level="bad",
        text=f"The deployed policy cannot be served: {error} {meanwhile}.",
        url=reverse("gates:deployments", args=[deployment.line_id]),
        line=deployment.line_id,
    )


def canary_crash_tell(canary: CanaryRecord, last_words: str) -> None:
    """One notice a person and canary, however often its server ends; the page counts."""
    notice_send(
        users=people_with(*STAFF, line_id=canary.line_id),
        topic=f"crash:{canary.id}",
        level="attention",
        text=f"The canary is away: {last_words} The deployed version answers its users until it is back.",
        url=reverse("gates:deployments", args=[canary.line_id]),
        line=canary.line_id,
    )


def canary_failure_tell(canary: CanaryRecord, error: str) -> None:
    """The same of a canary, whose users have the deployed version meanwhile."""
    notice_send(
        users=people_with(*STAFF, line_id=canary.line_id),
        topic=f"serving:{canary.id}",
        level="bad",
        text=f"The canary cannot be served: {error} The deployed version answers its users.",
        url=reverse("gates:deployments", args=[canary.line_id]),
        line=canary.line_id,
    )
