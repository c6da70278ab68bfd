"""Samples side by side: what the numbers look like as text."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.contracts import RoundRecord, SamplePair, SampleSide

TITLES = {
    "best_win": "The best win",
    "worst_loss": "The worst loss",
    "largest_gap": "The largest gap between the two reward models",
    "ordinary": "An ordinary pair",
}
ORDER = tuple(TITLES)


@dataclass(frozen=True)
class Side:
    name: str
    text: str
    facts: str


@dataclass(frozen=True)
class Sample:
    """One prompt with both replies; `note` says what the reward models and the labels made of it."""

    title: str
    prompt_id: str
    turns: tuple[tuple[str, str], ...]
    sides: tuple[Side, Side]
    note: str


def samples(record: RoundRecord) -> tuple[Sample, ...]:
    pairs = sorted(record.samples, key=lambda pair: ORDER.index(pair.kind))
    return tuple(_sample(pair, simulated=record.simulated) for pair in pairs)


def _sample(pair: SamplePair, *, simulated: bool) -> Sample:
    return Sample(
        title=TITLES[pair.kind],
        prompt_id=pair.prompt_id,
        turns=tuple((m.get("role", ""), m.get("content", "")) for m in pair.messages),
        sides=(_side("Candidate", pair.candidate), _side("Incumbent", pair.incumbent)),
        note=_note(pair, simulated=simulated),
    )


def _side(name: str, side: SampleSide) -> Side:
    facts = f"training {side.train_score:+.2f} z, held-out {side.held_out_score:+.2f} z, "
    facts += f"{side.tokens} tokens"
    if side.kl is not None:
        facts += f", KL {side.kl:.1f} nats"
    return Side(name, side.text, facts)


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
