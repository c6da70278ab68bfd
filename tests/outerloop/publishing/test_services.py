"""A push from its order to its end: claimed once, heard of, stopped, taken up after a kill."""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from outerloop.publishing import tasks
from outerloop.publishing.models import Push
from outerloop.publishing.services import destination_problem, push_create, push_run
from outerloop.publishing.watching import PushWatch, watched
from tests.support.hub_stand_in import TOKEN, Hub
from training.facade import ModelVersionRecord
from web.clock import database_now
from web.jobs import SILENCE, job_cancel, jobs_waiting
from web.models import AuditEvent


def ordered(version: ModelVersionRecord, **changes: Any) -> Push:
    asked = {"destination": "hub", "name": "team/policy", **changes}
    return push_create(version_id=version.id, **asked)


def test_a_push_ends_with_its_commit_and_stands_in_the_audit_log(
    the_hub: Hub, version: ModelVersionRecord
) -> None:
    push = ordered(version, actor="set-up")
    push_run(push_id=push.pk)
    push.refresh_from_db()
    repository = the_hub.repositories["team/policy"]
    assert (push.state, push.error) == ("done", "")
    assert push.reference == repository.commits[0]
    assert push.bytes_done == push.bytes_total > 0
    assert set(repository.files) == {"README.md", "config.json", "model.safetensors"}
    entry = AuditEvent.objects.get(verb="pushed model")
    assert entry.target == "policy v7 to team/policy"
    assert TOKEN not in str(entry.detail) + str(Push.objects.values())


def test_a_second_message_finds_the_push_taken(the_hub: Hub, version: ModelVersionRecord) -> None:
    push = ordered(version)
    assert push_run(push_id=push.pk) is not None
    assert push_run(push_id=push.pk) is None
    assert len(the_hub.repositories["team/policy"].commits) == 1


def test_a_push_whose_worker_was_killed_goes_on_and_sends_no_file_twice(
    the_hub: Hub, version: ModelVersionRecord, hints: list[str]
) -> None:
    push = ordered(version)
    push_run(push_id=push.pk)
    long_ago = database_now() - 2 * SILENCE
    Push.objects.filter(pk=push.pk).update(
        state="running", heartbeat_at=database_now(), reference="", finished_at=None
    )
    assert not jobs_waiting(Push)
    Push.objects.filter(pk=push.pk).update(heartbeat_at=long_ago)
    tasks.sweep()
    assert hints == [str(push.pk)]
    push_run(push_id=push.pk)
    push.refresh_from_db()
    assert (push.state, push.reference) == ("done", the_hub.repositories["team/policy"].commits[0])
    assert len(the_hub.puts) == 1


def test_a_push_that_waits_is_cancelled_at_once(the_hub: Hub, version: ModelVersionRecord) -> None:
    push = ordered(version)
    assert job_cancel(push)
    assert push_run(push_id=push.pk) is None
    assert not the_hub.repositories
    push.refresh_from_db()
    assert push.state == "cancelled"
    assert not job_cancel(push)


def test_a_running_push_is_stopped_where_it_is(
    the_hub: Hub, version: ModelVersionRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    push = ordered(version)
    Push.objects.filter(pk=push.pk).update(cancel_requested=True)

    def sending(watch: PushWatch) -> str:
        while True:
            watch.at(7)

    monkeypatch.setattr("outerloop.publishing.services._sending", lambda *asked: sending)
    push_run(push_id=push.pk)
    push.refresh_from_db()
    assert (push.state, push.bytes_done) == ("cancelled", 7)


def test_what_the_sending_raises_is_raised_where_it_is_waited_for(
    the_hub: Hub, version: ModelVersionRecord
) -> None:
    def sending(watch: PushWatch) -> str:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        watched(ordered(version), PushWatch(), sending)


def test_what_a_hub_refuses_ends_the_push_with_the_sentence(
    the_hub: Hub, version: ModelVersionRecord
) -> None:
    the_hub.status = 403
    push = ordered(version)
    push_run(push_id=push.pk)
    push.refresh_from_db()
    assert push.state == "failed"
    assert push.error.startswith("The token of OUTERLOOP_HUB_TOKEN may not write to team/policy")


def test_a_model_that_was_changed_is_not_pushed(the_hub: Hub, version: ModelVersionRecord) -> None:
    push = ordered(version)
    (version.path / "model.safetensors").write_bytes(b"other weights")
    push_run(push_id=push.pk)
    push.refresh_from_db()
    assert push.state == "failed"
    assert "was changed or damaged" in push.error
    shutil.rmtree(version.path)
    again = ordered(version)
    push_run(push_id=again.pk)
    again.refresh_from_db()
    assert again.state == "failed"
    assert not the_hub.repositories


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "policy"}, "owner/name"),
        ({"name": "team/../policy"}, "owner/name"),
        ({"name": "team/policy/../../admin"}, "owner/name"),
        ({"name": "team/" + "x" * 100}, "owner/name"),
        ({"destination": "mlflow"}, "OUTERLOOP_MLFLOW"),
    ],
)
def test_what_cannot_be_pushed_is_refused_before_anything_is_sent(
    the_hub: Hub, version: ModelVersionRecord, changes: dict[str, str], says: str
) -> None:
    name, to = changes.get("name", "policy"), changes.get("destination", "hub")
    with pytest.raises(CommandError, match=says):
        call_command("push_model", version.id, name, to=to)
    assert not Push.objects.exists()


def test_the_command_pushes_and_says_where_to(
    the_hub: Hub, version: ModelVersionRecord, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("push_model", str(version.id), "team/policy", public=True)
    repository = the_hub.repositories["team/policy"]
    assert not repository.private
    said = capsys.readouterr().out
    assert f"{the_hub.url}/team/policy ({repository.commits[0]})" in said
    the_hub.status = 403
    with pytest.raises(CommandError, match="may not write"):
        call_command("push_model", str(version.id), "team/policy")
    with pytest.raises(CommandError, match="There is no model version"):
        call_command("push_model", str(uuid4()), "team/policy")


def test_a_destination_says_what_the_operator_has_to_set(settings: Any) -> None:
    settings.OUTERLOOP_HUB_TOKEN, settings.OUTERLOOP_MLFLOW = "", ""
    assert "OUTERLOOP_HUB_TOKEN" in destination_problem("hub")
    assert "OUTERLOOP_MLFLOW" in destination_problem("mlflow")
    settings.OUTERLOOP_HUB_TOKEN = TOKEN
    assert not destination_problem("hub")
    settings.OUTERLOOP_HUB = "http://hub.example.org"
    assert "OUTERLOOP_OUTGOING_HTTP" in destination_problem("hub")


def test_a_push_is_heard_of_while_it_works(the_hub: Hub, version: ModelVersionRecord) -> None:
    push = ordered(version)
    before = database_now() - timedelta(days=1)
    Push.objects.filter(pk=push.pk).update(heartbeat_at=before)
    seen: list[int] = []

    def sending(watch: PushWatch) -> str:
        watch.total = 10
        while not seen:
            watch.at(5)
        return "sent"

    def heard(push: Push, **done: int) -> None:
        seen.append(done["bytes_done"])

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("outerloop.publishing.watching.job_heard", heard)
        assert watched(push, PushWatch(), sending) == "sent"
    assert seen[0] == 5
