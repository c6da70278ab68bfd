"""The plain values of the self-test's page and of its JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np

from outerloop.selftest.acceptance import AcceptanceLine, acceptance, all_met, run_summary
from outerloop.selftest.results import ArmResult, Curve
from outerloop.selftest.running import plan_digest
from outerloop.selftest.sizes import ARMS, ORDINARY, SINGLE
from training import facade as training

COMMAND = "python manage.py selftest overoptimisation"
MEANING = {"met": "good", "not met": "bad", "not measured": "neutral"}


@dataclass(frozen=True)
class ShownLine:
    """A line of the acceptance table with the meaning of its verdict."""

    asks: str
    measured: str
    verdict: str
    meaning: str


@dataclass(frozen=True)
class ArmRow:
    """One seed of an arm: gains in gold against the first policy, and what the gate made of it."""

    seed: int
    proxy: str
    peak: str
    end: str
    stopped: str
    win_rate: str
    passed: str
    held_by: str


@dataclass(frozen=True)
class ArmPart:
    """An arm with its charts, one a PPO run, and its seeds."""

    name: str
    says: str
    charts: tuple[training.RunChart, ...]
    rows: tuple[ArmRow, ...]


@dataclass(frozen=True)
class SelfTestPage:
    """`headline` says in one sentence how it stands; `outdated` counts results of other sizes or arms."""

    command: str
    headline: str
    meaning: str
    made: datetime
    versions: str
    policy_version: int  # 0: the default's
    seeds: int
    outdated: int
    lines: tuple[ShownLine, ...]
    arms: tuple[ArmPart, ...]


def current(results: Sequence[ArmResult]) -> list[ArmResult]:
    """Those that this release's arms and sizes gave."""
    plans = {arm.name: plan_digest(arm, ORDINARY) for arm in ARMS.values()}
    newest = max(results, key=lambda r: r.made_at, default=None)
    return [r for r in results if r.plan == plans.get(r.arm) and newest and r.gate == newest.gate]


def selftest_page(results: Sequence[ArmResult], *, line: str) -> SelfTestPage | None:
    """None where nothing was run, or nothing that counts any more."""
    counted = current(results)
    if not counted:
        return None
    lines = acceptance(counted)
    headline, meaning = _headline(lines)
    return SelfTestPage(
        command=COMMAND + (f" --line {line}" if line else ""),
        headline=headline,
        meaning=meaning,
        made=datetime.fromisoformat(max(r.made_at for r in counted)),
        versions=", ".join(sorted({_version(r) for r in counted})),
        policy_version=counted[0].policy_version,
        seeds=len({r.seed for r in counted}),
        outdated=len(results) - len(counted),
        lines=tuple(_shown(one) for one in lines),
        arms=tuple(_arm(name, counted) for name in ARMS if any(r.arm == name for r in counted)),
    )


def selftest_document(results: Sequence[ArmResult], *, line: str) -> dict[str, Any]:
    """The same for programs: the lines, and every result as it was written."""
    counted = current(results)
    lines = acceptance(counted) if counted else []
    return {
        "line": line,
        "accepted": all_met(lines) if lines else None,
        "acceptance": [asdict(one) for one in lines],
        "results": [r.to_json() for r in counted],
    }


def _headline(lines: Sequence[AcceptanceLine]) -> tuple[str, str]:
    required = [one for one in lines if one.required]
    missed = [one for one in required if one.verdict == "not met"]
    open_ = [one for one in required if one.verdict == "not measured"]
    if missed:
        return f"{len(missed)} of {len(required)} conditions are not met.", "bad"
    if open_:
        return (
            f"{len(open_)} of {len(required)} conditions have not been measured yet.",
            "attention",
        )
    return f"All {len(required)} lines are met.", "good"


def _version(result: ArmResult) -> str:
    return f"{result.code} (commit {result.commit})" if result.commit else result.code


def _shown(line: AcceptanceLine) -> ShownLine:
    meaning = MEANING[line.verdict] if line.required else "neutral"
    return ShownLine(line.asks, line.measured, line.word, meaning)


def _row(result: ArmResult) -> ArmRow:
    run = run_summary(result.runs[SINGLE]) if SINGLE in result.runs else None
    trial = result.trial
    return ArmRow(
        seed=result.seed,
        proxy=f"{run.proxy:+.2f}" if run else "–",
        peak=f"{run.peak:+.2f}" if run else "–",
        end=f"{run.end:+.2f}" if run else "–",
        stopped=f"{run.stopped:+.2f}" if run and run.stopped is not None else "–",
        win_rate=f"{trial.shown_win_rate:.0%}" if trial else "–",
        passed=f"{trial.promoted} of {trial.redraws}" if trial else "–",
        held_by=", ".join(
            f"{check} {count / trial.redraws:.0%}" for check, count in sorted(trial.held_by.items())
        )
        if trial
        else "",
    )


def _arm(name: str, results: Sequence[ArmResult]) -> ArmPart:
    mine = [r for r in results if r.arm == name]
    # an A/A arm shows the gate another arm's policy, whose curves stand there
    runs = ARMS[name].runs if ARMS[name].trial != "twin" else {}
    charts = tuple(_chart(name, run, [r.runs[run] for r in mine if run in r.runs]) for run in runs)
    title = {"aa": "A/A"}.get(name, name.capitalize())
    return ArmPart(title, ARMS[name].says, charts, tuple(map(_row, mine)))


def _chart(arm: str, run: str, curves: Sequence[Curve]) -> training.RunChart:
    """Proxy, held-out reward and gold by KL, update by update, as means over the seeds."""
    kl = _mean(curves, "kl")
    on_gold = "reward_function" in ARMS[arm].runs[run]  # proxy and gold are one
    drawn = [(n, t, c) for n, t, c in LINES if not (on_gold and n != "gold")]
    lines = [
        training.Line(title, list(zip(kl, _mean(curves, name), strict=False)))
        for name, title, _ in drawn
    ]
    title = "on the gold itself" if on_gold else {SINGLE: "one reward model"}.get(run, run)
    over = f"mean of {len(curves)} seeds" if len(curves) > 1 else "one seed"
    colours = [colour for *_, colour in drawn]
    return training.curve_chart(
        title[0].upper() + title[1:], over, lines, across="KL", colours=colours
    )


LINES = (
    ("proxy", "what is optimised", "train"),
    ("held_out", "held-out", "held-out"),
    ("gold", "gold", "truth"),
)


def _mean(curves: Sequence[Curve], name: str) -> list[float]:
    """Of the smoothed curves, as long as all of them go on; rewards start at 0."""
    found = [curve.smoothed(name) for curve in curves if getattr(curve, name)]
    length = min(map(len, found))
    table = np.array([values[:length] for values in found])
    if name != "kl":
        table -= table[:, :1]
    return [float(v) for v in table.mean(axis=0)]
