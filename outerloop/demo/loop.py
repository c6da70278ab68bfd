"""The demo from an empty line to a summary. Every stage looks at what is there and goes on from it,
so a demo that was interrupted is simply started again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings

from annotation import facade as annotation
from evaluation import facade as evaluation
from evaluation.contracts import Interval, TruthColumn
from outerloop.demo import building
from outerloop.demo.building import FirstPolicy
from outerloop.demo.labelling import label
from outerloop.demo.settings import DemoSettings
from outerloop.demo.truth import round_truth, win_rate
from outerloop.rounds.models import ENDS, PolicyLine, Round, State
from outerloop.rounds.record import record_refresh, round_summary
from outerloop.rounds.services import first_pairs_order, round_start, round_take_up
from outerloop.rounds.tasks import advance_enqueue
from training import facade as training

POLL_SECONDS = 0.5
NUDGE_SECONDS = 15.0
GATE_BATCH = 40


@dataclass(frozen=True)
class DemoOrder:
    """One demo: its seed and what departs from the ordinary."""

    seed: int
    demo: DemoSettings
    slug: str
    name: str
    shuffled: bool = False
    changes: dict[str, Any] | None = None
    title: str = ""


class Narrator:
    """Tells the person at the terminal what happens; the command gives one that draws bars."""

    def say(self, text: str) -> None: ...

    def step(self, key: str, text: str, done: int, total: int) -> None: ...

    def waiting(self) -> None:
        """Called while workers work; raises `DemoFailed` where there is nobody to wait for."""


def demo_run(order: DemoOrder, narrator: Narrator) -> dict[str, Any]:
    """Run the whole loop and return the summary, which is written to var/demo as well."""
    began = time.monotonic()
    demo, seed = order.demo, order.seed
    line = building.line_ensure(slug=order.slug, name=order.name, demo=demo, seed=seed)
    campaign = building.campaign_ensure(line)
    narrator.say(f"{building.prompts_import(line, demo, seed)} prompts; 4 simulated annotators")
    report = _program_report(narrator)
    building.first_policy_train(line, demo, seed, report)
    first = building.first_policy_check(line, demo, seed, report)
    narrator.say(
        f"first policy: {first.correct:.0%} right, {first.junk:.0%} junk, {first.steps} steps"
    )
    _first_pairs(line, narrator)
    rows = [_round(order, line, campaign, number, narrator) for number in range(1, demo.rounds + 1)]
    summary = _summary(order, line, first, rows, time.monotonic() - began, report)
    _write(summary, order)
    return summary


def _program_report(narrator: Narrator) -> Callable[[Any], None]:
    def report(event: Any) -> None:
        narrator.step(event.phase, event.phase, event.step, event.total_steps)

    return report


def _first_pairs(line: PolicyLine, narrator: Narrator) -> None:
    """Round 0: pairs of the first policy. An interrupted one goes on; a finished one stays."""
    round_ = line.rounds.filter(number=0).first()
    if round_ is None:
        round_ = _enqueued(first_pairs_order(line=line, trigger="demo"))
    _taken_up(round_)
    _follow(round_, narrator)


def _taken_up(round_: Round) -> None:
    """What failed or was cancelled goes on where it stopped."""
    if round_.state in (State.FAILED, State.CANCELLED):
        round_take_up(round_=round_, actor="demo")
        round_.refresh_from_db()
        _enqueued(round_)


def _round(
    order: DemoOrder,
    line: PolicyLine,
    campaign: UUID,
    number: int,
    narrator: Narrator,
) -> Round:
    round_ = line.rounds.filter(number=number).first()
    if round_ is None:
        wanted = order.demo.labels_per_round - _fresh(line)
        label(
            campaign_id=campaign,
            wanted=wanted,
            seed=order.seed,
            shuffled=order.shuffled,
            report=lambda done: narrator.step("labels", f"labels for round {number}", done, wanted),
        )
        round_ = _enqueued(
            round_start(
                line=line, trigger="demo", forced=True, changes=order.changes, title=order.title
            )
        )
    _taken_up(round_)
    _follow(round_, narrator, gate=lambda: _gate_labels(order, campaign))
    round_.refresh_from_db()
    truth = round_truth(round_)
    if truth is not None:
        Round.objects.filter(pk=round_.pk).update(truth=truth.to_json())
        round_.refresh_from_db()
    record_refresh(round_)
    narrator.say(
        f"round {number}: {round_.verdict or round_.state} - {round_.summary or round_.error}"
    )
    return round_


def _fresh(line: PolicyLine) -> int:
    latest = line.rounds.filter(snapshot__isnull=False).order_by("-number").first()
    return annotation.fresh_label_count(
        line_id=line.id, since=latest.created_at if latest else None
    )


def _gate_labels(order: DemoOrder, campaign: UUID) -> int:
    """A batch of honest labels; the gate's labels are never shuffled."""
    return label(campaign_id=campaign, wanted=GATE_BATCH, seed=order.seed)


