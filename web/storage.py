"""A disk that is full, read-only or closed to us, in one sentence that names the place and the way out."""

from __future__ import annotations

import errno
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
CLOSED = (errno.EACCES, errno.EPERM)
STORAGE = (*FULL, errno.EROFS, *CLOSED, errno.EIO)


def error_sentence(error: Exception) -> str:
    """The error's own words, or the sentence on the disk that stands behind it."""
    if isinstance(error, OSError) and error.errno in STORAGE:
        return storage_sentence(error)
    return str(error) or repr(error)


def storage_sentence(error: OSError, place: Path | str = "") -> str:
    """What stood in the way of reading or writing `place`, and what to do; for people."""
    where = str(place or error.filename or "A file")
    if error.errno in FULL:
        return (
            f"The disk is full: {where} cannot be written. Free some space and try again; what was"
            " there before is untouched."
        )
    if error.errno == errno.EROFS:
        return (
            f"{where} lies on a read-only file system. Mount it writable, or point OUTERLOOP_VAR and"
            " OUTERLOOP_ARTIFACTS elsewhere."
        )
    if error.errno in CLOSED:
        return (
            f"{where} is closed to this process. Give its user the right to read and write there."
        )
    return f"{where} cannot be used: {error.strerror or error}."
