"""What the page of a line's signals shows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from annotation import facade as annotation
from evaluation.contracts import Interval, SignalOpinion
from evaluation.statistics.rises import LEAST_RISE
from outerloop.rounds.models import PolicyLine, Round
from outerloop.rounds.signal_opinion import opinion_latest
from outerloop.rounds.signal_watch import SignalWatch, signal_watch
from training import facade as training

PLACES = {
    "new": "not yet; it would train",
    "stored": "among its prompts: {split}",
    "measures": "stays out: it falls on {split}, where nothing is chosen by thumbs",
    "no_prompt": "cannot be a prompt: a message is empty, or the user is not last",
}


@dataclass(frozen=True)
class TroubledRow:
    """`asked` is the last message, `earlier` those before it; `where` in words."""

    conversation: str
    asked: str
    earlier: tuple[Mapping[str, Any], ...]
    thumbs: annotation.ThumbShare
    addable: bool
    where: str


@dataclass(frozen=True)
class EvidenceBar:
    """The evidence and what is needed, both as powers of ten."""

    point: float
    threshold: float
    maximum: float
    meaning: str
    says: str


@dataclass(frozen=True)
class WatchShown:
    """`rates`: (version, its share of users with mostly thumbs down); `gap` and `least`, the rise that is no
    alarm, in percentage points."""

    rates: tuple[tuple[str, Interval], ...]
    bar: EvidenceBar
    gap: str
    least: str


@dataclass(frozen=True)
class OpinionShown:
    """Of round `number`; `rows`: (what, of the head, of people's reward model; None: too few)."""

    number: int
    found: SignalOpinion
    rows: tuple[tuple[str, Interval | None, Interval | None], ...]
    largest_share: str


def signals_context(line: PolicyLine) -> dict[str, Any]:
    signals = annotation.line_signals(line_id=line.id)
    prompts = [_troubled_row(each) for each in annotation.troubled_prompts(line_id=line.id)]
    ids = {v.version_id for v in signals.versions} | {w.version_id for w in signals.written}
    names = training.model_version_names(ids)
    watch = signal_watch(line.id)
    latest = opinion_latest(line)
    return {
        "line": line,
        "signals": signals,
        "versions": [(names[v.version_id], v) for v in signals.versions],
        "written": [(names[w.version_id], w) for w in signals.written],
        "prompts": prompts,
        "addable": any(each.addable for each in prompts),
        "watch": watch,
        "shown": _watch_shown(watch) if watch else None,
        "opinion_on": annotation.signal_opinion_on(line.id),
        "opinion": _opinion_shown(*latest) if latest else None,
    }


def _troubled_row(found: annotation.TroubledPrompt) -> TroubledRow:
    *earlier, last = found.messages
    return TroubledRow(
        found.conversation,
        last["content"],
        tuple(earlier),
        found.thumbs,
        found.place == "new",
        PLACES[found.place].format(split=found.split),
    )


def _opinion_shown(round_: Round, found: SignalOpinion) -> OpinionShown:
    figures = (
        (
            "Edits and second tries ordered as the user did",
            found.pairs_right,
            found.pairs_right_people,
        ),
        ("A thumb up scored above a thumb down", found.thumbs_told, found.thumbs_told_people),
        (
            "Judged pairs ordered as people's labels do",
            found.labels_right,
            found.labels_right_people,
        ),
        ("Judged pairs ordered as the other of the two does", found.agreement, found.agreement),
    )
    rows = [(what, mine, theirs) for what, mine, theirs in figures if mine or theirs]
    return OpinionShown(round_.number, found, tuple(rows), f"{found.largest_share:.1%}")


def _watch_shown(watch: SignalWatch) -> WatchShown | None:
    rise = watch.rise
    if rise is None:
        return None
    gap = rise.difference
    return WatchShown(
        ((watch.deployed_name, rise.after), (watch.earlier_name, rise.before)),
        _bar(rise.evidence, watch.bar, raised=watch.raised_at is not None),
        f"{100 * gap.estimate:+.0f} ({100 * gap.low:+.0f} to {100 * gap.high:+.0f})",
        f"{100 * LEAST_RISE:g}",
    )


def _bar(evidence: float, needed: int, *, raised: bool) -> EvidenceBar:
    reached, asked = math.log10(max(evidence, 1.0)), math.log10(needed)
    return EvidenceBar(
        reached,
        asked,
        max(reached, 1.5 * asked),
        "attention" if raised else "neutral",
        f"Evidence {_plain(evidence)} ({needed} needed)",
    )


def _plain(evidence: float) -> str:
    return "over a million" if evidence >= 1e6 else f"{evidence:,.{0 if evidence >= 10 else 1}f}"
