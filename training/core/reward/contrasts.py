"""Pairs that nobody judged, because nobody has to: an answer to this prompt against one to another.

RRM (Liu 2024, arXiv 2409.13156, section 3.3) adds them so that a reward model cannot live on what is good in
every context, such as length or a tone: where both answers belong to another prompt, they are a tie.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from transformers import PreTrainedTokenizerBase

from annotation.rows import PreferenceRow
from training.contracts import Truncation
from training.core.data.pairs import EncodedPair, pair_encode
from training.core.data.randomness import derive_seed

__all__ = ["cross_prompt_pairs", "cross_prompt_rows"]

BETTER, EVEN = 2.0, 4.0
"""Steps of the scale 1..7 on which completion 0 is better, and as good."""


def cross_prompt_rows(
    rows: Sequence[PreferenceRow], *, share: float, seed: int
) -> list[PreferenceRow]:
    """`share` x len(rows) new rows, drawn from `seed`; as far as there are two groups among `rows`.

    With y the better and z the worse answer of a judged pair, and y', z' those of one of another group, in
    turn: y before y', z before y', and y' as good as z', all to the prompt of y and z.
    """
    judged = [row for row in rows if not row.tie and row.weight > 0]
    if len({row.group for row in judged}) < 2:
        return []
    draw = random.Random(derive_seed(seed, "cross-prompt pairs"))
    made = list[PreferenceRow]()
    for number in range(round(share * len(rows))):
        own = draw.choice(judged)
        other = draw.choice(judged)
        while other.group == own.group:
            other = draw.choice(judged)
        (better, worse), (foreign, foreign_worse) = _sorted(own), _sorted(other)
        texts = ((better, foreign), (worse, foreign), (foreign, foreign_worse))[number % 3]
        tie = number % 3 == 2
        made.append(
            replace(
                own,
                id=f"{own.id} x {other.id} {number}",
                completions=texts,
                preference=0.5 if tie else 1.0,
                strength=EVEN if tie else BETTER,
                part=None,
            )
        )
    return made


def _sorted(row: PreferenceRow) -> tuple[str, str]:
    """The better completion first."""
    first, second = row.completions
    return (first, second) if row.preference > 0.5 else (second, first)


def cross_prompt_pairs(
    pairs: Sequence[EncodedPair],
    tokenizer: PreTrainedTokenizerBase,
    *,
    share: float,
    max_length: int,
    truncation: Truncation,
    seed: int,
) -> list[EncodedPair]:
    """`cross_prompt_rows` of the rows of `pairs`, encoded; without those that `truncation` drops."""
    rows = cross_prompt_rows([pair.row for pair in pairs], share=share, seed=seed)
    encoded = (pair_encode(tokenizer, row, max_length, truncation) for row in rows)
    return [pair for pair in encoded if pair is not None]
