"""The checks that rest on the candidate's samples and the reward models: G3, G4, G6, G11, G13."""

from __future__ import annotations

import math

from evaluation.contracts import CheckStatus, GateMeasurements, GatePolicySettings, Interval
from evaluation.formatting import called, number, rounds_called
from evaluation.policy.findings import (
    Finding,
    Thresholds,
    at_least,
    at_most,
    missing,
    more_samples,
)


def check_reward_gap(m: GateMeasurements, settings: GatePolicySettings, t: Thresholds) -> Finding:
    """G3: the gain by the held-out reward model, and its share of what could be expected of it."""
    if m.policy is None:
        return missing("The gain by the held-out reward model", "samples")
    train, held = m.policy.train_gain, m.policy.held_out_gain
    alike = m.reward_model.held_out_correlation if m.reward_model else None
    measured = f"held-out {number(held)}, train {number(train)} (z)"
    if held.high <= t["held_out_gain"]:
        sentence = (
            f"A reward model that the training never saw finds no gain{_above(t['held_out_gain'])}."
        )
        return Finding("FAIL", measured, sentence, interval=held)
    if alike is not None and alike.estimate <= 0:
        sentence = (
            f"The two reward models do not order judged pairs alike (correlation {number(alike)}): the one that "
            "the training never saw cannot confirm a gain. More labels make better models."
        )
        return Finding("UNRESOLVED", measured, sentence, interval=held)
    status, sentence = _gap_status(train, held, alike, t)
    wants = more_samples(m) if status == "UNRESOLVED" else "nothing"
    advisory = _gap_advisory(train, held, alike, t) if status == "PASS" else ""
    return Finding(status, measured, sentence, wants, held, advisory)


def _gap_status(
    train: Interval, held: Interval, alike: Interval | None, t: Thresholds
) -> tuple[CheckStatus, str]:
    """A share that is too small fails only where it is surely so; with what earlier releases measured, at once."""
    share = _share_seen(held.estimate, train.estimate, alike)
    if share < t["share"]:
        most = _share_seen(held.high, train.estimate, alike)
        sure = alike is None or most < t["share"]
        doubt = "" if sure else f", but it may see {most:.0%}"
        sentence = f"{_seen(share, alike)}, under {t['share']:.0%}{doubt}."
        return ("FAIL" if sure else "UNRESOLVED"), sentence
    if held.low <= t["held_out_gain"]:
        above = _above(t["held_out_gain"]) or " above none"
        return "UNRESOLVED", f"The held-out reward model's gain is not clearly{above}."
    if train.estimate <= 0:
        return (
            "PASS",
            "A reward model that the training never saw finds a gain, the one trained against none.",
        )
    return "PASS", "A reward model that the training never saw confirms the gain."


def _gap_advisory(train: Interval, held: Interval, alike: Interval | None, t: Thresholds) -> str:
    if alike is not None and alike.low <= 0:
        return (
            f"The two reward models hardly order judged pairs alike (correlation {number(alike)}): that the one which "
            "the training never saw finds a gain too says little."
        )
    share = _share_seen(held.estimate, train.estimate, alike)
    return f"{_seen(share, alike, only=True)}." if share < t["share_advised"] else ""


def held_out_expected(train: float, alike: Interval) -> float:
    """The most that a gain by the training model lets expect of the held-out one, both in z.

    Of texts that score g higher by one model, another whose scores correlate by r with it finds r g on average,
    however both came by their errors: the regressional part of Goodhart's law (Gao, Schulman and Hilton 2022).
    Less than that is the training model's own. r is the upper bound of what was measured, from 0 to 1.
    """
    return train * min(max(alike.high, 0.0), 1.0)


def _share_seen(held: float, train: float, alike: Interval | None) -> float:
    expected = held_out_expected(train, alike) if alike else train
    return held / expected if expected > 0 else math.inf


def _seen(share: float, alike: Interval | None, *, only: bool = False) -> str:
    word = "only " if only else ""
    if alike is None:
        of = "the gain" if only else "the gain that the one trained against sees"
        return f"The held-out reward model sees {word}{share:.0%} of {of}"
    return (
        f"The held-out reward model sees {word}{share:.0%} of the most that could be expected of it (the two reward "
        f"models correlate by {number(alike)} on judged pairs)"
    )


def _above(floor: float) -> str:
    return f" above {floor:g} standard deviations" if floor else ""


