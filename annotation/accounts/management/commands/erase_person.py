"""`manage.py erase_person NAME`: the account goes, the judgments stay under a pseudonym."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotation.accounts.erasure import person_erase, person_find
from annotation.contracts import AnnotationError


class Command(BaseCommand):
    help = "Erase a person: the account goes, the judgments stay under a pseudonym."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="user name, e-mail address, or pseudonym of a rater")
        parser.add_argument(
            "--reasons",
            choices=["keep", "remove"],
            default="keep",
            help="what they wrote beside their answers: keep it, or remove it too",
        )
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, **options: Any) -> None:
        name = options["name"]
        try:
            person = person_find(name)
            if not options["yes"] and not self._confirmed(name):
                raise CommandError("Nobody was erased.")
            erased = person_erase(person=person, actor="command", reasons=options["reasons"])
        except AnnotationError as error:
            raise CommandError(str(error)) from error
        stays = f" under the pseudonym {erased.pseudonym}" if erased.pseudonym else ""
        self.stdout.write(
            f"Erased. {erased.judgments} judgments stay{stays}; {erased.drafts} drafts,"
            f" {erased.reasons_removed} reasons and {erased.sessions} sessions are gone."
            " Backups made before still hold this person."
        )

    def _confirmed(self, name: str) -> bool:
        self.stdout.write(
            f"Erase {name!r}? This cannot be undone. Type the name again: ", ending=""
        )
        self.stdout.flush()
        try:
            return input() == name
        except EOFError as error:
            raise CommandError(
                "Nobody was erased: there is nobody to ask here. Give --yes where you are sure."
            ) from error
