"""What people did to a campaign, for the audit log."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from web.services import audit_record

from .models import Campaign


def campaign_audit(request: HttpRequest, campaign: Campaign, verb: str, **detail: Any) -> None:
    audit_record(
        actor=request.user,
        verb=verb,
        target=f"campaign {campaign.name}",
        line=campaign.line,
        detail=detail,
    )
