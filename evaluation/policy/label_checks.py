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
    wear_advisory,
)
from evaluation.policy.online import e_lond_level, error_level

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
    """G1: evidence that wins (strength or side, ties half) exceed the null, at the line's level."""
    needed = 1.0 / error_level_of(m, settings.alpha)
    labels = m.labels
    if labels is None or labels.labels == 0:
        return missing("What people prefer", more_labels(labels))
    best = max(labels.e_value, labels.max_e_value)
    rate = f"{labels.wins + labels.ties / 2:g} of {labels.labels} labels"
    rate = f"{share(labels.win_rate)}, {rate}" if labels.win_rate else rate
    asked = "the people who compared" if settings.hypothesis == "panel" else "people like them"
    measured = f"{rate}; evidence {best:.3g} for {asked} ({needed:.3g} needed)"
    status, sentence, wants = _win_rate_status(labels, best, needed, settings, t)
    return Finding(
        status,
        measured,
        sentence,
        wants,
        labels.win_rate,
        " ".join(filter(None, (_annotators_advisory(labels), wear_advisory(m.wear)))),
        {"win_rate": t["win_rate"], "e_value": needed},
    )


def error_level_of(m: GateMeasurements, alpha: float) -> float:
    """The level of this test; records without costs were decided at that of e-LOND."""
    if m.error_spent is None:
        return e_lond_level(m.test_number, m.discoveries, alpha)
    return error_level(m.error_spent, m.discoveries, alpha)


def _win_rate_status(
    labels: HumanLabels,
    best: float,
    needed: float,
    settings: GatePolicySettings,
    t: Thresholds,
) -> tuple[CheckStatus, str, Wants]:
    if best >= needed:
        return "PASS", f"People prefer the candidate, on {labels.labels} labels.", "nothing"
    if labels.max_e_value_worse >= 1.0 / settings.alpha:
        return "FAIL", "People prefer the incumbent.", "nothing"
    few = labels.read is not None and labels.annotators < t["annotators"]
    people = f" Only {labels.annotators} of {t['annotators']:.0f} annotators have compared."
    if labels_exhausted(labels):
        why = "its maximum age" if labels.expired else "its label budget"
        sentence = f"Not shown better: the round reached {why} after {labels.labels} labels."
        return "FAIL", sentence + (people if few else ""), "nothing"
    more = "1 more label" if labels.labels_left == 1 else f"{labels.labels_left} more labels"
    sentence = f"Not shown either way yet; {more} may be asked for."
    return "UNRESOLVED", sentence + (people if few else _forecast(labels)), "labels"


def _forecast(labels: HumanLabels) -> str:
    if not labels.read:
        return ""
    if labels.more_labels is None or labels.more_labels > labels.labels_left:
        return " At the rate so far they will not suffice."
    return f" At the rate so far about {max(1, labels.more_labels)} more will do."


def _annotators_advisory(labels: HumanLabels) -> str:
    """What waits unread, because others have to judge as much."""
    waiting = 0 if labels.read is None else labels.labels - labels.read
    if labels.read is None or 10 * waiting <= labels.labels:
        return ""
    return (
        f"{waiting} of {labels.labels} labels wait to be read until more annotators have judged as"
        " many pairs: nobody counts more than the others."
    )


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
