"""The checks that rest on people and on the evidence itself: G0, G1, G5."""

from __future__ import annotations

from dataclasses import replace

from evaluation.contracts import (
    CheckStatus,
    GateMeasurements,
    GatePolicySettings,
    HumanLabels,
    Interval,
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
# Where so few of so many decided pairs go the other way, labels are not asked for to find ten of them.
ONE_SIDED_LABELS, ONE_SIDED_SHARE, SIDE_FLOOR = 40, 0.15, 0.5


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
    needed = 1.0 / _level_of(m, settings.alpha)
    labels = m.labels
    if labels is None or labels.labels == 0:
        return missing("What people prefer", more_labels(labels))
    best = max(labels.e_value, labels.max_e_value)
    rate = f"{labels.wins + labels.ties / 2:g} of {labels.labels} labels"
    rate = f"{share(labels.win_rate)}, {rate}" if labels.win_rate else rate
    if labels.carried:
        rate += f", {labels.carried} of them from an earlier round whose test goes on"
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


def _level_of(m: GateMeasurements, alpha: float) -> float:
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


def check_discrimination(
    m: GateMeasurements, settings: GatePolicySettings, t: Thresholds
) -> Finding:
    """G5: how well the training reward model's gap tells pairs that the candidate won from lost ones.

    The AUC, and not agreement: agreement follows the share of wins, and would make this a second test
    of the win rate. Its lower bound must reach the floor. A failure ends the round, and the check is
    looked at after every batch of labels: so it fails on bounds that hold at all times together. To
    pass costs nothing before the win rate is shown as well. Nearness to the human ceiling only warns:
    it is measured on other pairs than these.
    """
    told = m.fresh_discrimination
    advisory = _ceiling_advisory(m, t)
    if told is None:
        return replace(_discrimination_missing(m), advisory=advisory)
    floor = t["discrimination"]
    always = m.fresh_discrimination_sequence or told
    status: CheckStatus = "FAIL" if always.high < floor else "UNRESOLVED"
    if told.low >= floor:
        status = "PASS"
    shown = always if status == "FAIL" else told  # the bounds that decide
    words = {
        "PASS": "On fresh labels the reward model tells what people prefer from what they do not",
        "FAIL": "On fresh labels the reward model does not tell what people prefer",
        "UNRESOLVED": "Too few fresh labels to say whether the reward model tells what people prefer",
    }
    sentence = f"{words[status]} (at least {floor:.0%} of won and lost pairs in the right order)."
    wants = more_labels(m.labels) if status == "UNRESOLVED" else "nothing"
    measured = f"{share(shown)} in the right order"
    return Finding(status, measured, sentence, wants, shown, advisory, {"discrimination": floor})


def _discrimination_missing(m: GateMeasurements) -> Finding:
    """No order was measured: no labels yet, or too few of one kind for it to be seen."""
    if m.labels is None or m.labels.labels == 0:
        return missing("What the reward model can tell on fresh labels", more_labels(m.labels))
    if _one_sided(m.labels) and m.fresh_side is not None:
        return _side_finding(m.labels, m.fresh_side)
    sentence = (
        "What the reward model can tell has not been measured: it takes ten pairs that the candidate "
        f"won and ten that it lost, from at least two annotators ({m.labels.wins} won and "
        f"{m.labels.losses} lost so far)."
    )
    return Finding("UNRESOLVED", "not measured yet", sentence, more_labels(m.labels))


def _one_sided(labels: HumanLabels) -> bool:
    decided, rarer = labels.wins + labels.losses, min(labels.wins, labels.losses)
    return decided >= ONE_SIDED_LABELS and rarer < ONE_SIDED_SHARE * decided


def _side_finding(labels: HumanLabels, side: Interval) -> Finding:
    """People nearly always chose the same side: there is no order to tell, but a side to prefer."""
    passed = side.low >= SIDE_FLOOR
    nearly = (
        f"People nearly always chose the same side ({labels.wins} won and {labels.losses} lost)"
    )
    words = "prefers it too" if passed else "is not shown to prefer it too"
    return Finding(
        "PASS" if passed else "UNRESOLVED",
        f"{share(side)} on the side that people chose",
        f"{nearly}, and the reward model {words}.",
        "nothing" if passed else more_labels(labels),
        side,
        thresholds={"discrimination": SIDE_FLOOR},
    )


def _ceiling_advisory(m: GateMeasurements, t: Thresholds) -> str:
    """What is to be said of how far people agree, the most that a reward model can be asked for."""
    ceiling, told = m.human_ceiling, m.fresh_discrimination
    if ceiling is None:
        return "How far two people agree has not been measured."
    if told is None or told.estimate >= ceiling.estimate - t["below_ceiling"]:
        return ""
    return (
        f"That is more than {100 * t['below_ceiling']:g} points below the {ceiling.estimate:.0%} in which two "
        "people agree on other pairs of this line."
    )
