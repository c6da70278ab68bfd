"""How much a file may hold, so that none of them fills memory or disk."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from annotation.exchange.records import ImportFailed

MIB = 1024 * 1024
# Text in JSON packs 3 to 30 times, the same row over and over a few hundred; DEFLATE ends at 1,032.
MOST_UNPACKED, UNPACKED_FREELY = 500, 64 * MIB


def longest_row() -> int:
    return int(settings.IMPORT_LINE_MB * MIB)


def too_long() -> str:
    return (
        f"The line is longer than {settings.IMPORT_LINE_MB} MiB; shorten its texts or raise"
        " OUTERLOOP_IMPORT_LINE_MB."
    )


def size_checked(path: Path, size: int, *, packed: int) -> None:
    """`packed`: bytes of the packed file that gave `size` bytes so far; 0 for a plain file."""
    if size > settings.IMPORT_FILE_MB * MIB:
        unpacked = " once unpacked" if packed else ""
        raise ImportFailed(
            f"{path.name} is larger than {settings.IMPORT_FILE_MB:,} MiB{unpacked}. Split it, or raise"
            " OUTERLOOP_IMPORT_FILE_MB."
        )
    if packed and size > max(UNPACKED_FREELY, MOST_UNPACKED * packed):
        raise ImportFailed(
            f"{path.name} unpacks to more than {MOST_UNPACKED} times its size, as no text does: it is a"
            " zip bomb or damaged. Unpack it yourself, look at it, and import the plain file."
        )
