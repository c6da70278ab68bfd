"""The whole house in every state that has a page: one of everything, and the addresses to see it at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlencode
from uuid import UUID, uuid4

from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from annotation import facade as annotation
from annotation.accounts.models import Rater
from annotation.accounts.tokens import token_issue
from annotation.campaigns.models import Campaign
from annotation.comparisons.models import Judgment
from annotation.comparisons.records import Span
from annotation.exchange import services as exchange
from evaluation import facade as evaluation
from evaluation.contracts import GatePolicySettings, JudgeSettings
from evaluation.gates.records import CanaryRecord, ShadowCounts
from evaluation.gates.services import (
    canary_mark_crashed,
    canary_take_back,
    decisions,
    gate_policy_request,
    shadow_count,
    shadow_mark_failed,
    shadow_start,
)
from evaluation.judges.models import JudgeRun, LineJudge
from evaluation.reports.services import report_store
from outerloop.publishing.models import Push
from outerloop.rounds.models import BaseOrder, Round, State, TaskCheck
from outerloop.rounds.runs import judged_round
from outerloop.webhooks.models import Webhook
from tests.access.table import RULES
from tests.access.world import House, house_build, url_table, webhook_tested
from tests.annotation.factories import a_campaign, an_annotator, rank_next, some_rankings
from tests.evaluation.gates.canary_votes import votes_on
from tests.evaluation.gates.world import TOO_LONG, run_left, sampled
from tests.evaluation.reports import records
from tests.outerloop.rounds.signalled import much_said
from tests.outerloop.rounds.world import (
    Evidence,
    LoopWorld,
    bare_line,
    policy_import,
    reward_suite,
    safety_suite,
)
from tests.outerloop.selftest.worlds import selftest_fill
from tests.support.people import person_create
from training.facade import run_create
from web.services import notice_send

# What answers no page to a person: programs' doors, files, and parts that a page fetches for itself.
NO_PAGE = {
    *("comparisons:next", "exchange:api_export", "exchange:export_file", "monitoring:live"),
    *("exchange:import_rejections", "monitoring:ready", "reports:report_json", "reports:report_html"),
    "reports:report_pdf",
    *("quality:people_csv", "quality:time_csv", "quality:own_csv", "api:openapi-json"),
    "quality:progress_csv",
    "selftest:report_json",
}  # fmt: skip
REASON = "The long answers are what this customer asked for."


def judge_set(line: UUID) -> None:
    """An LLM judge, and a round in which nobody answered it."""
    told = JudgeSettings(url="https://judge.example.com/v1", model="wise-1", rubric="Be kind.")
    LineJudge.objects.create(line=line, active=True, settings=told.to_json(), saved_by="set-up")
    JudgeRun.objects.create(
        round=uuid4(), line=line, settings=told.to_json(), rubric_source="setting", pairs=120,
        ended_at=timezone.now(), reason="The judge answered 401: no such key.",
    )  # fmt: skip


class EveryPage:
    """`boss` is a lead and an engineer of every line, so that no button is hidden from them."""

    def __init__(self, folder: Path) -> None:
        self.house: House = house_build(folder)
        self.people = self.house.people
        self.boss = person_create("boss", "lead", "engineer")
        self.people["boss"] = self.boss
        self.further: list[str] = []
        self._awaiting_approval(folder)
        self._refused(folder)
        self._weaker_policies(folder)
        self._work_under_way()
        self._preview()
        self._campaigns()
        self._selftest()
        self._signals(folder)
        self._canaries(folder)
        self._shadow(folder)
        self._webhooks()
        self._pushes()
        self._task_checks()
        self._set_up()
        token_issue(user=self.boss, name="nightly report", days=1, scopes=["read", "export"])
        notice_send(users=[self.boss], topic="t", level="info", text="A round waits.", url="/")

    def addresses(self, *, actor: str = "boss") -> Iterator[str]:
        """Every page that the actor may see, by the table of who may do what, and the further states."""
        as_boss = {"lead of every line", "engineer", "lead of another line"}
        allowed = as_boss if actor == "boss" else {actor}
        for name, rule in RULES.items():
            if rule.get & allowed and name not in NO_PAGE and not rule.by_token:
                yield self.house.address(url_table()[name])
        if actor in ("boss", "lead of every line"):
            yield from self.further
        if actor == "annotator":
            yield reverse("comparisons:warning", args=[self.warned.pk])
            yield reverse("comparisons:compare", args=[self.ranking.pk])
            yield reverse("comparisons:compare", args=[self.talks.pk])

    def _add(self, name: str, *place: Any) -> None:
        self.further.append(reverse(name, args=place))

    def _awaiting_approval(self, folder: Path) -> None:
        """A line whose second policy is deployed, and whose third waits for a lead."""
        world = LoopWorld(folder, labels=1)
        first = self._decided(world, folder, State.CLOSED)
        assert first.candidate is not None
        evaluation.deployment_start(
            line_id=world.line.id, version_id=first.candidate, kind="deploy",
            round_id=first.id, actor="round",
        )  # fmt: skip
        waiting = self._decided(world, folder, State.AWAITING_APPROVAL)
        self._report(world, waiting)
        for page in ("rounds:round", "reports:report"):
            self._add(page, world.line.slug, waiting.number)
        self._add("rounds:line", world.line.slug)
        self._add("gates:deployments", world.line.id)
        self._add("gates:rollback", world.line.id, world.base.id)

    def _refused(self, folder: Path) -> None:
        """A simulated line whose candidate one lead wants to let through, with a full report."""
        world = LoopWorld(folder, labels=1, fields={"simulated": True})
        refused = self._decided(world, folder, State.CLOSED, verdict="REJECT", **TOO_LONG)
        gate = evaluation.effective_gate(refused.id)
        assert gate is not None
        (check,) = [
            check.id
            for check in gate.checks
            if check.required and check.overridable and check.status == "FAIL"
        ]
        evaluation.override_request(
            round_id=refused.id, check_id=check, reason=REASON,
            actor=self.people["lead of every line"], expires_at=timezone.now() + timedelta(days=7),
        )  # fmt: skip
        self._report(world, refused, record=records.REJECTED)
        for page in ("rounds:round", "reports:report"):
            self._add(page, world.line.slug, refused.number)
        self._add("rounds:line", world.line.slug)
        self._add("reports:history", world.line.slug)

    def _weaker_policies(self, folder: Path) -> None:
        """A weaker gate policy that the boss may confirm, and one that the boss has asked for."""
        for asker in ("lead of every line", "boss"):
            line = LoopWorld(folder, labels=1).line
            gate_policy_request(
                line_id=line.id, settings=GatePolicySettings(alpha=0.1), reason=REASON,
                actor=self.people[asker], expected_version=0,
            )  # fmt: skip
            self._add("gates:policy", line.id)
        safety_suite(line)
        reward_suite(line)
        judge_set(line.id)
        self._add("judges:judge", line.id)
        self._add("rounds:suites", line.slug)

    def _work_under_way(self) -> None:
        """A run of a round and one of its own, and an export, none of them taken up yet."""
        active = Round.objects.get(state=State.AWAITING_APPROVAL)
        for line, round_id in ((active.line_id, active.id), (self.house.line, None)):
            run = run_create(
                line_id=line, kind="ppo", seed=1, config={}, inputs={}, round_id=round_id
            )
            self._add("runs:run", run.id)
        self._add("exchange:export_job", exchange.export_create(line_id=self.house.line).pk)
        self._add("exchange:import_job", self.house.arguments["import_id"])
        closed = person_create("closed", "annotator")
        closed.is_active = False
        closed.save()

    def _preview(self) -> None:
        """What leaving the annotator out would change."""
        rater = Rater.objects.get(user=self.people["annotator"])
        what = urlencode({"rater": rater.pk, "reason": "Always the first."})
        place = reverse("quality:exclusion_new", args=[self.house.arguments["campaign_id"]])
        self.further.append(f"{place}?{what}")

    def _webhooks(self) -> None:
        """One of the whole site that was stopped, and the form with a line chosen."""
        stopped = webhook_tested(None, self.people["lead of every line"]).webhook
        Webhook.objects.filter(pk=stopped.pk).update(
            active=False, stopped_because="24 attempts in a row failed, the last: Answered 503."
        )
        self._add("webhooks:detail", stopped.pk)
        self.further.append(f"{reverse('webhooks:list')}?line={self.house.arguments['slug']}")
        self.further.append(f"{reverse('webhooks:new')}?line={self.house.line}")

    def _pushes(self) -> None:
        """A model that was pushed, and one that a hub refused."""
        version = self.house.arguments["version_id"]
        asked = {"line": self.house.line, "version": version, "name": "team/policy"}
        done = {"state": "done", "bytes_total": 2_000, "bytes_done": 2_000, "reference": "ab" * 20}
        failed = {"state": "failed", "error": "The token may not write to team/policy."}
        for ended in (done, failed):
            push = Push.objects.create(destination="hub", **asked, **ended)
            self._add("publishing:push", push.pk)

    def _task_checks(self) -> None:
        """A task of lm-evaluation-harness that waits for its check, and one that was refused."""
        slug = self.house.arguments["slug"]
        asked = {"line": self.house.line, "name": "house sums", "task": "house_sums", "limit": 1000}
        error = "house_sums has no score 'bleu'; it has acc,none."
        failed = {"state": "failed", "finished_at": timezone.now(), "error": error}
        for ended in ({}, failed):
            check = TaskCheck.objects.create(**asked, **ended)
            self._add("rounds:suite_check", slug, check.pk)
        self.further.append(f"{reverse('rounds:suites', args=[slug])}?check={check.pk}")

    def _set_up(self) -> None:
        """A line of which nothing is there, and whose model did not fit."""
        line = bare_line()
        BaseOrder.objects.create(
            line=line, folder="/models/x", state="failed", actor="x", said="ok   a: b", error="No."
        )
        for page in ("rounds:base", "rounds:set_up", "rounds:line"):
            self._add(page, line.slug)
        for page in ("campaigns:set_up", "exchange:set_up", "accounts:set_up"):
            self._add(page, line.id)

    def _selftest(self) -> None:
        """What the self-test found of the policy of a line; of the default's it was not run."""
        slug = self.house.arguments["slug"]
        selftest_fill(Path(settings.VAR_DIR) / "selftest", slug)
        self.further.append(f"{reverse('selftest:report')}?line={slug}")

    def _signals(self, folder: Path) -> None:
        """A line whose users say much, with an alarm and prompts to add."""
        self._add("rounds:signals", much_said(folder).line.slug)

    def _canaries(self, folder: Path) -> None:
        """One that is over on a line whose users say much, and one that may be widened, with a server that fails."""
        for further in (False, True):
            world = LoopWorld(folder, labels=1)
            annotation.signals_switch(line_id=world.line.id, on=True, actor="a", name="x")
            ago = timezone.now() - timedelta(days=8)
            with mock.patch("django.utils.timezone.now", return_value=ago):
                over = self._canary(world, folder)
            votes_on(over)
            evaluation.canaries_judge()
            if further:
                canary_take_back(line_id=world.line.id, canary_id=over.id, actor=self.boss)
                failing = self._canary(world, folder)
                canary_mark_crashed(failing.id, "Its server ended by itself (SIGKILL).\nno memory")
                self._add("rounds:line", world.line.slug)
            self._add("gates:deployments", world.line.id)

    def _shadow(self, folder: Path) -> None:
        """One that fails now, after days of answers."""
        world = LoopWorld(folder, labels=1)
        decided = self._decided(world, folder, State.CLOSED)
        assert decided.candidate is not None
        shadow = shadow_start(
            line_id=world.line.id, version_id=decided.candidate, share=25, actor=self.boss
        )
        counts = ShadowCounts(
            answered=1_240, failed=3, dropped=211, seconds=3_100.0, deployed_seconds=2_400.0,
            characters=700_000, deployed_characters=512_000, refused=31, deployed_refused=12,
            refused_alone=25, deployed_refused_alone=6,
        )  # fmt: skip
        for ago in range(3):
            then = timezone.now() - timedelta(days=ago)
            with mock.patch("django.utils.timezone.now", return_value=then):
                shadow_count(shadow_id=shadow.id, counts=counts)
        shadow_mark_failed(shadow.id, "The server ended with status 1.\nno memory")
        self._add("gates:deployments", world.line.id)

    def _canary(self, world: LoopWorld, folder: Path) -> CanaryRecord:
        decided = self._decided(world, folder, State.CLOSED)
        assert decided.candidate is not None
        return evaluation.canary_start(
            line_id=world.line.id, version_id=decided.candidate, round_id=decided.id, share=25,
            actor=self.boss,
        )  # fmt: skip

    def _campaigns(self) -> None:
        """A closed one, which may be archived, one that asks until it is sure, one that warns, one that ranks,
        one in which people write to the policy."""
        closed = a_campaign(line_id=self.house.line, state="closed")
        self._add("campaigns:detail", closed.pk)
        warning = "Some of these texts are insults."
        self.warned = a_campaign(line_id=self.house.line, sensitive_warning=warning)
        labels = [{"name": "Wrong fact", "help": "Something that is not so"}, {"name": "Well put"}]
        self.ranking = a_campaign(line_id=self.house.line, answers=4, overlap=2, span_labels=labels)
        marked = (Span("2", 0, 5, "wrong-fact"),)
        some_rankings(self.ranking, 4)
        for person in (an_annotator(self.ranking), an_annotator(self.ranking)):
            said = [rank_next(person, self.ranking, spans=marked) for _ in range(2)]
        self.talks = a_campaign(line_id=self.house.line, turns=3, opening="Ask about *bees*.")
        for page in ("campaigns:detail", "campaigns:edit"):
            self._add(page, self.talks.pk)
        for page in ("campaigns:detail", "campaigns:edit", "quality:campaign", "quality:answers"):
            self._add(page, self.ranking.pk)
        pair = Judgment.objects.get(pk=said[-1].judgment_id).assignment.comparison_id
        self._add("quality:pair", self.ranking.pk, pair)
        labelled = Campaign.objects.filter(pk=self.house.arguments["campaign_id"])
        labelled.update(overlap_sure=0.8, overlap_most=5)

    def _decided(
        self, world: LoopWorld, folder: Path, state: State, *, verdict: str = "PROMOTE", **changes: Any
    ) -> Round:  # fmt: skip
        number = world.line.rounds.count() + 1
        candidate = policy_import(world.line.id, folder, f"policy v{number + 1}")
        incumbent = evaluation.deployed_version(world.line.id) or world.base.id
        round_ = world.round(state, candidate=candidate.id, verdict=verdict)
        Round.objects.filter(pk=round_.pk).update(incumbent=incumbent)
        round_.refresh_from_db()
        evidence = Evidence()
        evidence.changes = changes
        run = run_left(folder, samples=sampled([("one", "two")]))
        with mock.patch.object(decisions, "round_measure", evidence):
            decided = evaluation.round_decide(replace(judged_round(round_), policy_run=run))
        assert decided.verdict == verdict, decided.reasons
        return round_

    def _report(self, world: LoopWorld, round_: Round, record: Any = records.PROMOTED) -> None:
        report_store(
            record=replace(
                record,
                line_id=str(world.line.id),
                line=world.line.slug,
                line_name=world.line.name,
                round_id=str(round_.id),
                number=round_.number,
            )
        )
