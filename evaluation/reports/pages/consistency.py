"""The section on consistency: whether the reward model reads its prompts, keeps its order, and can be bought."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from evaluation.contracts import (
    ConsistencyMeasurements,
    ProbeEffect,
    RewordingFlips,
    RoundRecord,
)
from evaluation.formatting import NOT_MEASURED, count, number, plain, share
from evaluation.probes import PROBES, REWORDINGS
from evaluation.reports.pages.parts import Row, Table
from evaluation.reports.pages.suite_sections import SuiteSection

MODELS = {"reward_model": "reward model", "held_out_reward_model": "held-out model"}
READING = (
    "A model that reads no prompt gets 50% in the first table. What is written into texts is English. Where "
    "refusing is right, a refusal may rightly raise the reward."
)

CHANGES = {each.name: each.says for each in (*REWORDINGS, *PROBES)}

Measured = dict[str, ConsistencyMeasurements]
Named = TypeVar("Named", RewordingFlips, ProbeEffect)


def consistency_section(record: RoundRecord) -> SuiteSection:
    if record.reward_model is None:
        return SuiteSection("The reward model has not been evaluated, so nothing is known of it.")
    by_model = record.reward_model.consistency
    measured = {side: by_model[side] for side in MODELS if side in by_model}
    if not measured:
        return SuiteSection(
            "Not measured: an earlier release measured this round, its plan asked for none"
            " (consistency_pairs 0), or held-out pairs of two prompt groups were wanting."
        )
    return SuiteSection(_says(measured), tuple(_tables(measured)))


def _says(measured: Measured) -> str:
    first = next(iter(measured.values()))
    drawn = f"Measured on {count(first.pairs, 'pair')} of the split {first.split} that people told apart."
    cuts = [
        f"{found.cut:,} of {count(found.texts, 'text')} were cut to what the {MODELS[side]} reads: of these"
        " a change at the end may not have been seen."
        for side, found in measured.items()
        if found.cut
    ]
    spreads = " and ".join(
        f"{plain(found.spread)} for the {MODELS[side]}" for side, found in measured.items()
    )
    scale = f"A standard deviation, over the held-out replies, is {spreads}, in points of the raw score."
    return " ".join((drawn, READING, scale, *cuts))


def _tables(measured: Measured) -> Iterator[Table]:
    names = tuple(MODELS[side] for side in measured)
    yield Table(
        "Does it read the prompt? How often a reply comes first under its own prompt.",
        names,
        _prompt_rows(measured),
    )
    flips = {side: {each.name: each for each in m.rewordings} for side, m in measured.items()}
    effects = {side: {each.name: each for each in m.probes} for side, m in measured.items()}
    asked = (
        (
            "Does it keep its order? Share of reworded pairs that change it; pairs in brackets.",
            _rows(flips, lambda each: share(each.flipped), lambda each: f" ({each.pairs:,})"),
        ),
        (
            "Can it be bought? Mean change of the reward of held-out replies, in standard deviations.",
            _rows(effects, lambda each: number(each.shift), lambda each: ""),
        ),
        (
            "Held-out replies whose reward rises.",
            _rows(effects, lambda each: share(each.raised)),
        ),
    )
    yield from (Table(caption, names, rows) for caption, rows in asked if rows)


def _prompt_rows(measured: Measured) -> tuple[Row, ...]:
    return (
        Row(
            "Against itself under another prompt",
            tuple(share(found.prompt_swap) for found in measured.values()),
        ),
        Row(
            "Against the reply to the most alike other prompt",
            tuple(share(found.contrast) for found in measured.values()),
        ),
    )


def _rows(
    by_model: Mapping[str, Mapping[str, Named]],
    cell: Callable[[Named], str],
    counted: Callable[[Named], str] | None = None,
) -> tuple[Row, ...]:
    """A row for each change that was made; with `counted` what it is stands in its name."""
    every = {name: each for found in by_model.values() for name, each in found.items()}
    return tuple(
        Row(
            name.capitalize() + (counted(each) + _says_what(name) if counted else ""),
            tuple(
                cell(found[name]) if name in found else NOT_MEASURED for found in by_model.values()
            ),
        )
        for name, each in every.items()
    )


def _says_what(name: str) -> str:
    """What is done to the text; nothing for a change that only another release makes."""
    return f": {CHANGES[name]}" if name in CHANGES else ""
