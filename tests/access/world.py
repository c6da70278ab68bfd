"""One of everything that an address can name, and everybody who might ask for it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from annotation.accounts.models import Rater
from annotation.accounts.services import rater_for, simulated_rater
from annotation.accounts.tokens import token_issue
from annotation.campaigns.models import Campaign
from annotation.campaigns.services import guidelines_publish
from annotation.comparisons.models import Assignment, Judgment
from annotation.comparisons.services import (
    answer_send_back,
    gold_item_of_pair,
    pair_settle,
    thread_write,
)
from annotation.exchange import services as exchange
from annotation.quality.services import exclusion_drawn, exclusion_make
from evaluation.reports.services import report_store
from outerloop.publishing.models import Push
from outerloop.rounds.models import PolicyLine, State, TaskCheck
from outerloop.webhooks import services as webhooks
from outerloop.webhooks.claims import delivery_claim
from outerloop.webhooks.models import Delivery
from outerloop.webhooks.outcomes import attempt_record
from tests.annotation.factories import label_next, lease, some_pairs
from tests.evaluation.reports import records
from tests.outerloop.rounds.world import LoopWorld, bare_line, safety_suite
from tests.support.people import person_create
from training.facade import run_create
from web.models import Notice
from web.tokens import SCOPES

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
            for kind in ("slug:", "int:", "uuid:", "str:", "path:", ""):
                path = path.replace(f"<{kind}{name}>", str(value))
        return path

    def filled(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """What is posted, with the line's id, a file and a policy in their places."""
        file = SimpleUploadedFile("prompts.jsonl", b'{"prompt": "Why?"}')
        own = str(self.arguments["assignment_id"])
        policy = str(self.arguments["version_id"])
        places = {"LINE": str(self.line), "FILE": file, "ASSIGNMENT": own, "POLICY": policy}
        return {k: places.get(v, v) if isinstance(v, str) else v for k, v in body.items()}


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
    some_pairs(campaign, 4, split="train")
    rater = rater_for(user=people["annotator"])
    for version in campaign.guidelines.all():
        version.acknowledgements.create(rater=rater)
    acted_on = labels_looked_after(campaign, rater, people)
    asked = Assignment.objects.get(pk=lease(rater, campaign).assignment_id)
    thread_write(assignment=asked, text="Which is meant?", by_rater=True)
    path = folder / "prompts.jsonl"
    path.write_text(json.dumps({"prompt": "What is 2 + 2?"}))
    imported = exchange.import_create(line_id=line.id, path=path)
    exported = exchange.export_create(line_id=line.id)
    exchange.export_run(job_id=exported.pk)
    delivery = webhook_tested(line, people["lead"])
    notice = Notice.objects.create(user=people["lead"], topic="t", level="info", text="x", url="/")
    tokens = {
        name: token_issue(user=user, name="t", days=1, scopes=SCOPES)
        for name, user in people.items()
    }
    arguments = {
        "slug": line.slug,
        "number": round_.number,
        "line_id": line.id,
        "version_id": world.base.id,
        "push_id": model_pushed(line, world.base.id).pk,
        "override_id": uuid.uuid4(),
        "canary_id": uuid.uuid4(),
        "shadow_id": uuid.uuid4(),
        "request_id": uuid.uuid4(),
        "suite_id": safety_suite(line).pk,
        "check_id": TaskCheck.objects.create(
            line=line.pk, name="sums", task="house_sums", limit=1000
        ).pk,
        "campaign_id": campaign.pk,
        "rater_id": rater.pk,
        "assignment_id": asked.pk,
        **acted_on,
        "notice_id": notice.pk,
        "user_id": people["annotator"].pk,
        "membership_id": people["annotator"].memberships.get().pk,
        "token_id": tokens["lead"][0].pk,
        "rest": "nothing",
        "attempt": 1,
        "run_id": run_create(line_id=line.id, kind="ppo", seed=1, config={}, inputs={}).id,
        "job_id": exported.pk,
        "import_id": imported.pk,
        "webhook_id": delivery.webhook_id,
        "delivery_id": delivery.pk,
    }
    return House(people, arguments, line.id, {k: secret for k, (_, secret) in tokens.items()})


def model_pushed(line: PolicyLine, version_id: UUID) -> Push:
    """A push that is half way, of a model of the line."""
    return Push.objects.create(
        line=line.pk, version=version_id, destination="hub", name="team/policy",
        state="running", bytes_total=2_000, bytes_done=1_000,
    )  # fmt: skip


def webhook_tested(line: PolicyLine | None, lead: Any) -> Delivery:
    """A webhook whose test event did not arrive; what is due of it is never sent by the tests of addresses."""
    made = webhooks.webhook_create(
        line=line,
        name="chat of the team",
        url="https://hooks.example.com/in",
        kinds=["round.decided", "deployment.changed"],
        actor=lead,
    )
    webhooks.test_send(webhook=made, actor=lead)
    claim = delivery_claim(failing_too=True)
    assert claim is not None
    attempt_record(claim, status=503, milliseconds=42, error="Answered 503: try later.")
    return made.deliveries.get()


def labels_looked_after(campaign: Campaign, rater: Rater, people: dict[str, Any]) -> dict[str, Any]:
    """A training pair that was answered, sent back and settled; a gold item; somebody left out."""
    judgment = None
    while judgment is None or judgment.assignment.comparison.purpose != "training":
        judgment = Judgment.objects.get(pk=label_next(rater, campaign).judgment_id)
    pair = judgment.assignment.comparison
    gold_item_of_pair(comparison=pair, gold_value=2)
    returned = answer_send_back(judgment=judgment, note="Look again.")
    adjudicator = rater_for(user=people["adjudicator"])
    pair_settle(rater=adjudicator, comparison=pair, value=2, reason="The first is right.")
    drawn = exclusion_drawn(campaign=campaign, rater=simulated_rater(name="sim"))
    left_out = exclusion_make(exclusion=drawn, reason="It lapsed.", actor=people["lead"])
    return {
        "pair_id": pair.pk,
        "judgment_id": judgment.pk,
        "return_id": returned.pk,
        "exclusion_id": left_out.pk,
    }


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
