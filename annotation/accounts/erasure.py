"""Erasing a person: the account and everything that names them goes, their judgments stay.

Judgments belong to a rater with a drawn pseudonym; the rater loses the account, so that snapshots
(which hold pseudonyms only) keep their hash and rounds can still be explained.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from annotation.comparisons.models import ThreadMessage
from annotation.contracts import AnnotationError
from web.services import audit_record

from .models import Membership, Rater, Role, User


@dataclass(frozen=True)
class Erasure:
    """What went and what stayed; no name in it."""

    pseudonym: str
    judgments: int
    drafts: int
    reasons_removed: int
    sessions: int


def person_find(name: str) -> User | Rater:
    """The account with this user name or e-mail address, or the rater with this pseudonym.

    Raises `AnnotationError` where there is none, or a user name and an address belong to two people.
    """
    users = list(User.objects.filter(Q(username=name) | Q(email__iexact=name)))
    if len(users) > 1:
        raise AnnotationError(
            f"{name!r} is the user name of one person and the address of another."
        )
    if users:
        return users[0]
    rater = Rater.objects.filter(pseudonym=name).first()
    if rater is None:
        raise AnnotationError(
            f"Nobody has the user name, the e-mail address or the pseudonym {name!r}."
        )
    return rater.user or rater


@transaction.atomic
def person_erase(*, person: User | Rater, actor: Any, reasons: str = "keep") -> Erasure:
    """Erase a person with an account, or a rater whose votes were imported.

    `reasons` says what becomes of what they wrote beside their answers: "keep", or "remove" where that
    may tell who they are. Raises `AnnotationError` for the last lead of every line, or an actor who is
    the person: somebody else must do it.
    """
    if reasons not in ("keep", "remove"):
        raise AnnotationError(f"reasons is {reasons!r}; use keep or remove.")
    user = person if isinstance(person, User) else None
    if user is not None:
        _refuse_last_lead(user, actor)
    rater = Rater.objects.filter(user=user).first() if user is not None else person
    erased = _rater_erase(rater, reasons) if isinstance(rater, Rater) else Erasure("", 0, 0, 0, 0)
    sessions = _account_erase(user) if user is not None else 0
    target = f"rater {erased.pseudonym}" if erased.pseudonym else "a person who never judged"
    detail = {"reasons": reasons, "judgments_kept": erased.judgments}
    audit_record(actor=actor, verb="erased person", target=target, detail=detail)
    return Erasure(
        erased.pseudonym, erased.judgments, erased.drafts, erased.reasons_removed, sessions
    )


def _refuse_last_lead(user: User, actor: Any) -> None:
    if actor == user:
        raise AnnotationError("Another lead must erase your account.")
    leads = Membership.objects.filter(role=Role.LEAD, line=None, user__is_active=True)
    if leads.filter(user=user).exists() and not leads.exclude(user=user).exists():
        raise AnnotationError(
            f"{user} is the only lead of every line; make somebody else one first."
        )


def _rater_erase(rater: Rater, reasons: str) -> Erasure:
    """Nothing is left that leads from the rater to the person; drafts were never given and go."""
    Rater.objects.filter(pk=rater.pk).update(user=None, source="", external_id="")
    drafts = rater.assignments.exclude(draft={}).update(draft={}, draft_saved_at=None)
    removed = 0
    if reasons == "remove":
        with connection.cursor() as cursor:  # the guard of the judgments asks for it
            cursor.execute("SET LOCAL outerloop.erasing = 'yes'")
            removed = rater.judgments.exclude(rationale="").update(rationale="")
            cursor.execute("SET LOCAL outerloop.erasing = ''")
        removed += rater.assignments.exclude(skip_reason="").update(skip_reason="")
        asked = ThreadMessage.objects.filter(assignment__rater=rater, by_rater=True)
        removed += asked.exclude(text="").update(text="")
    return Erasure(rater.pseudonym, rater.judgments.count(), drafts, removed, 0)


def _account_erase(user: User) -> int:
    """Delete the account with its roles, notices, tokens, addresses and second factors; sign it out."""
    key = str(user.pk)
    running = Session.objects.filter(expire_date__gt=timezone.now())
    theirs = [s.pk for s in running.iterator() if s.get_decoded().get("_auth_user_id") == key]
    Session.objects.filter(pk__in=theirs).delete()
    user.delete()
    return len(theirs)
