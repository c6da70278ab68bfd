"""Packed and plain files as one stream of bytes, measured while it is read."""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from annotation.exchange.records import ImportFailed

from .limits import size_checked

BEGINNING = 64 * 1024
# A piece of 1 KiB unpacks to 32 MiB at the very worst, so that no frame can fill memory.
PIECE = 1024
WINDOW, MEMORY = 2**27, 2**28
_BROKEN = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zstandard.ZstdError)


class Unpacked:
    """The bytes of a file, unpacked. `position` tells how many bytes as stored have been read."""

    def __init__(self, pieces: Iterator[bytes], position: Callable[[], int]) -> None:
        self._pieces, self.position = pieces, position
        self._held, self._at = b"", 0

    def read(self, size: int) -> bytes:
        """At most `size` bytes; fewer, or none, only at the end."""
        while len(self._held) - self._at < size and self._more():
            pass
        return self._taken(self._at + size)

    def readline(self, most: int) -> bytes:
        """Up to the end of the line, or `most` bytes of it; none at the end."""
        looked = self._at
        while True:
            end = self._held.find(b"\n", looked)
            if end >= 0 or len(self._held) - self._at >= most:
                break
            looked = len(self._held) - self._at
            if not self._more():
                break
        return self._taken(min(end + 1 or len(self._held), self._at + most))

    def _taken(self, end: int) -> bytes:
        found = self._held[self._at : end]
        self._at += len(found)
        return found

    def _more(self) -> bool:
        piece = next(self._pieces, b"")
        self._held, self._at = self._held[self._at :] + piece, 0
        return bool(piece)


@contextmanager
def opened(path: Path) -> Iterator[Unpacked]:
    """The unpacked bytes of a file. A broken or endless packing is an `ImportFailed`."""
    with path.open("rb") as raw:
        magic = raw.read(6)
        raw.seek(0)
        name, pieces = _unpacked(magic, raw)
        try:
            yield Unpacked(_measured(path, pieces, raw, packed=bool(name)), raw.tell)
        except _BROKEN as error:
            raise ImportFailed(
                f"{path.name} is a broken {name or 'packed'} file ({error}): copy or download it again."
            ) from error


def beginning_of(path: Path) -> bytes:
    with opened(path) as source:
        return source.read(BEGINNING)


def _unpacked(magic: bytes, raw: BinaryIO) -> tuple[str, Iterator[bytes]]:
    """What the file is packed with ("" for a plain one), and its unpacked bytes piece by piece."""
    if magic.startswith(b"\x1f\x8b"):
        zipped = gzip.GzipFile(fileobj=raw)
        return "gzip", iter(lambda: zipped.read(BEGINNING), b"")
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        zstd = zstandard.ZstdDecompressor(max_window_size=WINDOW)
        return "Zstandard", _frames(raw, zstd.decompressobj)
    if magic.startswith(b"\xfd7zXZ\x00"):
        return "xz", _frames(raw, lambda: lzma.LZMADecompressor(memlimit=MEMORY))
    return "", iter(lambda: raw.read(BEGINNING), b"")


def _measured(
    path: Path, pieces: Iterator[bytes], raw: BinaryIO, *, packed: bool
) -> Iterator[bytes]:
    """The pieces, until they are too much for any honest packing."""
    size = 0
    for piece in pieces:
        size += len(piece)
        size_checked(path, size, packed=raw.tell() if packed else 0)
        yield piece


def _frames(raw: BinaryIO, new: Callable[[], Any]) -> Iterator[bytes]:
    """One packed frame after the other; `EOFError` where the last is cut short."""
    engine = None
    while piece := raw.read(PIECE):
        while piece:
            if engine is None:
                piece = piece.lstrip(b"\x00")  # xz may fill up between its streams
                engine = new() if piece else None
                continue
            if unpacked := engine.decompress(piece):
                yield unpacked
            piece = engine.unused_data if engine.eof else b""
            engine = None if engine.eof else engine
    if engine is not None:
        raise EOFError("it ends before the end of its data")
