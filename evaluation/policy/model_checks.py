"""The checks that rest on the candidate's samples and the reward models: G3, G4, G6, G11, G13."""

from __future__ import annotations

import math

from evaluation.contracts import GateMeasurements, GatePolicySettings
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
    """G3: the gain by the held-out reward model, and its share of the training one's."""
    if m.policy is None:
        return missing("The gain by the held-out reward model", "samples")
    train, held = m.policy.train_gain, m.policy.held_out_gain
    measured = f"held-out {number(held)}, train {number(train)} (z)"
    floor = t["held_out_gain"]
    if held.high <= floor:
        sentence = f"A reward model that the training never saw finds no gain{_above(floor)}."
        return Finding("FAIL", measured, sentence, interval=held)
    share = held.estimate / train.estimate if train.estimate > 0 else math.inf
    if share < t["share"]:
        sentence = (
            f"The held-out reward model sees {share:.0%} of the gain that the one trained against sees, under "
            f"{t['share']:.0%}."
        )
        return Finding("FAIL", measured, sentence, interval=held)
    if held.low <= floor:
        sentence = (
            f"The held-out reward model's gain is not clearly{_above(floor) or ' above none'}."
        )
        return Finding("UNRESOLVED", measured, sentence, more_samples(m), held)
    advisory = ""
    if share < t["share_advised"]:
        advisory = f"The held-out reward model sees only {share:.0%} of the gain."
    sentence = "A reward model that the training never saw confirms the gain."
    if train.estimate <= 0:
        sentence = (
            "A reward model that the training never saw finds a gain, the one trained against none."
        )
    return Finding("PASS", measured, sentence, interval=held, advisory=advisory)


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
