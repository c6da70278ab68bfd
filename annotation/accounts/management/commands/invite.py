"""Add a person from the terminal, as a lead does in the browser; above all the very first lead."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email
from django.db import transaction

from annotation.accounts.inviting import invitation_link
from annotation.accounts.models import Role, User
from annotation.accounts.people import person_add
from web.registry import line_names
from web.services import audit_record


class Command(BaseCommand):
    help = "Add a person with a role, and print the link under which they choose a password."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("email")
        parser.add_argument("--role", default=Role.LEAD, choices=Role.values, help="their role")
        parser.add_argument("--line", type=UUID, help="the line's id; without it every line")

    def handle(self, **given: Any) -> None:
        username, email, line = given["username"], given["email"], given["line"]
        _check(username, email, line)
        with transaction.atomic():
            user, _ = person_add(username=username, email=email, role=given["role"], line_id=line)
            link = invitation_link(user)
            audit_record(
                actor="shell", verb="added person", target=f"person {user.pk}", line=line,
                detail={"role": given["role"]},
            )  # fmt: skip
        self.stdout.write(link)


def _check(username: str, email: str, line: UUID | None) -> None:
    try:
        User.username_validator(username)
        validate_email(email)
        User(username=username, email=email).clean_fields(exclude=["password"])
    except ValidationError as error:
        raise CommandError(" ".join(error.messages)) from error
    if User.objects.filter(username__iexact=username).exists():
        raise CommandError(f"Somebody has the user name {username} already; see People.")
    if User.objects.filter(email__iexact=email).exists():
        raise CommandError(f"Somebody has the e-mail address {email} already; see People.")
    if line is not None and line not in {known.id for known in line_names({line})}:
        raise CommandError(f"There is no line {line}.")
