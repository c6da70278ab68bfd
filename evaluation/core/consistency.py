"""Whether a reward model reads its prompts, keeps its order when pairs are reworded, and can be bought.

First all texts are written down, each once (`consistency_ask`); whoever has scores of them gets the figures
(`consistency_figures`). "Contrast" and "prompt swap" are response and instruction consistency of Shen et al.
2023 (arXiv 2309.16155), with word overlap in place of their sentence embeddings.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from annotation.rows import PreferenceRow
from evaluation.contracts import (
    ConsistencyMeasurements,
    Interval,
    ProbeEffect,
    RewordingFlips,
)
from evaluation.probes import PROBES, REWORDINGS, Rewording
from evaluation.statistics.intervals import (
    FloatArray,
    cluster_mean_interval,
    cluster_share_interval,
)

__all__ = ["ConsistencyAsked", "consistency_ask", "consistency_figures"]

Messages = tuple[dict[str, str], ...]
Compared = list[tuple[int, int, str]]
"""(row, row, prompt group): two texts, by their rows among the scores, that are held against each other."""
Twice = list[tuple[int, int, int, int, str]]
"""(row, row, row, row, prompt group): the first against the second, and the third against the fourth."""

PROMPTS_ALIKE = 0.5  # cosine above which two prompts may ask one and the same thing
REPLIES_ALIKE = 0.5  # share of common words above which two replies may say the same
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class _Pair:
    """A pair that people told apart."""

    messages: Messages
    better: str
    worse: str
    group: str


@dataclass
class ConsistencyAsked:
    """What is to be scored: `texts`, each once, and who is held against whom.

    `replies` are the rows of the replies as they were written; `probes` and `rewordings` are by name.
    """

    split: str
    pairs: int = 0
    texts: list[tuple[Messages, str]] = field(default_factory=list)
    replies: list[int] = field(default_factory=list)
    swaps: Compared = field(default_factory=list)
    contrasts: Twice = field(default_factory=list)
    rewordings: dict[str, Twice] = field(default_factory=dict)
    probes: dict[str, Compared] = field(default_factory=dict)


def consistency_ask(
    rows: Sequence[PreferenceRow], *, split: str, pairs: int, seed: int
) -> ConsistencyAsked | None:
    """The texts that `pairs` of the untied pairs of `rows`, drawn by `seed`, are to be asked about.

    Votes on the same two replies are one pair, decided by their mean. None under two prompt groups.
    """
    draw = random.Random(f"consistency {seed}")
    told_apart = _pairs(rows)
    chosen = draw.sample(told_apart, min(pairs, len(told_apart)))
    if len({pair.group for pair in chosen}) < 2:
        return None
    asked, row = ConsistencyAsked(split, len(chosen)), _Rows()
    nearest = _contrasts(chosen)
    for number, pair in enumerate(chosen):
        better = row(pair.messages, pair.better)
        other = draw.choice(chosen)
        while other.group == pair.group:
            other = draw.choice(chosen)
        asked.swaps.append((better, row(other.messages, pair.better), pair.group))
        if number in nearest:
            asked.contrasts.append(_contrast(row, pair, chosen[nearest[number]]))
        for rewording in REWORDINGS:
            _reword(asked, row, pair, rewording)
        for reply in dict.fromkeys((pair.better, pair.worse)):
            _probe(asked, row, pair, reply)
    asked.texts.extend(row.texts)
    return asked


def consistency_figures(
    asked: ConsistencyAsked, scores: FloatArray, *, cut: int = 0, level: float = 0.95
) -> ConsistencyMeasurements:
    """What `scores` [texts] of one reward model show; intervals are clustered by prompt group.

    The change by a probe is in standard deviations of `scores` over the replies as they were written,
    which are taken as known.
    """
    spread = float(scores[asked.replies].std())
    swap = _ahead(asked.swaps, scores, level)
    assert swap is not None  # pairs of two groups were asked about
    return ConsistencyMeasurements(
        split=asked.split,
        pairs=asked.pairs,
        spread=spread,
        prompt_swap=swap,
        contrast=_both_ahead(asked.contrasts, scores, level),
        rewordings=tuple(_flips(asked.rewordings, scores, level)),
        probes=tuple(_effects(asked.probes, scores, spread, level)) if spread > 0 else (),
        texts=len(asked.texts),
        cut=cut,
    )


class _Rows:
    """The number of each text, given when it is first asked for."""

    def __init__(self) -> None:
        self.texts: list[tuple[Messages, str]] = []
        self._known: dict[tuple[str, str], int] = {}

    def __call__(self, messages: Messages, reply: str) -> int:
        key = (repr(messages), reply)
        if key not in self._known:
            self._known[key] = len(self.texts)
            self.texts.append((messages, reply))
        return self._known[key]


def _pairs(rows: Sequence[PreferenceRow]) -> list[_Pair]:
    votes: dict[tuple[str, tuple[str, ...]], list[PreferenceRow]] = {}
    for row in rows:
        votes.setdefault((repr(row.messages), row.completions), []).append(row)
    return [pair for same in votes.values() if (pair := _pair(same))]


def _pair(votes: Sequence[PreferenceRow]) -> _Pair | None:
    """None where the votes are even, or the two replies are one text."""
    preference = sum(row.preference for row in votes) / len(votes)
    first, second = votes[0].completions
    if preference == 0.5 or first == second:
        return None
    better, worse = (first, second) if preference > 0.5 else (second, first)
    return _Pair(votes[0].messages, better, worse, votes[0].group)


def _contrast(row: _Rows, pair: _Pair, other: _Pair) -> tuple[int, int, int, int, str]:
    """Under either prompt its own better reply against that to the other: whoever reads no prompt is
    right once of twice, whichever reply is the better written."""
    return (
        row(pair.messages, pair.better),
        row(pair.messages, other.better),
        row(other.messages, other.better),
        row(other.messages, pair.better),
        pair.group,
    )


def _reword(asked: ConsistencyAsked, row: _Rows, pair: _Pair, rewording: Rewording) -> None:
    messages, replies = pair.messages, (pair.better, pair.worse)
    if rewording.prompt is not None:
        messages = _prompt_changed(messages, rewording)
    if rewording.reply is not None:
        replies = (rewording.reply(pair.better), rewording.reply(pair.worse))
    if messages == pair.messages and replies == (pair.better, pair.worse):
        return
    before = (row(pair.messages, pair.better), row(pair.messages, pair.worse))
    after = (row(messages, replies[0]), row(messages, replies[1]))
    asked.rewordings.setdefault(rewording.name, []).append((*before, *after, pair.group))


def _prompt_changed(messages: Messages, rewording: Rewording) -> Messages:
    """The last message of the user is reworded; a conversation without one stays."""
    assert rewording.prompt is not None
    for place in range(len(messages) - 1, -1, -1):
        said = messages[place]
        if said["role"] == "user":
            changed = {**said, "content": rewording.prompt(said["content"])}
            return (*messages[:place], changed, *messages[place + 1 :])
    return messages


def _probe(asked: ConsistencyAsked, row: _Rows, pair: _Pair, reply: str) -> None:
    written = row(pair.messages, reply)
    asked.replies.append(written)
    for probe in PROBES:
        changed = probe.change(reply)
        if changed != reply:
            found = (row(pair.messages, changed), written, pair.group)
            asked.probes.setdefault(probe.name, []).append(found)


def _contrasts(pairs: Sequence[_Pair]) -> dict[int, int]:
    """Pair -> the pair of another group whose prompt is most alike, where it asks for another reply.

    Alike is the cosine of the prompts' words, rare ones weighing more (log inverse frequency). Prompts
    more alike than `PROMPTS_ALIKE` are passed over, since they may ask the same thing, and so are those whose
    better reply shares over `REPLIES_ALIKE` of the words. Of equally alike ones the next in order counts.
    """
    prompts = [_words(" ".join(m["content"] for m in pair.messages)) for pair in pairs]
    replies = [_words(pair.better) for pair in pairs]
    seen = Counter(word for words in prompts for word in words)
    weight = {word: (math.log(len(pairs) / n) + 1) ** 2 for word, n in seen.items()}
    length = [math.sqrt(sum(weight[word] for word in words)) or 1.0 for words in prompts]
    found = {}
    for i, own in enumerate(pairs):
        best = (-1.0, i)
        for j in (*range(i + 1, len(pairs)), *range(i)):
            if pairs[j].group == own.group:
                continue
            common = sum(weight[word] for word in prompts[i] & prompts[j])
            alike = common / (length[i] * length[j])
            if best[0] < alike <= PROMPTS_ALIKE and not _say_the_same(replies[i], replies[j]):
                best = (alike, j)
        if best[1] != i:
            found[i] = best[1]
    return found


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower()))


def _say_the_same(first: frozenset[str], second: frozenset[str]) -> bool:
    either = first | second
    return not either or len(first & second) > REPLIES_ALIKE * len(either)


# ----------------------------------------------------------------------------- figures


def _ahead(compared: Compared, scores: FloatArray, level: float) -> Interval | None:
    """How often the first text scores above the second; None under two groups."""
    if not _enough([group for *_, group in compared]):
        return None
    first, second, groups = (list(column) for column in zip(*compared, strict=True))
    credit = (np.sign(scores[first] - scores[second]) + 1) / 2
    return cluster_share_interval(credit, groups, level=level)


def _both_ahead(compared: Twice, scores: FloatArray, level: float) -> Interval | None:
    """The same of two comparisons each, whose mean is one value."""
    if not _enough([group for *_, group in compared]):
        return None
    *rows, groups = (list(column) for column in zip(*compared, strict=True))
    own, foreign, theirs, ours = (scores[column] for column in rows)
    credit = (np.sign(own - foreign) + np.sign(theirs - ours) + 2) / 4
    return cluster_share_interval(credit, groups, level=level)


def _flips(
    rewordings: Mapping[str, Twice], scores: FloatArray, level: float
) -> Iterator[RewordingFlips]:
    """0 where the order of a pair stays, 1 where it turns, 1/2 where a difference comes or goes."""
    for name in (each.name for each in REWORDINGS):
        turned = rewordings.get(name, [])
        if not _enough([group for *_, group in turned]):
            continue
        better, worse, better_after, worse_after, groups = (
            list(column) for column in zip(*turned, strict=True)
        )
        before = np.sign(scores[better] - scores[worse])
        after = np.sign(scores[better_after] - scores[worse_after])
        flipped = cluster_share_interval(abs(before - after) / 2, groups, level=level)
        yield RewordingFlips(name, len(turned), flipped)


def _effects(
    probes: Mapping[str, Compared], scores: FloatArray, spread: float, level: float
) -> Iterator[ProbeEffect]:
    for name in (each.name for each in PROBES):
        compared = probes.get(name, [])
        if not _enough([group for *_, group in compared]):
            continue
        changed, written, groups = (list(column) for column in zip(*compared, strict=True))
        gain = scores[changed] - scores[written]
        yield ProbeEffect(
            name,
            len(compared),
            cluster_share_interval((gain > 0).astype(np.float64), groups, level=level),
            cluster_mean_interval(gain / spread, groups, level=level),
        )


def _enough(groups: Sequence[str]) -> bool:
    return len(set(groups)) > 1
