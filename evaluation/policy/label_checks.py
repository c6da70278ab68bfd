"""The checks that rest on people and on the evidence itself: G0, G1, G5."""

from __future__ import annotations

from evaluation.contracts import (
    CheckStatus,
    GateMeasurements,
    GatePolicySettings,
    HumanLabels,
    Wants,
)
from evaluation.formatting import share
from evaluation.policy.findings import (
    Finding,
    Thresholds,
    labels_exhausted,
    missing,
    more_labels,
)
from evaluation.policy.online import e_lond_level

REQUIRED_FACTS = ("artifact_hashes", "prompt_split")


def check_integrity(m: GateMeasurements, settings: GatePolicySettings, t: Thresholds) -> Finding:
    """G0: hashes, splits, A/A exactly 0 on identical weights, gold questions."""
    broken = [f for f in m.integrity if not f.ok]
    measured = f"{len(m.integrity) - len(broken)} of {len(m.integrity)} facts hold"
    if broken:
        detail = "; ".join(f"{f.name}: {f.detail or 'does not hold'}" for f in broken)
        return Finding("FAIL", measured, f"The evidence cannot be trusted: {detail}.")
    gold = m.gold_question_accuracy
    if gold is not None and gold.high < t["gold_accuracy"]:
        return Finding(
            "FAIL",
            f"gold questions {share(gold)}",
            f"The annotators answer gold questions right in {gold.estimate:.0%}, under the "
            f"{t['gold_accuracy']:.0%} that makes labels evidence.",
            interval=gold,
        )
    difference = m.policy.aa_difference if m.policy else None
    identical = m.candidate_sha256 == m.incumbent_sha256
    if identical and difference not in (None, 0.0):
        return Finding(
            "FAIL",
            f"A/A difference {difference:g}",
            "Candidate and incumbent are the same weights, yet their scores differ: the "
            "evaluation is not reproducible.",
        )
    unknown = [name for name in REQUIRED_FACTS if name not in {f.name for f in m.integrity}]
    if identical and difference is None:
        unknown.append("A/A difference")
    if unknown:
        return missing("Integrity (" + ", ".join(unknown) + ")", "nothing")
    held = "Files and splits are as they should be"
    asked = "" if gold is None else f"; gold questions are answered right in {gold.estimate:.0%}"
    return Finding("PASS", measured, f"{held}{asked}.")


def check_win_rate(m: GateMeasurements, settings: GatePolicySettings, t: Thresholds) -> Finding:
    """G1: e-process for wins + ties/2 against even, at the line's online level."""
    level = e_lond_level(m.test_number, m.discoveries, settings.alpha)
    needed = 1.0 / level
    labels = m.labels
    if labels is None or labels.labels == 0:
        wants = more_labels(labels)
        return missing("What people prefer", wants)
    best = max(labels.e_value, labels.max_e_value)
    rate = f"{labels.wins + labels.ties / 2:g} of {labels.labels} labels"
    rate = f"{share(labels.win_rate)}, {rate}" if labels.win_rate else rate
    measured = f"{rate}; evidence {best:.3g} ({needed:.3g} needed)"
    few = labels.annotators and labels.annotators < t["annotators_advised"]
    advisory = (
        f"Only {labels.annotators} annotators: the result leans on few people." if few else ""
    )
    status, sentence, wants = _win_rate_status(labels, best, needed, settings.alpha)
    return Finding(
        status,
        measured,
        sentence,
        wants,
        labels.win_rate,
        advisory,
        {"win_rate": t["win_rate"], "e_value": needed},
    )


def _win_rate_status(
    labels: HumanLabels, best: float, needed: float, alpha: float
) -> tuple[CheckStatus, str, Wants]:
    if best >= needed:
        return "PASS", f"People prefer the candidate, on {labels.labels} labels.", "nothing"
    if labels.max_e_value_worse >= 1.0 / alpha:
        return "FAIL", "People prefer the incumbent.", "nothing"
    if labels_exhausted(labels):
        why = "its maximum age" if labels.expired else "its label budget"
        sentence = f"Not shown better: the round reached {why} after {labels.labels} labels."
        return "FAIL", sentence, "nothing"
    more = "1 more label" if labels.labels_left == 1 else f"{labels.labels_left} more labels"
    left = f"{more} may be asked for"
    return "UNRESOLVED", f"Not shown either way yet; {left}.", "labels"


def check_agreement(m: GateMeasurements, settings: GatePolicySettings, t: Thresholds) -> Finding:
    """G5: the training reward model against fresh labels of the candidate's own texts.

    It must be shown to lie above the floor; against the human ceiling it must not be shown to lie too
    far below. The ceiling is itself an estimate: asking for proof of nearness would ask for more
    labels than the win rate does.

    A failure ends the round, and the check is looked at after every batch of labels: so it fails on
    bounds that hold at all times together. To pass costs nothing before the win rate is shown as well.
    """
    agreement = m.fresh_agreement
    if agreement is None:
        return missing("Agreement of the reward model with fresh labels", more_labels(m.labels))
    floor = t["accuracy"]
    near = m.human_ceiling.estimate - t["below_ceiling"] if m.human_ceiling else 0.0
    always = m.fresh_agreement_sequence or agreement
    if always.high < near:
        sentence = (
            f"The reward model agrees far less with people than they do with each other (at least"
            f" {near:.0%} is asked)."
        )
        return Finding(
            "FAIL", share(always), sentence, interval=always, thresholds={"accuracy": near}
        )
    status: CheckStatus = "FAIL" if always.high < floor else "UNRESOLVED"
    if agreement.low >= floor:
        status = "PASS"
    shown = agreement if status == "PASS" else always  # the bounds that decide
    words = {
        "PASS": "The reward model still agrees with people on the candidate's texts",
        "FAIL": "The reward model no longer agrees with people on the candidate's texts",
        "UNRESOLVED": "Too few fresh labels to say whether the reward model still agrees",
    }
    sentence = f"{words[status]} (at least {floor:.0%} is asked)."
    wants = more_labels(m.labels) if status == "UNRESOLVED" else "nothing"
    advisory = "" if m.human_ceiling else "How far two people agree has not been measured."
    if agreement.estimate < near:
        advisory = f"It lies more than {t['below_ceiling']:.0%} below what two people agree on."
    return Finding(status, share(shown), sentence, wants, shown, advisory, {"accuracy": floor})