def check_kl(m: GateMeasurements, settings: GatePolicySettings, t: Thresholds) -> Finding:
    """G4: exact KL per sequence to the reference against the budget or a lower optimum that was fitted."""
    kl = m.policy.kl.get("reference") if m.policy else None
    if kl is None:
        return missing("The distance from the reference policy", more_samples(m))
    budget, bound = t["budget"], f"the budget of {t['budget']:.1f} nats"
    optimum = m.kl_optimum
    # a forecast never allows more than the budget
    if optimum is not None and optimum.nats < budget:
        rounds = rounds_called(optimum.rounds)
        budget, bound = optimum.nats, f"{optimum.nats:.1f} nats, the optimum fitted on {rounds}"
    status = at_most(kl, budget)
    words = {"PASS": "within", "FAIL": "beyond", "UNRESOLVED": "not clearly within"}
    sentence = f"The candidate is {words[status]} {bound}."
    wants = more_samples(m) if status == "UNRESOLVED" else "nothing"
    return Finding(status, number(kl, "nats"), sentence, wants, kl, thresholds={"budget": budget})


def check_calibration(m: GateMeasurements, settings: GatePolicySettings, t: Thresholds) -> Finding:
    """G6: ECE against what chance gives a calibrated model, and the temperature."""
    split = m.reward_model.split("test", "validation") if m.reward_model else None
    if split is None:
        return missing("Calibration", "nothing")
    limit = split.ece_null_95 + t["ece_excess"]
    in_range = t["temperature_low"] <= split.temperature <= t["temperature_high"]
    measured = f"ECE {split.ece:.3f} (limit {limit:.3f}), temperature {split.temperature:.2f}"
    if split.ece <= limit and in_range:
        sentence = "Stated confidence departs from how often people agree by no more than chance."
        if split.ece > split.ece_null_95:
            sentence = (
                "Stated confidence departs from how often people agree by little more than chance."
            )
        return Finding("PASS", measured, sentence)
    if in_range:
        sentence = "Stated confidence departs from how often people agree by more than chance."
        return Finding("FAIL", measured, sentence)
    kind = "overconfident" if split.temperature > 1 else "underconfident"
    return Finding("FAIL", measured, f"The reward model is {kind}.")


def check_diversity(m: GateMeasurements, settings: GatePolicySettings, t: Thresholds) -> Finding:
    """G11: every measured distinct-n ratio to the incumbent, at equal token counts."""
    if m.policy is None or not m.policy.diversity:
        return missing("Diversity", more_samples(m))
    # what has surely collapsed comes before what might have
    name, worst = min(
        m.policy.diversity.items(),
        key=lambda item: (at_least(item[1], t["ratio"]) != "FAIL", item[1].low),
    )
    status = at_least(worst, t["ratio"])
    measured = f"{called(name)} {number(worst)} of the incumbent's"
    words = {
        "PASS": f"Every measured diversity is at least {t['ratio']:.0%} of the incumbent's.",
        "FAIL": f"A measured diversity is under {t['ratio']:.0%} of the incumbent's.",
        "UNRESOLVED": f"A diversity may be under {t['ratio']:.0%} of the incumbent's.",
    }
    narrow = status == "PASS" and worst.estimate < t["ratio_advised"]
    advisory = (
        f"Replies are less varied than the incumbent's ({worst.estimate:.2f} of it)."
        if narrow
        else ""
    )
    wants = more_samples(m) if status == "UNRESOLVED" else "nothing"
    return Finding(status, measured, words[status], wants, worst, advisory)


def check_disagreement(m: GateMeasurements, settings: GatePolicySettings, t: Thresholds) -> Finding:
    """G13: spread of the ensemble on candidate texts over that on the reference's."""
    ratio = m.policy.ensemble_std_ratio if m.policy else None
    if ratio is None:
        return missing("Disagreement of the ensemble", more_samples(m))
    status = at_most(ratio, t["ratio"])
    said = {"PASS": "differ at most", "FAIL": "differ over", "UNRESOLVED": "may differ over"}
    sentence = (
        f"On the candidate's texts the reward models {said[status]} {t['ratio']:g} times as much as "
        "on the base policy's."
    )
    wants = more_samples(m) if status == "UNRESOLVED" else "nothing"
    return Finding(status, number(ratio, "times"), sentence, wants, ratio)
