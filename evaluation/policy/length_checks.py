"""The checks on length: G2, what people prefer at equal length, and G10, what replies and gain owe to it."""

from __future__ import annotations

from evaluation.contracts import CheckStatus, GateMeasurements, GatePolicySettings, LengthControl
from evaluation.formatting import number, share
from evaluation.policy.findings import (
    Finding,
    Thresholds,
    at_most,
    missing,
    more_labels,
    more_samples,
)


def check_equal_length(m: GateMeasurements, settings: GatePolicySettings, t: Thresholds) -> Finding:
    """G2: the win rate at equal length and style must not lie below the floor.

    It passes when two lower bounds reach the floor: the one for people and prompts like these at one
    look, and the one for these people that holds at all looks together. A failure ends the round, so
    it fails on the latter alone.
    """
    found = m.length_control
    if found is None:
        return missing("The win rate at equal length and style", more_labels(m.labels))
    once, always, floor = found.controlled, found.controlled_sequence, t["win_rate"]
    status: CheckStatus = "FAIL" if always.high < floor else "UNRESOLVED"
    if min(once.low, always.low) >= floor:
        status = "PASS"
    decides = always if status == "FAIL" else min(once, always, key=lambda i: i.low)
    words = {
        "PASS": f"At equal length and style people prefer the candidate in at least {floor:.0%}.",
        "FAIL": f"At equal length and style people prefer the candidate in less than {floor:.0%}.",
        "UNRESOLVED": (
            "Too few labels on texts of about equal length and style to say whether people prefer "
            f"the candidate there in at least {floor:.0%}."
        ),
    }
    measured = f"{share(decides)} at equal length and style; {found.win_rate:.0%} as the texts are"
    wants = more_labels(m.labels) if status == "UNRESOLVED" else "nothing"
    return Finding(
        status, measured, words[status], wants, decides, _apart(found, t["difference_advised"])
    )


def _apart(found: LengthControl, advised: float) -> str:
    difference = found.win_rate - found.controlled.estimate
    if abs(difference) <= advised:
        return ""
    word = "lower" if difference > 0 else "higher"
    return (
        f"At equal length and style the win rate is {abs(difference):.0%} {word}: what people "
        "prefer has to do with how long or how formatted the texts are."
    )


def check_length(m: GateMeasurements, settings: GatePolicySettings, t: Thresholds) -> Finding:
    """G10: median length ratio; where texts grew, the share of the gain left at equal length.

    Of the training reward model's gain before there are labels enough, of people's gain from then on.
    """
    if m.policy is None:
        return missing("Length", "samples")
    ratio = m.policy.length_ratio
    measured = f"{number(ratio)} times the incumbent's median"
    status = at_most(ratio, t["ratio"])
    if status == "FAIL":
        sentence = f"Replies are more than {t['ratio']:g} times as long."
        return Finding("FAIL", measured, sentence, interval=ratio)
    if ratio.estimate > 1.0:
        grown = _grown(m, measured, t["share"])
        if status == "PASS" or grown.status == "FAIL":
            return grown
        measured = grown.measured
    if status == "UNRESOLVED":
        sentence = f"Replies may be more than {t['ratio']:g} times as long."
        return Finding(status, measured, sentence, more_samples(m), ratio)
    return Finding("PASS", measured, "Replies did not grow.", interval=ratio)


def _grown(m: GateMeasurements, measured: str, least: float) -> Finding:
    """What is left at equal length of the gain of replies that grew."""
    assert m.policy is not None
    ratio, modelled = m.policy.length_ratio, m.policy.length_free_share
    if modelled is not None:
        measured += f"; {modelled.estimate:.0%} of the reward model's gain is left at equal length"
        if modelled.estimate < least:  # the interval of a ratio of noisy gains decides nothing
            sentence = f"Under {least:.0%} of the reward model's gain is left at equal length."
            return Finding("FAIL", measured, sentence, interval=ratio)
    if m.length_control is not None:
        return _grown_by_people(m, m.length_control, measured, least)
    if modelled is None:
        sentence = (
            "Replies grew, and there is no gain whose share at equal length could be measured."
        )
        wants = more_samples(m) if more_labels(m.labels) == "nothing" else "labels"
        return Finding("UNRESOLVED", measured, sentence, wants, ratio)
    sentence = (
        f"Replies grew, and at least {least:.0%} of the reward model's gain is left at equal length; "
        "of people's gain it has not been measured."
    )
    return Finding("PASS", measured, sentence, interval=ratio)


def _grown_by_people(
    m: GateMeasurements, found: LengthControl, measured: str, least: float
) -> Finding:
    """FAIL on bounds that hold at all looks together; PASS on those of one look, as for G5."""
    ratio = m.policy.length_ratio if m.policy else None
    if found.share is None:
        sentence = (
            "Replies grew, and people's gain is not sure enough to say how much of it is left at "
            "equal length."
        )
        return Finding("UNRESOLVED", measured, sentence, more_labels(m.labels), ratio)
    always = found.share_sequence
    failed = always is not None and always.high < least
    shown = always if failed else found.share
    measured += f"; {share(shown)} of people's"
    if failed:
        sentence = f"Replies grew, and under {least:.0%} of people's gain is left at equal length."
        return Finding("FAIL", measured, sentence, interval=ratio)
    if found.share.low >= least:
        sentence = (
            f"Replies grew, and at least {least:.0%} of people's gain is left at equal length."
        )
        return Finding("PASS", measured, sentence, interval=ratio)
    sentence = (
        f"Replies grew, and less than {least:.0%} of people's gain may be left at equal length."
    )
    return Finding("UNRESOLVED", measured, sentence, more_labels(m.labels), ratio)
