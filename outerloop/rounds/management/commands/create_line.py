"""`manage.py create_line`: a line of your own on a model of your own."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import IntegrityError, transaction
from django.utils.text import slugify

from annotation import facade as annotation
from outerloop.rounds.plan import RoundPlan, plan_override
from outerloop.rounds.services import first_pairs_order, line_base_set, line_create, slug_problem
from outerloop.rounds.tasks import advance_enqueue
from training import facade as training
from training.contracts import ContractError, ModelSource
from web.storage import storage_sentence


class Command(BaseCommand):
    help = "Make a policy line on a local Hugging Face model folder, with its first campaign."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="what people call the line")
        parser.add_argument("--base", type=Path, required=True, help="folder of a causal LM")
        parser.add_argument("--slug", help="its name in addresses (default: from the name)")
        parser.add_argument(
            "--plan", type=Path, help="JSON file with settings that differ from the defaults"
        )
        parser.add_argument(
            "--chat-template-kwargs",
            type=_variables,
            default={},
            help="JSON object of what its chat template is given, for training and serving alike:"
            ' {"enable_thinking": false}',
        )
        parser.add_argument("--guidelines", type=Path, help="Markdown file for the annotators")
        parser.add_argument(
            "--first-pairs",
            action="store_true",
            help="let the base policy write the first pairs now (the prompts are there already)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        plan = plan_override(RoundPlan(), _json(options["plan"]) if options["plan"] else {})
        guidelines = _text(options["guidelines"]) if options["guidelines"] else ""
        try:
            training.model_folder_check(options["base"].resolve())
        except training.ModelFilesError as error:
            raise CommandError(str(error)) from error
        slug = options["slug"] or slugify(options["name"])[:50]
        if problem := slug_problem(slug):
            raise CommandError(f"{problem} (--slug)")
        try:
            with transaction.atomic():
                line = line_create(
                    name=options["name"],
                    slug=slug,
                    plan=plan,
                )
                version = training.model_version_import(
                    line_id=line.id,
                    kind="policy",
                    path=options["base"].resolve(),
                    name="base policy",
                    chat_template_kwargs=options["chat_template_kwargs"],
                )
                line_base_set(line=line, version_id=version.id, actor="command")
                annotation.campaign_create(line_id=line.id, name=line.name, guidelines=guidelines)
        except IntegrityError as error:
            raise CommandError(
                "A line with this slug exists; choose another with --slug."
            ) from error
        except training.ArtifactMismatch as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(storage_sentence(error)) from error
        self.stdout.write(f"Line {line.slug}  id {line.id}  base {version.sha256[:12]}")
        if options["first_pairs"]:
            round_ = first_pairs_order(line=line, trigger="person")
            advance_enqueue(round_.id, round_.state)
            self.stdout.write(
                "The first pairs are ordered; `make up` runs the workers that write them."
            )
        else:
            self.stdout.write(
                f"Import prompts (python manage.py import_judgments FILE --line {line.id}), then press"
                " “Write first pairs” on the line's page."
            )


def _variables(written: str) -> dict[str, Any]:
    try:
        source = {"kind": "pretrained", "chat_template_kwargs": json.loads(written)}
        return dict(ModelSource.from_json(source).chat_template_kwargs)
    except ValueError as error:
        raise ArgumentTypeError(f"not a JSON object of plain values: {error}") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is not UTF-8 (byte {error.start + 1}); save it so.") from error
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text())
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise CommandError(f"{path} is no JSON: {error}.") from error
    if not isinstance(document, dict):
        raise CommandError(f"{path}: the plan is a JSON object, not a {type(document).__name__}.")
    try:
        plan_override(RoundPlan(), document)
    except ContractError as error:
        raise CommandError(f"{path}: {error}") from error
    return document
