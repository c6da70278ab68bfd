"""Samples side by side: what the numbers look like as text."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.contracts import RoundRecord, SamplePair, SampleSide
from evaluation.formatting import count

TITLES = {
    "best_win": "The best win",
    "worst_loss": "The worst loss",
    "largest_gap": "The largest gap between the two reward models",
    "ordinary": "An ordinary pair",
}
MORE = {
    "best_win": "A further win",
    "worst_loss": "A further loss",
    "largest_gap": "A further gap between the two reward models",
    "ordinary": "A further ordinary pair",
}
ORDER = tuple(TITLES)
LONGEST = 20_000


@dataclass(frozen=True)
class Reply:
    name: str
    text: str
    facts: str


@dataclass(frozen=True)
class Sample:
    """One prompt with both replies; `note` says what the reward models and the labels made of it."""

    title: str
    prompt_id: str
    turns: tuple[tuple[str, str], ...]
    sides: tuple[Reply, Reply]
    note: str


def samples(record: RoundRecord) -> tuple[tuple[Sample, ...], int]:
    """All pairs, the first of every kind before the rest, and how many of them come first."""
    first: dict[str, SamplePair] = {}
    for pair in record.samples:
        first.setdefault(pair.kind, pair)
    shown = [first[kind] for kind in ORDER if kind in first]
    rest = [pair for kind in ORDER for pair in record.samples if pair.kind == kind]
    ordered = shown + [pair for pair in rest if pair is not first[pair.kind]]
    made = tuple(
        _sample(pair, TITLES[pair.kind] if place < len(shown) else MORE[pair.kind], record)
        for place, pair in enumerate(ordered)
    )
    return made, len(shown)


def _sample(pair: SamplePair, title: str, record: RoundRecord) -> Sample:
    return Sample(
        title=title,
        prompt_id=pair.prompt_id,
        turns=tuple(
            (m.get("role", "").capitalize(), _cut(m.get("content", ""))) for m in pair.messages
        ),
        sides=(_side("Candidate", pair.candidate), _side("Incumbent", pair.incumbent)),
        note=_note(pair, simulated=record.simulated),
    )


def _side(name: str, side: SampleSide) -> Reply:
    facts = f"training {side.train_score:+.2f} z, held-out {side.held_out_score:+.2f} z, "
    facts += count(side.tokens, "token")
    if side.kl is not None:
        facts += f", KL {side.kl:.1f} nats"
    return Reply(name, _cut(side.text), facts)


def _cut(text: str) -> str:
    """A text that a person could read; a megabyte would keep the browser busy for nothing."""
    rest = len(text) - LONGEST
    if rest <= 0:
        return text
    return (
        f"{text[:LONGEST]}\n… and {rest:,} more characters; the report as JSON has the whole text."
    )


def _note(pair: SamplePair, *, simulated: bool) -> str:
    train = pair.candidate.train_score - pair.incumbent.train_score
    held = pair.candidate.held_out_score - pair.incumbent.held_out_score
    note = f"Candidate minus incumbent: training {train:+.2f} z, held-out {held:+.2f} z."
    if pair.human_preference is not None:
        note += f" {'Simulated annotators' if simulated else 'People'} {_chosen(pair.human_preference)}."
    return note


def _chosen(preference: float) -> str:
    words = {1.0: "chose the candidate", 0.0: "chose the incumbent", 0.5: "found them equal"}
    return words.get(preference, f"chose the candidate in {preference:.0%}")
