"""Words of a command line as numbers, refused in one sentence where they cannot be meant."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """For `add_argument(type=...)`: a whole number from `least` to `most`."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise ArgumentTypeError(f"{text!r} is no whole number from {least:,} to {most:,}.")
        return number

    return read


port = whole_number(1, 65_535)
