"""The figures of the quality pages in plain words; each sentence claims what its interval bears."""

from __future__ import annotations

from annotation.statistics.estimates import Gauged

from .measures import Drift

FAIR_LEFT = (0.4, 0.6)  # sides are drawn: about half of the better texts stand left
GOLD_FLOOR, REPEAT_FLOOR, RELIABLE_FLOOR = 0.7, 0.7, 0.6
QUICK = 1 / 3  # of the campaign's median time


def share_words(found: Gauged | None) -> str:
    if found is None:
        return "not measured"
    return f"{found.value:.0%} ({found.low:.0%} to {found.high:.0%})"


def coefficient_words(found: Gauged | None) -> str:
    if found is None:
        return "not measured"
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def alpha_meaning(found: Gauged | None) -> str:
    """Against the marks that Krippendorff (2004, p. 241) sets for conclusions from coded texts."""
    if found is None:
        return (
            "No pair that counts here has the answers of two people, or all of them said the same"
            " throughout."
        )
    if found.low >= 0.8:
        return (
            "People see it alike: even the lower end is above 0.80, Krippendorff’s mark for firm"
            " conclusions."
        )
    if found.low >= 0.667:
        return (
            "People mostly see it alike: the lower end is above 0.667, Krippendorff’s mark for"
            " tentative conclusions."
        )
    if found.low > 0:
        return (
            "People agree more than chance would make them, and often see it differently. Below"
            " 0.667, Krippendorff’s mark, one answer a pair is a noisy label."
        )
    return (
        "It cannot be told from chance: read the pairs on which people disagree, and the guidelines,"
        " before asking more."
    )


def gwet_meaning(found: Gauged | None) -> str:
    if found is None:
        return "No pair that counts here has the answers of two people."
    return "Beyond chance as well, reckoned so that it does not fall where nearly every answer is the same."


def share_meaning(found: Gauged | None) -> str:
    if found is None:
        return "On no pair that counts here have two people chosen a side."
    return f"Two people who both chose a side of a pair chose the same one {found.value:.0%} of the time."


def left_meaning(found: Gauged | None) -> str:
    if found is None:
        return "No pair was shown on the comparison page and decided."
    if found.low <= 0.5 <= found.high:
        return "No preference for a side can be seen."
    side = "left" if found.value > 0.5 else "right"
    return f"The {side} text is chosen more often than the drawn sides explain."


def longer_meaning(found: Gauged | None) -> str:
    if found is None:
        return "No pair of two lengths was decided."
    if found.low <= 0.5 <= found.high:
        return "Length by itself does not show in the choices."
    word = "longer" if found.value > 0.5 else "shorter"
    return f"The {word} text is chosen more often. That may be right: longer answers can be better ones."


def gold_meaning(found: Gauged | None) -> str:
    if found is None:
        return "No gold item has been answered."
    return f"Of {found.n:,} answers to pairs with a known answer, {found.value:.0%} chose the right side."


def repeats_meaning(found: Gauged | None) -> str:
    if found is None:
        return "No pair has been asked again."
    return f"The same person, asked again with the sides turned, said the same {found.value:.0%} of the time."


def change_words(found: Drift | None) -> str:
    if found is None:
        return ""
    low, change, high = (100 * each for each in (found.low, found.change, found.high))
    return f"{change:+.0f} percentage points ({low:+.0f} to {high:+.0f})"


def signs_of(
    *,
    left: Gauged | None,
    gold: Gauged | None,
    repeats: Gauged | None,
    reliability: Gauged | None,
    with_others: Gauged | None,
    usual: Gauged | None,
    seconds: float | None,
    usual_seconds: float | None,
    drifted: Drift | None,
) -> list[str]:
    """What a lead should look at in one person's answers: only what the whole interval says."""
    found = []
    if left and (left.low > FAIR_LEFT[1] or left.high < FAIR_LEFT[0]):
        side = "left" if left.value > 0.5 else "right"
        found.append(f"chooses the {side} text {max(left.value, 1 - left.value):.0%} of the time")
    if reliability and reliability.high < RELIABLE_FLOOR:
        found.append(f"right {reliability.value:.0%} of the time when both sides count alike")
    if gold and gold.high < GOLD_FLOOR:
        found.append(f"right on {gold.value:.0%} of the gold items")
    if repeats and repeats.high < REPEAT_FLOOR:
        found.append(f"says the same again {repeats.value:.0%} of the time")
    if with_others and usual and with_others.high < usual.low:
        found.append("agrees with others less than others do")
    if seconds is not None and usual_seconds and seconds < QUICK * usual_seconds:
        found.append("takes less than a third of the usual time")
    if drifted and drifted.high < 0:
        found.append(f"agreement with others fell by {-100 * drifted.change:.0f} points")
    return found
