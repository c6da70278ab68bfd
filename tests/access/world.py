"""One of everything that an address can name, and everybody who might ask for it."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from annotation.accounts.services import rater_for
from annotation.accounts.tokens import token_issue
from annotation.campaigns.services import guidelines_publish
from annotation.exchange import services as exchange
from evaluation.reports.services import report_store
from outerloop.rounds.models import State
from tests.annotation.factories import lease, some_pairs
from tests.evaluation.reports import records
from tests.outerloop.rounds.world import LoopWorld, bare_line, safety_suite
from tests.support.people import person_create
from training.facade import run_create
from web.models import Notice

OUTSIDER = "outsider"
ROLES = ("annotator", "adjudicator", "engineer", "lead")


@dataclass
class House:
    """`arguments` fill the placeholders of every address; `people` are by the name of what they are."""

    people: dict[str, Any]
    arguments: dict[str, Any]
    line: UUID
    tokens: dict[str, str]

    def client(self, actor: str, *, by_token: bool = False) -> Client:
        if by_token and actor in self.tokens:
            return Client(headers={"Authorization": f"Bearer {self.tokens[actor]}"})
        client = Client()
        if actor != OUTSIDER:
            client.force_login(
                self.people[actor], backend="django.contrib.auth.backends.ModelBackend"
            )
        return client

    def address(self, pattern: str) -> str:
        """The address of a pattern such as `lines/<slug:slug>/`, filled in."""
        path = "/" + pattern
        own = {"job_id": self.arguments["import_id"]} if "imports/" in pattern else {}
        for name, value in {**self.arguments, **own}.items():
            for kind in ("slug", "int", "uuid", "str"):
                path = path.replace(f"<{kind}:{name}>", str(value))
        return path


def house_build(folder: Path) -> House:
    world = LoopWorld(folder, labels=1)
    line, campaign = world.line, world.campaign
    people = {role: person_create(role, role, line=line.id) for role in ROLES}
    people["nobody"] = person_create("nobody")
    people["lead of another line"] = person_create("leo", "lead", line=bare_line().id)
    people["lead of every line"] = person_create("max", "lead")
    guidelines_publish(campaign=campaign, author=people["lead"], text="Be kind.", change_note="")
    round_ = world.round(State.CLOSED)
    report_store(
        record=replace(
            records.BARE,
            line_id=str(line.id),
            line=line.slug,
            round_id=str(round_.id),
            number=round_.number,
        )
    )
    some_pairs(campaign, 2)
    rater = rater_for(user=people["annotator"])
    for version in campaign.guidelines.all():
        version.acknowledgements.create(rater=rater)
    path = folder / "prompts.jsonl"
    path.write_text(json.dumps({"prompt": "What is 2 + 2?"}))
    imported = exchange.import_create(line_id=line.id, path=path)
    exported = exchange.export_create(line_id=line.id)
    exchange.export_run(job_id=exported.pk)
    notice = Notice.objects.create(user=people["lead"], topic="t", level="info", text="x", url="/")
    tokens = {name: token_issue(user=user, name="t", days=1) for name, user in people.items()}
    arguments = {
        "slug": line.slug,
        "number": round_.number,
        "line_id": line.id,
        "version_id": world.base.id,
        "override_id": uuid.uuid4(),
        "request_id": uuid.uuid4(),
        "suite_id": safety_suite(line).pk,
        "campaign_id": campaign.pk,
        "assignment_id": lease(rater, campaign).assignment_id,
        "notice_id": notice.pk,
        "user_id": people["annotator"].pk,
        "membership_id": people["annotator"].memberships.get().pk,
        "token_id": tokens["lead"][0].pk,
        "run_id": run_create(line_id=line.id, kind="ppo", seed=1, config={}, inputs={}).id,
        "job_id": exported.pk,
        "import_id": imported.pk,
    }
    return House(people, arguments, line.id, {k: secret for k, (_, secret) in tokens.items()})


def url_table() -> dict[str, str]:
    """Name (or pattern, where there is no name) -> pattern of every address of the site."""
    return dict(_addresses(get_resolver(), "", ""))


def _addresses(resolver: URLResolver, space: str, before: str) -> Any:
    for each in resolver.url_patterns:
        pattern = before + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from _addresses(
                each, space + (f"{each.namespace}:" if each.namespace else ""), pattern
            )
        elif isinstance(each, URLPattern):
            yield (f"{space}{each.name}" if each.name else pattern), pattern
