"""JSON lines: one object on each line.

Whatever the file, memory stays within two lines of the longest that is taken: a longer one is skipped
piece by piece.
"""

from __future__ import annotations

from collections.abc import Iterator

from .limits import MIB, longest_row, too_long
from .packed import Unpacked
from .rows import DECODER, UTF8_MARK, FieldTwice, SourceRow

PIECE = MIB


def line_rows(source: Unpacked) -> Iterator[SourceRow]:
    """Rows of the lines that are not blank."""
    longest = longest_row()
    for number, content in lines_of(source, longest):
        if content.strip():
            yield line_row(number, content, source.position(), longest)


def lines_of(source: Unpacked, longest: int) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers; of one that is too long only its beginning."""
    number = 0
    while content := source.readline(longest + 1):
        number += 1
        piece = content
        while len(content) > longest and piece and not piece.endswith(b"\n"):
            piece = source.readline(PIECE)  # dropped: only that it was too long is kept
        yield number, content.removeprefix(UTF8_MARK) if number == 1 else content


def line_row(number: int, content: bytes, end: int, longest: int) -> SourceRow:
    if len(content) > longest:
        return SourceRow(number, end, None, too_long(), content)
    try:
        value = DECODER.decode(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        problem = f"The line is not UTF-8 (byte {error.start + 1})."
    except ValueError as error:
        problem = f"The line is not JSON: {error}."
    except RecursionError:
        problem = "The line is JSON nested too deeply."
    except FieldTwice as error:
        problem = str(error)
    else:
        if isinstance(value, dict):
            return SourceRow(number, end, value, content=content)
        problem = f"The line is JSON, but a {type(value).__name__} and not an object."
    return SourceRow(number, end, None, problem, content)
