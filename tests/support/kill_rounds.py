"""Rounds to be disturbed, and what they made in the end, to be compared with an undisturbed one."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from annotation.comparisons.models import Comparison
from annotation.comparisons.services import prompts_ensure
from annotation.contracts import NewPrompt
from evaluation import facade as evaluation
from evaluation.gates.models import Decision, Deployment
from outerloop.rounds.models import Round, State
from outerloop.rounds.plan import RoundPlan
from outerloop.rounds.schedule import sweeper_ensure
from outerloop.rounds.services import line_base_set, line_create, round_start
from tests.outerloop.rounds.world import PLAN, LoopWorld
from tests.support.people import person_create
from tests.support.tiny_line import artifacts_make, version_create
from training.contracts import KlControl, PpoConfig, Sampling, json_sha256
from training.digests import path_sha256
from training.runs.models import ModelVersion, Run, Snapshot
from web.models import Notice

QUESTIONS = ["name a colour", "count to three", "what is a cat", "say yes", "sun or moon", "why"]
PPO = PpoConfig(
    updates=24,
    prompts_per_update=16,
    mini_batches=2,
    micro_batch_size=8,
    warmup_updates=1,
    exact_kl_rollouts=4,
    kl=KlControl(kind="fixed", beta=0.05),
    sampling=Sampling(max_new_tokens=6),
    checkpoint_every=3,  # so that the updates since the last checkpoint are done anew
)


@dataclass(frozen=True)
class Prepared:
    """A round that no worker has touched; it is done when `last` is."""

    round_id: UUID
    last: State


def fake_round(folder: Path) -> Prepared:
    """A round from its snapshot to its next pairs, whose programs learn nothing."""
    plan = replace(PLAN, next_pairs=20)
    loop = LoopWorld(folder, fields={"deploys_by_itself": True, "plan": plan})
    loop.prompts("train", 40)
    person_create("lea", "lead")
    sweep_often()
    round_ = round_start(line=loop.line, trigger="person")
    return Prepared(round_.id, State.SAMPLING_PAIRS)


def real_round(folder: Path) -> Prepared:
    """A round about to train its policy by PPO: everything that it reads is there."""
    made = artifacts_make(Path(settings.ARTIFACT_ROOT) / "tiny")
    line = line_create(name="Tiny", slug="tiny", plan=RoundPlan(policy=PPO))
    versions = {kind: version_create(line.id, kind, path) for kind, path in made.items()}
    line_base_set(line=line, version_id=versions["policy"], actor="set-up")
    messages = [({"role": "user", "content": question},) for question in QUESTIONS]
    prompts_ensure(
        line_id=line.id, prompts=[NewPrompt(messages=m, split="train") for m in messages]
    )
    sweep_often()
    round_ = Round.objects.create(
        line=line,
        number=1,
        state=State.POLICY_TRAINING,
        trigger="person",
        plan=line.plan,
        incumbent=versions["policy"],
        reward_model=versions["reward_model"],
        held_out_reward_model=versions["held_out_reward_model"],
    )
    return Prepared(round_.id, State.POLICY_TRAINING)


def sweep_often() -> None:
    """The sweeper every second, so that a kill costs less time."""
    sweeper_ensure()
    every, _ = IntervalSchedule.objects.get_or_create(every=1, period=IntervalSchedule.SECONDS)
    PeriodicTask.objects.filter(crontab=None).update(interval=every, expire_seconds=5)


def lineage(round_id: UUID, last: State) -> dict[str, Any]:
    """What a round made, by content and number: nothing in it depends on how often it was disturbed."""
    round_ = Round.objects.get(pk=round_id)
    versions = ModelVersion.objects.filter(line=round_.line_id, run__isnull=False)
    made: dict[str, Any] = {
        "model versions": sorted(versions.values_list("kind", "number", "sha256")),
        "damaged": [v.name for v in versions if path_sha256(v.directory) != v.sha256],
    }
    if last == State.POLICY_TRAINING:
        return made
    runs = Run.objects.filter(round=round_id)
    comparisons = Comparison.objects.filter(round_id=round_id)
    report = evaluation.report_get(round_id)
    return {
        **made,
        "state": round_.state,
        "verdict": round_.verdict,
        "snapshot": list(Snapshot.objects.values_list("sha256", "rows")),
        "runs": {run.kind: _artifacts(run) for run in runs},
        "number of runs": runs.count(),
        "inputs": {
            run.kind: {n: i["sha256"] for n, i in run.spec["inputs"].items()} for run in runs
        },
        "pairs": json_sha256(sorted(comparisons.values_list("purpose", "pair_digest"))),
        "number of pairs": comparisons.count(),
        "decisions": list(Decision.objects.values_list("verdict", "revision")),
        "deployments": list(Deployment.objects.values_list("kind", "artifact_sha256")),
        "steps done": sorted(round_.steps.filter(finished_at__isnull=False).values_list("name")),
        "notices": sorted(Notice.objects.values_list("level", "text")),
        "report": report.state if report else None,
    }


def _artifacts(run: Run) -> dict[str, str]:
    return {artifact["name"]: artifact["sha256"] for artifact in (run.manifest or {})["artifacts"]}


def journals_broken(artifacts: Path) -> list[str]:
    """Runs in whose journal two attempts meet: they wrote in turn, or their times overlap."""
    broken = []
    for path in sorted(artifacts.glob("runs/*/journal.jsonl")):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        tokens = [line["token"] for line in lines]
        times: dict[int, list[float]] = defaultdict(list)
        for line in lines:
            times[line["token"]].append(line["at"])
        spans = [(min(at), max(at)) for _, at in sorted(times.items())]
        meet = any(later[0] < earlier[1] for earlier, later in pairwise(spans))
        if meet or tokens != sorted(tokens):
            broken.append(f"two attempts at once: {path.parent.name}, tokens {tokens}")
    return broken
