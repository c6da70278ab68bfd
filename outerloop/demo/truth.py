"""The column of truth: what the hidden gold says of a round, beside what the platform believes."""

from __future__ import annotations

import numpy as np

from evaluation import facade as evaluation
from evaluation.contracts import Interval, TruthColumn
from evaluation.statistics.intervals import cluster_mean_interval
from outerloop.demo.building import Scored
from outerloop.demo.gold import GoldScore, gold_score
from outerloop.demo.world import fact_asked, of_this_world
from outerloop.rounds.models import Round, State
from outerloop.rounds.runs import step_run_record


def round_truth(round_: Round) -> TruthColumn | None:
    """Gold win rate and gain of candidate against incumbent on the round's evaluation samples.

    Intervals are over facts: forty wordings of one question are not forty questions. Questions that a
    person has imported have no gold. None while the round has no candidate, or where fewer than two
    facts were asked for.
    """
    run = step_run_record(round_, State.POLICY_EVALUATION)
    if run is None:
        return None
    wins, gains, facts = [], [], []
    for row in evaluation.samples_read(run):
        if not of_this_world(row["messages"]):
            continue
        candidate, incumbent = (
            gold_score(row["messages"], row[side]["text"], row[side]["ended"])
            for side in ("candidate", "incumbent")
        )
        wins.append(win(candidate, incumbent))
        gains.append(candidate.total - incumbent.total)
        facts.append(fact_asked(row["messages"]).name)
    if len(set(facts)) < 2:  # no interval
        return None
    return TruthColumn(
        win_rate=cluster_mean_interval(wins, facts),
        gain=cluster_mean_interval(gains, facts),
    )


def win(candidate: GoldScore, incumbent: GoldScore) -> float:
    """1 where the candidate's score is higher, 0.5 for equal scores."""
    return float(np.sign(candidate.total - incumbent.total)) / 2 + 0.5


def win_rate(candidate: dict[str, Scored], incumbent: dict[str, Scored]) -> Interval:
    """Gold win rate over the prompts that both were asked, clustered by fact."""
    shared = sorted(candidate.keys() & incumbent.keys())
    wins = [win(candidate[prompt].score, incumbent[prompt].score) for prompt in shared]
    return cluster_mean_interval(wins, [candidate[prompt].fact for prompt in shared])
