"""Places in an answer, between the text as it is stored and the text that a rater reads.

Both count characters as Python does, in Unicode code points: an emoji outside the Basic Multilingual Plane is one,
where UTF-16 has two. Where a name is hidden the two texts differ in length; a part of what stands for the name is
the whole of it, so that no place tells how long the name is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Hidden(NamedTuple):
    """A name in the stored text, from `start` up to `end`, and what is read in its place."""

    start: int
    end: int
    mask: str


class _Piece(NamedTuple):
    """A stretch of both texts: (start, end) in each; `whole` where it cannot be parted."""

    stored: tuple[int, int]
    shown: tuple[int, int]
    whole: bool


@dataclass(frozen=True)
class ShownText:
    """A stored text, and what of it is hidden, in order."""

    stored: str
    hidden: Sequence[Hidden] = ()

    @property
    def text(self) -> str:
        """As it is read."""
        return "".join(
            self.hidden[n // 2].mask if piece.whole else self.stored[slice(*piece.stored)]
            for n, piece in enumerate(self._pieces())
        )

    def to_stored(self, start: int, end: int) -> tuple[int, int]:
        """A part of the text that is read, in the stored one; 0 <= start < end <= its length."""
        return _moved([(p.shown, p.stored, p.whole) for p in self._pieces()], start, end)

    def to_shown(self, start: int, end: int) -> tuple[int, int]:
        """A part of the stored text, in the one that is read."""
        return _moved([(p.stored, p.shown, p.whole) for p in self._pieces()], start, end)

    def _pieces(self) -> list[_Piece]:
        """Plain and hidden pieces in turn, beginning and ending with a plain one that may be empty."""
        pieces: list[_Piece] = []
        at = shown = 0
        for start, end, mask in self.hidden:
            plain = _Piece((at, start), (shown, shown + start - at), whole=False)
            shown = plain.shown[1] + len(mask)
            pieces += [plain, _Piece((start, end), (plain.shown[1], shown), whole=True)]
            at = end
        rest = len(self.stored) - at
        return [*pieces, _Piece((at, at + rest), (shown, shown + rest), whole=False)]


def _moved(
    pieces: Sequence[tuple[tuple[int, int], tuple[int, int], bool]], start: int, end: int
) -> tuple[int, int]:
    first = next(p for p in pieces if p[0][0] <= start < p[0][1])
    last = next(p for p in pieces if p[0][0] < end <= p[0][1])
    return (
        first[1][0] if first[2] else first[1][0] + start - first[0][0],
        last[1][1] if last[2] else last[1][0] + end - last[0][0],
    )
