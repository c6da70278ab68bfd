"""What a demo prints and writes at its end: each round, and how good the deployed policy truly is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings

from evaluation import facade as evaluation
from evaluation.contracts import Interval, TruthColumn
from outerloop.demo import building
from outerloop.demo.building import FirstPolicy
from outerloop.demo.settings import DemoOrder
from outerloop.demo.truth import win_rate
from outerloop.rounds.models import PolicyLine, Round
from outerloop.rounds.record import record_refresh, round_summary
from training import facade as training


def summary_made(
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


def summary_write(summary: dict[str, Any], order: DemoOrder) -> None:
    folder = Path(settings.VAR_DIR) / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(summary, indent=2) + "\n"
    (folder / "summary.json").write_text(text)
    (folder / f"summary-{order.slug}.json").write_text(text)
