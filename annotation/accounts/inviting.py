"""Inviting many people at once: a table of them, each with a link under which they choose a password."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.urls import reverse

from annotation.contracts import AnnotationError
from web.secret_key import secret_key
from web.services import audit_record, mails_send

from .forms import EVERY_LINE, PersonForm
from .models import Role, User
from .people import person_add

COLUMNS = ("username", "email", "role")
MOST = 500
Lines = Sequence[tuple[str, str]]  # (id, name)


@dataclass(frozen=True)
class Invited:
    """`links` are (person, address to choose a password under), `refused` (line, what is wrong)."""

    links: tuple[tuple[User, str], ...]
    refused: tuple[tuple[int, str], ...]


def people_invite(*, table: str, lead: User) -> Invited:
    """Add everybody in a CSV table with username, email, role and perhaps line, row by row.

    A row that is wrong is named and adds nobody; the others are added. Raises `AnnotationError` for a
    table that cannot be read. Where EMAIL_HOST is set each is sent the link as well.
    """
    links: list[tuple[User, str]] = []
    refused: list[tuple[int, str]] = []
    lines = PersonForm(lead=lead).lines
    for number, row in _rows(table):
        form = PersonForm(_as_posted(row, lines), lead=lead)
        if wrong := _ambiguous(row, lines) or _wrong(form):
            refused.append((number, wrong))
        else:
            links.append(_invite(form.cleaned_data, lead))
    _mails(links, lead)
    return Invited(tuple(links), tuple(refused))


def person_invite(*, person: Mapping[str, Any], lead: User) -> tuple[User, str]:
    """Add one person, as `PersonForm` has them clean; returns them and the link under which they choose a
    password. It is sent as well, as for many."""
    invited = _invite(person, lead)
    _mails([invited], lead)
    return invited


def _mails(links: Sequence[tuple[User, str]], lead: User) -> None:
    """Where EMAIL_HOST is set each is sent their link, once the accounts are there."""
    if settings.EMAIL_HOST:
        mails = {f"invitation of {user.pk}": _mail(user, link, lead) for user, link in links}
        transaction.on_commit(partial(mails_send, mails))


def _rows(table: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """(line of the table, its cells by column)."""
    if "\x00" in table:
        raise AnnotationError("The table holds a NUL character: save it as CSV in UTF-8.")
    reader = csv.DictReader(io.StringIO(table.strip().lstrip("\ufeff")), skipinitialspace=True)
    try:
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise AnnotationError(
                f"The first line names the columns, and {', '.join(missing)} is not among them: begin"
                " with username,email,role,line."
            )
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise AnnotationError(f"The table is not CSV ({error}).") from error
    if not rows:
        raise AnnotationError("The table names nobody: write a line for each person.")
    if len(rows) > MOST:
        raise AnnotationError(f"{len(rows)} rows are too many at once: send at most {MOST}.")
    yield from rows


def _as_posted(row: Mapping[str, Any], lines: Lines) -> dict[str, str]:
    """The cells as the form for one person takes them: a line by its name, a role by either of its."""
    cells = {name: _cell(row, name) for name in (*COLUMNS, "line")}
    named = {name.casefold(): value for value, name in lines}
    roles = {str(label).casefold(): value for value, label in Role.choices}
    role, line = cells["role"].casefold(), cells["line"].casefold()
    unsaid = EVERY_LINE if len(lines) != 1 else lines[0][0]
    return {
        **cells,
        "role": roles.get(role, role),
        "line": named.get(line, cells["line"]) if line else unsaid,
    }


def _cell(row: Mapping[str, Any], name: str) -> str:
    return str(row.get(name) or "").strip()


def _ambiguous(row: Mapping[str, Any], lines: Lines) -> str:
    """What is wrong where the name in the row is that of several lines; empty where it is not."""
    line = _cell(row, "line")
    meant = [value for value, name in lines if line and name.casefold() == line.casefold()]
    if len(meant) < 2:
        return ""
    each = ", ".join(value or "(every line)" for value in meant)
    return f"line: {len(meant)} lines are called {line}; write the id of the one that is meant: {each}."


def _wrong(form: PersonForm) -> str:
    said: Sequence[tuple[str, Any]] = list(form.errors.items())
    return " ".join(f"{field}: {error}" for field, errors in said for error in errors)


@transaction.atomic
def _invite(person: Mapping[str, Any], lead: User) -> tuple[User, str]:
    user, _ = person_add(
        username=person["username"],
        email=person["email"],
        role=person["role"],
        line_id=person["line"],
    )
    audit_record(
        actor=lead,
        verb="added person",
        target=f"person {user.pk}",
        line=person["line"],
        detail={"role": person["role"]},
    )
    link = invitation_link(user)
    return user, link


def invitation_link(user: User) -> str:
    """Where this person chooses a password: good once, and as long as a forgotten password's link."""
    secret_key()  # the link is signed with it
    place = {"uidb36": user_pk_to_url_str(user), "key": default_token_generator.make_token(user)}
    path = reverse("account_reset_password_from_key", kwargs=place)
    return f"{settings.OUTERLOOP_SITE_URL.rstrip('/')}{path}"


def _mail(user: User, link: str, lead: User) -> EmailMessage:
    return EmailMessage(
        subject="Outerloop: you are invited",
        body=f"{lead} invites you to Outerloop as {user.username}.\n\nChoose a password here:\n{link}\n",
        to=[user.email],
    )
