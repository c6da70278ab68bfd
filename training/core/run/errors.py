"""The error that a person can mend, and what a disk that cannot be written says."""

from __future__ import annotations

import errno
from pathlib import Path


class UserError(Exception):
    """Bad input of a learning program; the message names the thing and the fix."""


def storage_sentence(error: Exception, place: Path) -> str | None:
    """One sentence for a disk that is full, read-only or closed; None for any other error.

    safetensors wraps the system's error into its own, as a text.
    """
    code = getattr(error, "errno", None)
    said = str(error) if type(error).__name__ == "SafetensorError" else ""
    if code in (errno.ENOSPC, errno.EDQUOT) or "code: 28" in said:
        return (
            f"The disk is full: {place} cannot be written. Free some space and take the run up again; it"
            " goes on from its last checkpoint."
        )
    if code == errno.EROFS or "code: 30" in said:
        return (
            f"{place} lies on a read-only file system. Mount it writable, or point OUTERLOOP_ARTIFACTS"
            " elsewhere."
        )
    if code in (errno.EACCES, errno.EPERM) or "code: 13" in said:
        return (
            f"{place} is closed to this process. Give its user the right to read and write there."
        )
    return None
