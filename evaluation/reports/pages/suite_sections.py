"""The sections Safety and Capability: what both policies did on the suites, and the manners of their replies."""

from __future__ import annotations

from dataclasses import dataclass, replace

from evaluation.contracts import PolicyMeasurements, RateName, RoundRecord, SuiteRate
from evaluation.formatting import count, number, points, share
from evaluation.reports.pages.parts import Row, Table
from evaluation.safety.refusal import FALSE_POSITIVES, MANNERS, RECALL, WORST_RECALL

DETECTOR = (
    "Refusals are read by phrases, not by people. On completions of three models, each read without the "
    f"phrases learned from it, the reader finds {RECALL:.0%} of what people call a full refusal "
    f"({WORST_RECALL:.0%} on the model that refuses by lecturing) and takes "
    f"{FALSE_POSITIVES:.0%} of what they call an answer for one. What it misses counts as an answer, on "
    "both sides alike."
)
RATES: dict[RateName, str] = {
    "benign_refusal": "Refused, of what should be answered",
    "unsafe_compliance": "Answered, of what should be refused",
    "accuracy": "Right",
}
WORSE: dict[RateName, str] = {
    "benign_refusal": "Refused by the candidate, answered by the incumbent",
    "unsafe_compliance": "Answered by the candidate, refused by the incumbent",
    "accuracy": "Right by the incumbent, wrong by the candidate",
}
SIDES = ("candidate", "incumbent")


@dataclass(frozen=True)
class Example:
    """One item on which the candidate did worse: `title` says how, `sides` are names and replies."""

    title: str
    prompt: str
    sides: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class SuiteSection:
    """`folded` tables and `examples` open on demand; without tables `says` is all there is. `head` stands
    before the tables.

    Rows say how many items and replies to each stand behind a rate.
    """

    says: str
    tables: tuple[Table, ...] = ()
    folded: tuple[Table, ...] = ()
    examples: tuple[Example, ...] = ()
    head: str = ""


def safety_section(record: RoundRecord) -> SuiteSection:
    policy = record.policy
    if policy is None:
        return SuiteSection("The policy has not been evaluated, so nothing is known of its safety.")
    rates = policy.rates("benign_refusal", "unsafe_compliance")
    rows = tuple(_rate_row(rate) for rate in rates)
    table = Table("Safety suites, paired by prompt.", (*SIDES, "difference"), rows)
    watched = DETECTOR
    if not rates:
        watched = f"No safety suite is attached: safety was not watched. {DETECTOR}"
    manners = _manners_table(policy)
    return _section(watched, rates, table, (manners,) if manners else ())


def capability_section(record: RoundRecord) -> SuiteSection:
    policy = record.policy
    if policy is None:
        return SuiteSection(
            "The policy has not been evaluated, so nothing is known of what it can do."
        )
    rates = policy.rates("accuracy")
    if not rates:
        return SuiteSection("No capability suite is attached: capability was not watched.")
    rows = tuple(
        replace(row, cells=(*row.cells, f"{rate.chance:.0%}"))
        for rate in rates
        for row in (_rate_row(rate),)
    )
    table = Table("Capability suites, paired by item.", (*SIDES, "difference", "by guessing"), rows)
    says = "The same items for both policies. A suite on which the incumbent guesses says nothing."
    return _section(says, rates, table, ())


def _section(
    says: str, rates: list[SuiteRate], table: Table, folded: tuple[Table, ...]
) -> SuiteSection:
    by_type = tuple(found for rate in rates if (found := _types_table(rate)))
    return SuiteSection(
        says,
        (table,) if rates else (),
        (*by_type, *folded),
        tuple(example for rate in rates for example in _examples(rate)),
    )


def _rate_row(rate: SuiteRate) -> Row:
    replies = "1 reply" if rate.draws == 1 else f"{rate.draws} replies"
    asked = count(rate.items, "item") + (f", {replies} to each" if rate.draws else "")
    return Row(
        f"{RATES[rate.rate]} ({rate.suite}, {asked})",
        (share(rate.candidate), share(rate.incumbent), points(rate.difference)),
    )


def _types_table(rate: SuiteRate) -> Table | None:
    if not rate.types:
        return None
    rows = tuple(
        Row(t.type.replace("_", " "), (f"{t.items:,}", f"{t.candidate:.0%}", f"{t.incumbent:.0%}"))
        for t in rate.types
    )
    return Table(f"{RATES[rate.rate]}, by type: {rate.suite}", ("items", *SIDES), rows)


def _manners_table(policy: PolicyMeasurements) -> Table | None:
    """Refusal, apology, hedging, repetition and length on the evaluation prompts; older records lack it."""
    sides = [policy.sides[name] for name in SIDES if name in policy.sides]
    if len(sides) < len(SIDES) or not all(side.manners for side in sides):
        return None
    rows = tuple(
        Row(
            name.capitalize(),
            tuple(
                number(side.manners[name], digits=1)
                if name == "words"
                else share(side.manners[name])
                for side in sides
            ),
        )
        for name in MANNERS
    )
    return Table("Manners of the replies to the evaluation prompts.", SIDES, rows)


def _examples(rate: SuiteRate) -> tuple[Example, ...]:
    return tuple(
        Example(
            WORSE[rate.rate], e.prompt, (("Candidate", e.candidate), ("Incumbent", e.incumbent))
        )
        for e in rate.examples
    )
