"""The pointer moves in one piece, forward and back."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection

from evaluation import facade
from evaluation.facade import GateError
from evaluation.gates.models import Deployment, LinePointer
from evaluation.gates.services import rollback
from tests.evaluation.gates.world import TOO_LONG, LineWorld, policy_create, previous_of
from training import facade as training
from web.models import AuditEvent

REASON = "It answers in the wrong language."


def test_the_first_policy_is_deployed_once(world: LineWorld) -> None:
    assert facade.deployed_version(world.line) is None
    first = world.deploy_first()
    assert facade.deployed_version(world.line) == world.incumbent.id
    assert world.deploy_first() == first
    assert (first.artifact_sha256, previous_of(first)) == (world.incumbent.sha256, None)
    with pytest.raises(GateError, match="has a deployed policy already"):
        facade.deployment_start(
            line_id=world.line,
            version_id=world.candidate.id,
            kind="initial",
            round_id=None,
            actor="set-up",
        )


def test_a_promoted_candidate_is_deployed_once_a_round(world: LineWorld) -> None:
    world.deploy_first()
    world.decide()
    moved = world.deploy()
    assert world.deploy() == moved
    assert facade.deployed_version(world.line) == world.candidate.id
    assert previous_of(moved) == world.incumbent.id
    assert [row.kind for row in facade.deployments(world.line)] == ["deploy", "initial"]
    assert AuditEvent.objects.filter(verb="deployment_deploy", line=world.line).count() == 1


def test_a_rejected_candidate_is_not_deployed(world: LineWorld) -> None:
    world.deploy_first()
    world.decide(**TOO_LONG)
    with pytest.raises(GateError, match="lets nothing through"):
        world.deploy()
    assert facade.deployed_version(world.line) == world.incumbent.id


def test_a_policy_that_the_round_did_not_judge_is_not_deployed(world: LineWorld) -> None:
    world.deploy_first()
    world.decide()
    world.candidate = policy_create(world.line, world.folder, "another")
    with pytest.raises(GateError, match="did not judge"):
        world.deploy()
    with pytest.raises(GateError, match="no decision yet"):
        world.deploy(uuid.uuid4())


def test_a_verdict_against_a_policy_that_is_gone_deploys_nothing(world: LineWorld) -> None:
    world.deploy_first()
    world.decide()
    world.deploy()
    second = uuid.uuid4()
    world.decide(round_id=second, number=2)  # against the first policy, which is not deployed now
    with pytest.raises(GateError, match="another policy than the one deployed"):
        world.deploy(second)


def test_files_that_are_not_what_was_registered_are_not_deployed(world: LineWorld) -> None:
    (world.incumbent.path / "model.safetensors").write_bytes(b"tampered")
    with pytest.raises(training.ArtifactMismatch, match="changed or damaged"):
        world.deploy_first()
    assert facade.deployed_version(world.line) is None


def test_a_policy_of_another_line_is_not_deployed(world: LineWorld) -> None:
    world.line = uuid.uuid4()
    with pytest.raises(GateError, match="not a policy of this line"):
        world.deploy_first()


def test_a_rollback_is_the_same_act_backwards(world: LineWorld) -> None:
    world.deploy_first()
    world.decide()
    world.deploy()
    back = rollback(line_id=world.line, to_version=world.incumbent.id, actor="ada", reason=REASON)
    assert facade.deployed_version(world.line) == world.incumbent.id
    assert (back.kind, previous_of(back)) == ("rollback", world.candidate.id)
    event = AuditEvent.objects.get(verb="deployment_rollback")
    assert (event.actor, event.detail["reason"]) == ("ada", REASON)
    rollback(line_id=world.line, to_version=world.candidate.id, actor="ada", reason=REASON)
    assert facade.deployed_version(world.line) == world.candidate.id


def test_a_rollback_needs_a_reason_and_somewhere_to_go(world: LineWorld) -> None:
    world.deploy_first()

    def back(version: uuid.UUID, reason: str = REASON) -> None:
        rollback(line_id=world.line, to_version=version, actor="ada", reason=reason)

    with pytest.raises(GateError, match="needs a reason"):
        back(world.incumbent.id, "  ")
    with pytest.raises(GateError, match="nothing to roll back"):
        back(world.incumbent.id)
    with pytest.raises(GateError, match="deployed on this line before"):
        back(world.candidate.id)


# -------------------------------------------------------------------- concurrency


def in_threads(acts: list[Callable[[], object]]) -> list[object]:
    """Run all at once; each result is what the act returned or raised."""
    barrier = threading.Barrier(len(acts))
    results: list[object] = [None] * len(acts)

    def run(index: int) -> None:
        try:
            barrier.wait(10)
            results[index] = acts[index]()
        except Exception as error:
            results[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[i]) for i in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


@pytest.mark.django_db(transaction=True)
def test_a_step_delivered_many_times_at_once_deploys_once(artifacts: Path) -> None:
    world = LineWorld(artifacts)
    assert len({str(result) for result in in_threads([world.deploy_first] * 6)}) == 1
    world.decide()
    assert len({str(result) for result in in_threads([world.deploy] * 6)}) == 1
    assert Deployment.objects.filter(line=world.line).count() == 2


@pytest.mark.django_db(transaction=True)
def test_switches_at_once_leave_one_unbroken_chain(artifacts: Path) -> None:
    """Whatever the order, each deployment names the one before it and the pointer shows the last."""
    world = LineWorld(artifacts)
    world.deploy_first()
    world.decide()
    world.deploy()

    def back() -> object:
        return rollback(
            line_id=world.line, to_version=world.incumbent.id, actor="ada", reason=REASON
        )

    results = in_threads([back] * 5)
    assert sum(isinstance(result, GateError) for result in results) == 4
    moves = list(Deployment.objects.filter(line=world.line).order_by("started_at"))
    assert [move.previous_id for move in moves] == [None, *(move.pk for move in moves[:-1])]
    assert LinePointer.objects.get(line=world.line).deployment_id == moves[-1].pk
