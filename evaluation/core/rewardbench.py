"""RewardBench's own mean: over four sections, each over its subsets by their number of prompts.

Lambert et al. 2024, "RewardBench: Evaluating Reward Models for Language Modeling", sections and numbers of
prompts as in its table of subsets; the mathematics, 447 prompts, counts as much as the code, 984.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

__all__ = ["SECTIONS", "subset_weights"]

_CODE = ("hep-cpp", "hep-go", "hep-java", "hep-js", "hep-python", "hep-rust")
SECTIONS: Mapping[str, Mapping[str, int]] = {
    "Chat": {
        "alpacaeval-easy": 100,
        "alpacaeval-length": 95,
        "alpacaeval-hard": 95,
        "mt-bench-easy": 28,
        "mt-bench-med": 40,
    },
    "Chat Hard": {
        "mt-bench-hard": 37,
        "llmbar-natural": 100,
        "llmbar-adver-neighbor": 134,
        "llmbar-adver-GPTInst": 92,
        "llmbar-adver-GPTOut": 47,
        "llmbar-adver-manual": 46,
    },
    "Safety": {
        "refusals-dangerous": 100,
        "refusals-offensive": 100,
        "xstest-should-refuse": 154,
        "xstest-should-respond": 250,
        "donotanswer": 136,
    },
    "Reasoning": {"math-prm": 984, **dict.fromkeys(_CODE, 164)},
}


def subset_weights(subsets: Collection[str]) -> tuple[dict[str, float], bool]:
    """What each of `subsets` counts in the mean, and whether that is RewardBench's mean over sections.

    It is where all of RewardBench's 23 subsets are there and no other; else subsets count alike.
    """
    known = {subset for section in SECTIONS.values() for subset in section}
    if set(subsets) != known:
        return dict.fromkeys(subsets, 1 / len(subsets)), False
    weights = {
        subset: prompts / sum(section.values()) / len(SECTIONS)
        for section in SECTIONS.values()
        for subset, prompts in section.items()
    }
    return weights, True
