"""Rows of a file made to fit a length: what became of each, told once and kept in a run's results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from training.core.run.errors import UserError

__all__ = ["Fitted", "FittedRows", "row_named"]

RowT = TypeVar("RowT")
EncodedT = TypeVar("EncodedT")
WORTH_TELLING = 0.01


@dataclass(frozen=True)
class Fitted:
    """How many of `rows` were cut to `max_length` tokens, dropped as too long, or dropped because nothing
    tells their two sides apart once they are tokens."""

    rows: int
    cut: int
    dropped: int
    alike: int
    max_length: int

    def __add__(self, other: Fitted) -> Fitted:
        return Fitted(
            self.rows + other.rows,
            self.cut + other.cut,
            self.dropped + other.dropped,
            self.alike + other.alike,
            max(self.max_length, other.max_length),
        )

    @property
    def warning(self) -> str:
        """A sentence where more than a hundredth of the rows did not fit or could not be told apart."""
        if self.cut + self.dropped + self.alike <= WORTH_TELLING * self.rows:
            return ""
        alike = (
            f", and {self.alike} dropped whose two sides are the same tokens" if self.alike else ""
        )
        return (
            f"Of {self.rows} rows {self.cut} were cut to max_length ({self.max_length} tokens) and "
            f"{self.dropped} dropped as too long{alike}: raise max_length where memory allows."
        )

    def results(self) -> dict[str, Any]:
        """For the results of a run; `length_warning` only where there is one."""
        counts = {"cut_rows": self.cut, "dropped_rows": self.dropped + self.alike}
        return counts | ({"length_warning": self.warning} if self.warning else {})


@dataclass(frozen=True)
class FittedRows(Generic[EncodedT]):
    """The rows that are left, encoded, and what became of all."""

    encoded: list[EncodedT]
    fitted: Fitted

    @classmethod
    def of(
        cls,
        rows: Sequence[RowT],
        encode: Callable[[RowT], EncodedT | None],
        *,
        name: Callable[[int, RowT], str],
        cut: Callable[[EncodedT], bool],
        alike: Callable[[EncodedT], bool] = lambda encoded: False,
        max_length: int,
    ) -> FittedRows[EncodedT]:
        """Encode every row; None is one that is dropped. `name` is of (number from 1, row), for errors.

        Raises `UserError` for a row that the chat template refuses, and where no row is left.
        """
        found = [
            row_named(name(number, row), encode, row) for number, row in enumerate(rows, start=1)
        ]
        fitting = [encoded for encoded in found if encoded is not None]
        kept = [encoded for encoded in fitting if not alike(encoded)]
        if fitting and not kept:
            raise UserError(
                f"No row is left of {len(rows)}: the two sides of each that fits are the same tokens; give"
                " texts that differ."
            )
        if rows and not kept:
            raise UserError(
                f"No row is left of {len(rows)}: none fits max_length ({max_length} tokens) with its "
                "completion whole; raise max_length."
            )
        dropped, same = len(found) - len(fitting), len(fitting) - len(kept)
        return cls(kept, Fitted(len(rows), sum(map(cut, kept)), dropped, same, max_length))


def row_named(name: str, encode: Callable[[RowT], EncodedT], row: RowT) -> EncodedT:
    """`encode(row)`; an error says which row it is."""
    try:
        return encode(row)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
