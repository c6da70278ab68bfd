"""Reading notices: each person sees the own ones only."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from .models import Notice


def notices_for(user: Any) -> QuerySet[Notice]:
    return Notice.objects.filter(user=user)


def unread_count(user: Any) -> int:
    return Notice.objects.filter(user=user, read_at=None).count()
