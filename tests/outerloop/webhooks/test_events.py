"""What each room tells of, through to the body that is sent; and nothing that names an annotator."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from annotation.accounts.models import Rater
from annotation.campaigns.services import (
    campaign_create,
    campaign_set_state,
    line_campaigns_archive,
)
from annotation.comparisons.tasks import sweep_leases
from annotation.exchange import services as exchange
from evaluation import facade as evaluation
from evaluation.gates.models import Deployment, LinePointer
from evaluation.gates.services import rollback
from outerloop.rounds.alarms import queue_alarms, round_alarms
from outerloop.rounds.claims import ClaimLost, round_move, step_claim
from outerloop.rounds.models import PolicyLine, Round, State
from outerloop.rounds.services import (
    first_pairs_order,
    line_base_set,
    round_advance,
    round_cancel,
    round_start,
)
from outerloop.rounds.steps import STEPS, Move, StepFailed
from outerloop.webhooks.models import WebhookEvent
from outerloop.webhooks.services import kinds_offered
from tests.annotation.factories import some_pairs
from tests.outerloop.rounds.world import LoopWorld, StubSteps, bare_line, known, policy_import
from tests.outerloop.webhooks.world import a_webhook
from tests.support.people import person_create
from web.jobs import job_cancel
from web.services import notice_send


@pytest.fixture
def loop(db: None, settings: Any, tmp_path: Path) -> LoopWorld:
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    settings.VAR_DIR = tmp_path
    return LoopWorld(tmp_path)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> StubSteps:
    made = StubSteps()
    for state in list(STEPS):
        monkeypatch.setitem(STEPS, state, made.work)
    return made


def listen(line: PolicyLine) -> Callable[[], list[tuple[str, dict[str, Any]]]]:
    """A webhook that asks for everything; what it was told since the last look, as (kind, data)."""
    a_webhook(line, kinds=tuple(kind.key for kind in kinds_offered()))
    seen: set[Any] = set()

    def told() -> list[tuple[str, dict[str, Any]]]:
        fresh = [e for e in WebhookEvent.objects.order_by("created_at") if e.pk not in seen]
        seen.update(event.pk for event in fresh)
        return [(event.kind, json.loads(event.body)["data"]) for event in fresh]

    return told


def test_a_round_tells_of_its_start_its_waits_its_verdict_and_its_end(
    loop: LoopWorld, steps: StubSteps
) -> None:
    told = listen(loop.line)
    round_ = round_start(line=loop.line, trigger="person")
    (start,) = told()
    assert start[0] == "round.started"
    assert (start[1]["number"], start[1]["state"]) == (round_.number, "SNAPSHOT")
    steps.outcomes[State.SNAPSHOT] = Move(State.AWAITING_LABELS)
    steps.outcomes[State.AWAITING_LABELS] = Move(
        State.AWAITING_APPROVAL, fields={"verdict": "PROMOTE", "summary": "Better."}
    )
    steps.outcomes[State.AWAITING_APPROVAL] = Move(State.SAMPLING_PAIRS)
    steps.outcomes[State.SAMPLING_PAIRS] = Move(State.CLOSED)
    for _ in range(4):
        round_advance(round_id=round_.pk)
    found = told()
    assert [kind for kind, _ in found] == [
        "round.waiting_for_labels", "round.decided", "round.waiting_for_approval", "round.closed",
    ]  # fmt: skip
    assert found[1][1]["verdict"] == "PROMOTE"
    assert found[1][1]["summary"] == "Better."
    assert found[1][1]["round"] == str(round_.pk)


def test_a_round_that_fails_says_why_and_once(loop: LoopWorld, steps: StubSteps) -> None:
    told = listen(loop.line)
    round_ = round_start(line=loop.line, trigger="schedule")
    steps.outcomes[State.SNAPSHOT] = StepFailed("There are no prompts.")
    round_advance(round_id=round_.pk)
    round_advance(round_id=round_.pk)
    ends = [event for event in told() if event[0] == "round.failed"]
    assert [data["error"] for _, data in ends] == ["There are no prompts."]


def test_a_cancelled_round_is_told_when_it_has_stopped(loop: LoopWorld, steps: StubSteps) -> None:
    told = listen(loop.line)
    round_ = round_start(line=loop.line, trigger="person")
    round_cancel(round_=round_, actor="set-up")
    assert [kind for kind, _ in told()] == ["round.started"]
    round_advance(round_id=round_.pk)
    assert [kind for kind, _ in told()] == ["round.cancelled"]


def test_the_first_pairs_are_a_round_of_number_0(loop: LoopWorld) -> None:
    told = listen(loop.line)
    first_pairs_order(line=loop.line, trigger="person")
    ((kind, data),) = told()
    assert (kind, data["number"]) == ("round.started", 0)


def test_a_worker_that_lost_its_step_tells_nothing(loop: LoopWorld) -> None:
    told = listen(loop.line)
    round_ = loop.round(State.POLICY_EVALUATION)
    step = known(step_claim(round_, owner="one"))
    Round.objects.filter(pk=round_.pk).update(state=State.CANCELLED)
    with pytest.raises(ClaimLost):
        round_move(step, to=State.AWAITING_LABELS)
    assert told() == []


def test_deployments_are_told_forwards_and_back(loop: LoopWorld, tmp_path: Path) -> None:
    second = policy_import(loop.line.id, tmp_path, "policy v2")
    lead = person_create("lea", "lead", line=loop.line.pk)
    told = listen(loop.line)
    base = evaluation.deployment_current(loop.line.id)
    assert base is not None
    row = Deployment.objects.create(
        line=loop.line.id, version=second.id, artifact_sha256=second.sha256, kind="deploy",
        previous_id=base.id, actor="round", reason="",
    )  # fmt: skip
    LinePointer.objects.filter(line=loop.line.id).update(deployment=row)
    rollback(
        line_id=loop.line.id, to_version=loop.base.id, actor=lead, reason="Ann says it is rude."
    )
    ((kind, data),) = told()
    assert kind == "deployment.rolled_back"
    assert data["version"] == str(loop.base.id)
    assert data["previous_version"] == str(second.id)
    assert "Ann" not in json.dumps(data)


def test_the_first_deployment_is_told(settings: Any, tmp_path: Path, db: None) -> None:
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    line = bare_line()
    told = listen(line)
    base = policy_import(line.id, tmp_path, "base policy")
    line_base_set(line=line, version_id=base.id, actor="set-up")
    ((kind, data),) = told()
    assert (kind, data["kind"], data["previous_version"]) == ("deployment.changed", "initial", None)


def test_imports_and_exports_tell_how_they_ended_by_counts_alone(
    loop: LoopWorld, tmp_path: Path
) -> None:
    told = listen(loop.line)
    good, bad = tmp_path / "prompts of Ann.jsonl", tmp_path / "bad.jsonl.gz"
    good.write_text('{"prompt": "What is 2 + 2?"}\n')
    bad.write_bytes(b"no gzip of Ann")
    for path in (good, bad):
        exchange.import_run(job_id=exchange.import_create(line_id=loop.line.pk, path=path).pk)
    exchange.export_run(job_id=exchange.export_create(line_id=loop.line.pk).pk)
    cancelled = exchange.export_create(line_id=loop.line.pk)
    job_cancel(cancelled)
    found = told()
    assert [kind for kind, _ in found] == ["import.finished", "import.failed", "export.finished"]
    assert "Ann" not in json.dumps(found)
    assert found[2][1]["rows"] == loop.labels


def test_campaigns_tell_that_they_open_and_close(loop: LoopWorld) -> None:
    told = listen(loop.line)
    campaign = campaign_create(line_id=loop.line.pk, name="Tone")
    assert told() == []  # a draft
    for state in ("active", "paused", "active", "closed"):
        campaign_set_state(campaign=campaign, state=state)
    assert [(kind, data["name"]) for kind, data in told()] == [
        ("campaign.opened", "Tone"), ("campaign.opened", "Tone"), ("campaign.closed", "Tone"),
    ]  # fmt: skip


def test_an_archived_line_closes_its_campaigns_and_says_so(loop: LoopWorld) -> None:
    told = listen(loop.line)
    closed = campaign_create(line_id=loop.line.pk, name="Over", state="closed")
    told()
    assert line_campaigns_archive(line_id=loop.line.pk) == 2
    assert [(kind, data["campaign"]) for kind, data in told()] == [
        ("campaign.closed", str(loop.campaign.pk))
    ]
    closed.refresh_from_db()
    assert closed.archived_at is not None


def test_a_campaign_with_all_its_answers_is_told_once_for_each_budget(loop: LoopWorld) -> None:
    told = listen(loop.line)
    campaign = loop.campaign
    campaign.label_budget = loop.labels + 1
    campaign.save()
    sweep_leases()
    assert told() == []
    campaign.label_budget = loop.labels
    campaign.save()
    sweep_leases()
    sweep_leases()
    assert [(kind, data["label_budget"]) for kind, data in told()] == [
        ("campaign.finished", loop.labels)
    ]
    campaign.label_budget = loop.labels - 1
    campaign.save()
    sweep_leases()
    assert [kind for kind, _ in told()] == ["campaign.finished"]


def test_a_notice_to_a_line_s_people_is_one_event_however_many_they_are(loop: LoopWorld) -> None:
    for name in ("lea", "leo"):
        person_create(name, "lead", line=loop.line.pk)
    told = listen(loop.line)
    round_ = loop.round(State.FAILED, error="The disk is full.")
    round_alarms(round_)
    person_create("new", "lead", line=loop.line.pk)
    round_alarms(round_)
    ((kind, data),) = told()
    assert (kind, data["level"]) == ("notice.raised", "bad")
    assert "failed: The disk is full." in data["text"]


def test_an_empty_queue_is_told_once_a_day(loop: LoopWorld) -> None:
    person_create("lea", "lead", line=loop.line.pk)
    told = listen(loop.line)
    queue_alarms()
    queue_alarms()
    assert [data["level"] for _, data in told()] == ["attention"]


def test_a_notice_between_people_is_nobody_else_s(loop: LoopWorld) -> None:
    told = listen(loop.line)
    lead = person_create("lea", "lead", line=loop.line.pk)
    notice_send(users=[lead], topic="t", level="info", text="Ann asks you.", url="/")
    assert told() == []


def test_no_event_of_a_whole_world_names_an_annotator(
    loop: LoopWorld, steps: StubSteps, tmp_path: Path
) -> None:
    listen(loop.line)
    some_pairs(loop.campaign, 2, split="train")
    steps.outcomes[State.SNAPSHOT] = Move(State.CLOSED)
    round_ = round_start(
        line=loop.line, trigger="person", actor=person_create("Anneliese", "engineer")
    )
    round_advance(round_id=round_.pk)
    exchange.export_run(job_id=exchange.export_create(line_id=loop.line.pk, actor="x").pk)
    bodies = " ".join(WebhookEvent.objects.values_list("body", flat=True))
    assert "round.closed" in bodies
    for rater in Rater.objects.all():
        assert rater.pseudonym not in bodies
        assert str(rater.pk) not in bodies
        assert rater.user is None or str(rater.user.pk) not in bodies
    assert "Anneliese" not in bodies
