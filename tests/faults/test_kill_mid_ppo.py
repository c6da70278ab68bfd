"""A worker is killed in the middle of PPO. The next one goes on, and the policy is the very same."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from annotation.comparisons.services import prompts_ensure
from annotation.contracts import NewPrompt
from outerloop.rounds.models import Round, RoundStep, State
from outerloop.rounds.plan import RoundPlan
from outerloop.rounds.services import line_base_set, line_create
from tests.support.fake_runs import eventually
from tests.support.recipes import recipe_run
from tests.support.tiny_line import artifacts_make, version_create
from tests.support.workers import ProgramWatch, Worker, database_broker, programs_of, sweep_send
from training import facade as training
from training.contracts import KlControl, PpoConfig, RunManifest, Sampling, canonical_json
from training.runs.inventory import input_path
from training.runs.models import Run

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

UPDATES = 24
PATIENCE = 150.0
QUESTIONS = ["name a colour", "count to three", "what is a cat", "say yes", "sun or moon", "why"]
PPO = PpoConfig(
    updates=UPDATES,
    prompts_per_update=16,
    mini_batches=2,
    micro_batch_size=8,
    warmup_updates=1,
    exact_kl_rollouts=4,
    kl=KlControl(kind="fixed", beta=0.05),
    sampling=Sampling(max_new_tokens=6),
    checkpoint_every=3,  # so that the updates since the last checkpoint are done anew
)


@pytest.fixture
def round_(settings: Any, tmp_path: Path) -> Round:
    """A round about to train its policy: everything that PPO reads is there."""
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    made = artifacts_make(settings.ARTIFACT_ROOT / "tiny")
    line = line_create(name="Tiny", slug="tiny", plan=RoundPlan(policy=PPO))
    versions = {kind: version_create(line.id, kind, path) for kind, path in made.items()}
    line_base_set(line=line, version_id=versions["policy"], actor="set-up")
    messages = [({"role": "user", "content": question},) for question in QUESTIONS]
    prompts_ensure(
        line_id=line.id, prompts=[NewPrompt(messages=m, split="train") for m in messages]
    )
    return Round.objects.create(
        line=line,
        number=1,
        state=State.POLICY_TRAINING,
        trigger="person",
        plan=line.plan,
        incumbent=versions["policy"],
        reward_model=versions["reward_model"],
        held_out_reward_model=versions["held_out_reward_model"],
    )


def last_update(run: Run) -> int:
    """The last update that the site knows of."""
    return max((e.step for e in training.run_events(run.id) if e.phase == "ppo"), default=0)


def undisturbed(run: Run, folder: Path) -> RunManifest:
    """The same order, carried out by hand in another place."""
    folder.mkdir()
    order = json.loads((run.directory / "spec.json").read_text())
    for reference in order[
        "inputs"
    ].values():  # the program looks for the store around its own folder
        reference["path"] = str(input_path(reference["path"]))
    (folder / "spec.json").write_text(canonical_json(order))
    assert recipe_run("training.recipes.ppo", folder / "spec.json") == 0
    return RunManifest.from_json(json.loads((folder / "manifest.json").read_text()))


def test_a_worker_killed_in_mid_ppo_costs_time_and_nothing_else(
    round_: Round, tmp_path: Path
) -> None:
    quick = {"OUTERLOOP_LEASE_SECONDS": "5", "OUTERLOOP_HEARTBEAT_SECONDS": "1"}
    with database_broker() as broker:
        sweep_send(broker)
        worker = Worker(tmp_path, **quick)
        try:
            run = eventually(lambda: Run.objects.filter(round=round_.id).first(), seconds=PATIENCE)
            with ProgramWatch(run.directory) as watch:
                eventually(lambda: last_update(run) >= 2, seconds=PATIENCE)
                worker.kill()
                killed_at = last_update(run)
                eventually(lambda: not programs_of(run.directory), seconds=10)
                assert not (run.directory / "manifest.json").exists(), "killed too late"
                run.refresh_from_db()
                assert (run.state, run.fence) == ("running", 1)  # nobody could say otherwise

                worker = Worker(tmp_path, **quick)
                candidate = _follow(round_, broker)
        finally:
            worker.kill()

    assert watch.most_at_once == 1
    assert len(watch.all) == 2
    run.refresh_from_db()
    assert (run.state, run.fence) == ("succeeded", 2)
    step = RoundStep.objects.get(round=round_, name=State.POLICY_TRAINING)
    assert step.fence == 2
    done = [e.step for e in training.run_events(run.id) if e.phase == "ppo"]
    assert 2 <= killed_at < UPDATES
    assert sorted(set(done)) == list(range(1, UPDATES + 1))
    reference = undisturbed(run, tmp_path / "undisturbed")
    assert candidate.sha256 == reference.artifact("policy").sha256
    assert candidate.sha256 != training.model_version_get(round_.incumbent).sha256


def _follow(round_: Round, broker: Any) -> training.ModelVersionRecord:
    """Be beat until the policy is trained."""
    deadline = time.monotonic() + PATIENCE
    while round_.candidate is None:
        assert time.monotonic() < deadline, f"the round is {round_.state}: {round_.error}"
        sweep_send(broker)
        time.sleep(1)
        round_.refresh_from_db()
        assert round_.candidate or round_.state != State.FAILED, round_.error
    return training.model_version_get(round_.candidate)
