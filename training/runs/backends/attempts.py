"""What one attempt of a run leaves in RUN/jobs/TOKEN, written by its script wherever that runs."""

from __future__ import annotations

from pathlib import Path


def attempt_folder(directory: Path, token: int) -> Path:
    return directory / "jobs" / str(token)


def attempt_holder(directory: Path, token: int) -> str:
    """The id of the job that began the attempt; empty before."""
    try:
        return (attempt_folder(directory, token) / "holder").read_text().strip()
    except OSError:
        return ""


def attempt_begun(directory: Path, token: int) -> bool:
    return (attempt_folder(directory, token) / "begun").exists()


def attempt_exit(directory: Path, token: int) -> int | None:
    """The program's exit code once it has ended; as a child's, negative where a signal ended it."""
    try:
        code = int((attempt_folder(directory, token) / "exit").read_text())
    except (OSError, ValueError):
        return None
    return 128 - code if code > 128 + 2 else code
