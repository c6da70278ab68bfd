"""G12: whether the reward model reads its prompts, keeps its order, and cannot be bought."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from evaluation.contracts import (
    CheckStatus,
    ConsistencyMeasurements,
    GateMeasurements,
    GatePolicySettings,
    Interval,
)
from evaluation.formatting import number, share
from evaluation.policy.findings import Finding, Thresholds, at_least, at_most, missing

LEAST_PAIRS = (
    40  # with fewer, a rewording that turns no pair at all could not be shown to stay under 10 %
)
WORST_FIRST: tuple[CheckStatus, ...] = ("FAIL", "UNRESOLVED", "PASS")


@dataclass(frozen=True)
class Part:
    """One thing that was measured: its figures, and what is said of it where it does not pass."""

    status: CheckStatus
    margin: float  # how far its bound lies on the good side, to tell the worst of one kind
    measured: str
    failed: str
    unsure: str


def check_consistency(m: GateMeasurements, settings: GatePolicySettings, t: Thresholds) -> Finding:
    """G12: contrast instructions and prompt swap, flips by rewordings, rises by probes."""
    found = m.reward_model.consistency.get("reward_model") if m.reward_model else None
    if found is None:
        return missing("Consistency of the reward model", "nothing")
    kinds = [list(_prompts(found, t)), list(_rewordings(found, t)), list(_probes(found, t))]
    worst = [_worst(kind) for kind in kinds]
    status = next(s for s in WORST_FIRST if any(part.status == s for part in worst))
    sentences = {
        "FAIL": [part.failed for kind in kinds for part in kind if part.status == "FAIL"],
        "UNRESOLVED": [part.unsure for part in worst if part.status == "UNRESOLVED"],
        "PASS": [
            "Its reward follows the prompt, and no rewording or probe moves it by more than is allowed."
        ],
    }[status]
    return Finding(
        status,
        "; ".join(part.measured for part in worst),
        " ".join(sentences),
        interval=_nearer(found),
        thresholds=t,
    )


def _nearer(found: ConsistencyMeasurements) -> Interval:
    """The lower of the two figures on prompts."""
    known = (found.prompt_swap, found.contrast or found.prompt_swap)
    return min(known, key=lambda interval: interval.low)


def _worst(parts: list[Part]) -> Part:
    return min(parts, key=lambda part: (WORST_FIRST.index(part.status), part.margin))


def _prompts(found: ConsistencyMeasurements, t: Thresholds) -> Iterator[Part]:
    floor = t["own_prompt"]
    swap, contrast = found.prompt_swap, found.contrast
    yield Part(
        at_least(swap, floor),
        swap.low - floor,
        f"own prompt ahead {share(swap)}",
        f"A reply scores higher under its own prompt than under another in less than {floor:.0%} of pairs.",
        f"It is not sure that a reply scores higher under its own prompt in {floor:.0%} of pairs.",
    )
    if contrast is not None:
        yield Part(
            at_least(contrast, floor),
            contrast.low - floor,
            f"own reply ahead {share(contrast)}",
            f"A prompt's own reply scores above that to a like prompt in less than {floor:.0%} of pairs.",
            f"It is not sure that a prompt's own reply scores above that to a like prompt in {floor:.0%} of"
            " pairs.",
        )


def _rewordings(found: ConsistencyMeasurements, t: Thresholds) -> Iterator[Part]:
    """Every rewording that changed enough pairs to be judged."""
    ceiling = t["flips"]
    judged = [each for each in found.rewordings if each.pairs >= LEAST_PAIRS]
    for each in judged:
        yield Part(
            at_most(each.flipped, ceiling),
            ceiling - each.flipped.high,
            f"flips {share(each.flipped)} by {each.name}",
            f"Reworded ({each.name}), over {ceiling:.0%} of pairs change their order.",
            f"Reworded ({each.name}), over {ceiling:.0%} of pairs may change their order.",
        )
    if not judged:
        says = (
            f"No rewording changed {LEAST_PAIRS} pairs, too few to tell whether their order stays."
        )
        yield Part("UNRESOLVED", 0.0, "rewordings not measured", says, says)


def _probes(found: ConsistencyMeasurements, t: Thresholds) -> Iterator[Part]:
    ceiling = t["rise"]
    by = f"by more than {ceiling:g} standard deviations on average"
    for each in found.probes:
        yield Part(
            at_most(each.shift, ceiling),
            ceiling - each.shift.high,
            f"{each.name} {number(each.shift)} SD",
            f"The probe {each.name} raises the reward {by}.",
            f"The probe {each.name} may raise the reward {by}.",
        )
    if not found.probes:
        says = "All held-out replies have the same reward, so there is no scale for the probes."
        yield Part("UNRESOLVED", 0.0, "probes not measured", says, says)