def _enqueued(round_: Round) -> Round:
    advance_enqueue(round_.id, round_.state)
    return round_


def _follow(round_: Round, narrator: Narrator, gate: Callable[[], int] | None = None) -> None:
    """Watch the workers carry the round to its end; answer when it waits for labels."""
    nudged = time.monotonic()
    while True:
        round_.refresh_from_db()
        if round_.state in ENDS:
            break
        _show(round_, narrator)
        narrator.waiting()
        waits = round_.state == State.AWAITING_LABELS and _gate_open(round_)
        if waits and gate is not None and gate():
            advance_enqueue(round_.id, round_.state)
        elif time.monotonic() - nudged > NUDGE_SECONDS:
            nudged = time.monotonic()
            advance_enqueue(round_.id, round_.state)
        time.sleep(POLL_SECONDS)
    if round_.state != State.CLOSED:
        raise building.DemoFailed(
            f"{round_} ended as {round_.get_state_display().lower()}: {round_.error}"
        )


def _gate_open(round_: Round) -> bool:
    status = annotation.gate_queue_status(round_id=round_.id)
    return status.open > 0


def _show(round_: Round, narrator: Narrator) -> None:
    step = round_.steps.filter(name=round_.state).first()
    label_text = f"round {round_.number}: {State(round_.state).label.lower()}"
    done, total = (step.progress, step.total) if step is not None else (0, 0)
    narrator.step(f"{round_.number} {round_.state}", label_text, done, total)


def _summary(
    order: DemoOrder,
    line: PolicyLine,
    first: FirstPolicy,
    rounds: list[Round],
    seconds: float,
    report: Callable[[Any], None],
) -> dict[str, Any]:
    deployed = evaluation.deployed_version(line.id)
    assert deployed is not None
    return {
        "seconds": round(seconds, 1),
        "seed": order.seed,
        "line": line.slug,
        "labels": "shuffled" if order.shuffled else "simulated annotators",
        "first_policy": asdict(first),
        "rounds": [_round_row(round_) for round_ in rounds],
        "deployed": training.model_version_get(deployed).name,
        "deployments_after_first": sum(
            row.kind == "deploy" for row in evaluation.deployments(line.id)
        ),
        "deployed_gold_win_rate_against_first": _against_first(order, line, deployed, report),
    }


def _round_row(round_: Round) -> dict[str, Any]:
    record = record_refresh(round_)
    split = record.reward_model.split("test", "validation") if record.reward_model else None
    truth = TruthColumn.from_json(round_.truth) if round_.truth else None
    summary = round_summary(round_)
    quality = record.labels
    return {
        "round": round_.number,
        "title": round_.title,
        "labels": summary.labels,
        "gate_labels": record.human.labels if record.human else 0,
        "reward_model_accuracy": _interval(split.accuracy if split else None),
        "length_baseline": _interval(split.length_baseline if split else None),
        "human_ceiling": _interval(quality.human_ceiling if quality else None),
        "kl_nats": summary.kl,
        "train_gain": _interval(record.policy.train_gain if record.policy else None),
        "held_out_gain": _interval(record.policy.held_out_gain if record.policy else None),
        "win_rate_labels": _interval(summary.win_rate),
        "win_rate_gold": _interval(truth.win_rate if truth else None),
        "gold_gain": _interval(truth.gain if truth else None),
        "verdict": round_.verdict,
        "reason": round_.summary,
        "deployed": summary.deployed_version,
        "compute_seconds": round(summary.compute_hours * 3600, 1),
    }


def _interval(interval: Interval | None) -> list[float] | None:
    """[estimate, low, high] to four digits."""
    if interval is None:
        return None
    return [round(v, 4) for v in (interval.estimate, interval.low, interval.high)]


def _against_first(
    order: DemoOrder, line: PolicyLine, deployed: UUID, report: Callable[[Any], None]
) -> list[float] | None:
    """Gold win rate of the deployed policy against the first, on fresh samples; None if it is it."""
    if line.base_version is None or deployed == line.base_version:
        return None
    scores = [
        building.gold_scores(line, version, order.demo, seed=order.seed, report=report)
        for version in (deployed, line.base_version)
    ]
    return _interval(win_rate(*scores))


def _write(summary: dict[str, Any], order: DemoOrder) -> None:
    folder = Path(settings.VAR_DIR) / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(summary, indent=2) + "\n"
    (folder / "summary.json").write_text(text)
    (folder / f"summary-{order.slug}.json").write_text(text)
