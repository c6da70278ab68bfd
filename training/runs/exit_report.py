"""Reading what a child left when it ended: its manifest, its last words, its log."""

from __future__ import annotations

import json
import re
from contextlib import suppress

from training.contracts import EXIT_CANCELLED, AttemptError, ContractError, RunManifest
from training.digests import DigestError, artifact_verify

from .models import Run

# How the launchers say that a signal ended the program: subprocess's words, and torchrun's.
_KILLED = re.compile(rb"died with <Signals\.SIG|Signal \d+ \(SIG\w+\) received")


def manifest_read(run: Run) -> tuple[RunManifest | None, str]:
    """The manifest, every artifact checked against its hash; or the reason why it does not count."""
    try:
        manifest = RunManifest.from_json(json.loads((run.directory / "manifest.json").read_text()))
        if manifest.spec_sha256 != run.spec_sha256:
            return None, f"{run.directory}/manifest.json answers another spec than the one ordered."
        for artifact in manifest.artifacts:
            artifact_verify(run.directory / artifact.path, artifact.sha256)
    except FileNotFoundError:
        return None, "The program ended well but left no manifest.json."
    except (ValueError, ContractError, DigestError) as error:
        return None, f"What the program left does not verify: {error}"
    return manifest, ""


def last_words(run: Run, code: int) -> tuple[int, str]:
    """The program's own exit code and sentence; the launcher hides both behind a 1."""
    for record in (_error_file(run), *reversed(_last_log(run).splitlines())):
        with suppress(ValueError):  # a ContractError is one
            error = AttemptError.from_json(json.loads(record))
            return error.exit_code, error.message
    return code, (
        "The program was ended from outside (out of memory, or killed) before it could say why; see"
        " its log. Take the round up again: it goes on from the last checkpoint."
    )


def _error_file(run: Run) -> bytes:
    """Empty where there is none: a child that finds the directory held leaves a line in the log."""
    try:
        return (run.directory / "error.json").read_bytes()
    except OSError:
        return b""


def _last_log(run: Run) -> bytes:
    """What the last attempt printed."""
    path = run.directory / "child.log"
    if not path.exists():
        return b""
    return path.read_bytes().rsplit(attempt_mark(run), 1)[-1]


def attempt_mark(run: Run) -> bytes:
    return f"--- attempt {run.fence} ---\n".encode()


def killed(run: Run, code: int) -> bool:
    """Whether a signal from outside ended the child, or what the launcher started."""
    if code in (0, EXIT_CANCELLED) or (run.directory / "error.json").exists():
        return False
    return code < 0 or _KILLED.search(_last_log(run)) is not None
