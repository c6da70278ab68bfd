"""`manage.py push_model`: push a model version to the model hub or the MLflow registry of the settings."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from outerloop.publishing.models import Destination
from outerloop.publishing.selectors import push_address
from outerloop.publishing.services import push_create, push_run
from web.jobs import JobFailed, JobState


class Command(BaseCommand):
    help = "Push a model version to the model hub or the MLflow registry of the settings."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("version", type=UUID, help="the model version's id")
        parser.add_argument("name", help="owner/name on a hub; the model's name in a registry")
        parser.add_argument("--to", choices=Destination.values, default=Destination.HUB)
        parser.add_argument(
            "--public", action="store_true", help="where the hub makes a new repository"
        )

    def handle(self, *args: Any, **given: Any) -> None:
        try:
            push = push_create(
                version_id=given["version"],
                destination=given["to"],
                name=given["name"],
                private=not given["public"],
            )
        except JobFailed as refusal:
            raise CommandError(str(refusal)) from refusal
        push_run(push_id=push.pk)
        push.refresh_from_db()
        if push.state != JobState.DONE:
            raise CommandError(push.error or f"The push {push.pk} was {push.state}.")
        where = push_address(push) or push.name
        self.stdout.write(f"Pushed {push.bytes_total:,} bytes to {where} ({push.reference}).")
