"""Starts the program given as arguments so that it ends when its parent does (Linux).

    python -m evaluation.gates.serving.child PARENT_PID PROGRAM ARGUMENTS...

A supervisor that is killed outright can stop nothing; without this its server would go on holding
memory and answering. On other systems the program is started all the same.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    parent = int(arguments[0])
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before we asked to be told
            sys.exit(1)
    os.execv(arguments[1], arguments[1:])  # noqa: S606 - the command is the supervisor's own


if __name__ == "__main__":
    main(sys.argv[1:])
