"""Make, list and revoke API tokens from the terminal."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from annotation.accounts.models import User
from annotation.accounts.tokens import token_issue, token_revoke, tokens_of
from annotation.contracts import AnnotationError
from web.services import audit_record
from web.tokens import SCOPES


class Command(BaseCommand):
    help = (
        "Make an API token for a person and print it once; or list or revoke the person's tokens."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", default="shell", help="what uses the token")
        parser.add_argument("--days", type=int, default=90, help="how long it is valid")
        parser.add_argument(
            "--scopes", default="read,export", help=f"what it may, of {','.join(SCOPES)}"
        )
        parser.add_argument("--list", action="store_true", help="list the person's tokens instead")
        parser.add_argument("--revoke", type=UUID, help="revoke the token with this id instead")

    def handle(self, **given: Any) -> None:
        user = User.objects.filter(username=given["username"]).first()
        if user is None:
            raise CommandError(f"Nobody has the user name {given['username']!r}; see People.")
        if given["list"]:
            self._list(user)
        elif given["revoke"]:
            self._revoke(user, given["revoke"])
        else:
            self._issue(user, given["name"], given["days"], given["scopes"])

    def _list(self, user: User) -> None:
        for token in tokens_of(user):
            state = "revoked" if token.revoked_at else f"expires {token.expires_at:%Y-%m-%d}"
            self.stdout.write(f"{token.pk}  {token}  {state}  {','.join(token.scopes)}")

    def _revoke(self, user: User, token_id: UUID) -> None:
        token = tokens_of(user).filter(pk=token_id).first()
        if token is None:
            raise CommandError(f"{user.username} has no token {token_id}; --list shows the ids.")
        token_revoke(token=token)
        audit_record(actor="shell", verb="revoked API token", target=f"token {token.pk}")
        self.stdout.write(f"{token} opens nothing any more.")

    def _issue(self, user: User, name: str, days: int, scopes: str) -> None:
        try:
            chosen = [scope.strip() for scope in scopes.split(",") if scope.strip()]
            token, secret = token_issue(user=user, name=name, days=days, scopes=chosen)
        except AnnotationError as error:
            raise CommandError(str(error)) from error
        audit_record(actor="shell", verb="made API token", target=f"token {token.pk}")
        self.stdout.write(secret)
