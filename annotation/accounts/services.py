"""Writes: roles, raters and their pseudonyms."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from .models import Membership, Rater, Role, User


def membership_grant(*, user: User, role: Role | str, line_id: UUID | None = None) -> Membership:
    return Membership.objects.get_or_create(user=user, role=Role(role), line=line_id)[0]


def membership_revoke(*, user: User, role: Role | str, line_id: UUID | None = None) -> int:
    return Membership.objects.filter(user=user, role=Role(role), line=line_id).delete()[0]


def preferences_keep(*, user: User, **changed: Any) -> None:
    """Keep how a person likes the compare page: `text_view`, `compare_keys`, `toured`."""
    for name, value in changed.items():
        setattr(user, name, value)
    user.save(update_fields=list(changed))


def rater_for(*, user: User) -> Rater:
    """The rater under whose pseudonym this user's judgments are kept; made on first need."""
    rows = Rater.objects.filter(user=user)
    found = (
        rows.first() or rows.get_or_create(user=user, defaults={"pseudonym": _pseudonym("r")})[0]
    )
    found.user = user  # at hand already: whoever asks what the rater may do need not read it again
    return found


def simulated_rater(*, name: str, user: User | None = None) -> Rater:
    """The simulated rater of this name; every page calls it simulated."""
    return Rater.objects.get_or_create(
        source="simulated",
        external_id=name,
        defaults={"pseudonym": f"simulated-{name}"[:40], "simulated": True, "user": user},
    )[0]


def imported_raters(*, source: str, external_ids: Iterable[str]) -> dict[str, Rater]:
    """Raters for voters named in an import, by their name there; the missing ones are made."""
    wanted = sorted(set(external_ids))
    Rater.objects.bulk_create(
        [
            Rater(source=source, external_id=name, pseudonym=_pseudonym("v"))
            for name in set(wanted) - set(_imported(source, wanted))
        ],
        ignore_conflicts=True,
        batch_size=1000,
    )
    return _imported(source, wanted)


def _imported(source: str, external_ids: list[str]) -> dict[str, Rater]:
    rows = Rater.objects.filter(source=source, external_id__in=external_ids)
    return {rater.external_id: rater for rater in rows}


def _pseudonym(prefix: str) -> str:
    return f"{prefix}-{secrets.token_hex(6)}"
