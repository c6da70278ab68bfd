"""`python -m training.remote --site ADDRESS --run ID --attempt N --job NAME --folder DIR -- PROGRAM ...`

Started by a job's script. OUTERLOOP_JOB_TOKEN opens the site to this attempt of this run; the program does not
get it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from training.contracts import EXIT_USER

from .attempt import AttemptOrder, Signals, attempt_carry_out
from .site import Site

TOKEN = "OUTERLOOP_JOB_TOKEN"  # noqa: S105 - its name


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.remote", description=__doc__)
    parser.add_argument("--site", required=True, help="address of the site")
    parser.add_argument("--run", required=True)
    parser.add_argument("--attempt", required=True, type=int)
    parser.add_argument("--job", required=True, help="id of the job, as its scheduler has it")
    parser.add_argument("--folder", required=True, type=Path, help="where it works; emptied")
    parser.add_argument("--seconds", type=float, default=0.0, help="when to ask for a checkpoint")
    parser.add_argument("--every", type=float, default=3.0, help="seconds between two messages")
    parser.add_argument("--patience", type=float, default=3600.0, help="seconds of silence borne")
    parser.add_argument("program", nargs="+", help="the learning program's command line")
    asked = parser.parse_args(argv)
    token = os.environ.pop(TOKEN, "")
    if not token:
        print(f"{TOKEN} is not set: jobs get it from their scheduler.", file=sys.stderr)
        return EXIT_USER
    order = AttemptOrder(
        site=Site(asked.site, asked.run, asked.attempt, token),
        store=asked.folder,
        run=asked.run,
        attempt=asked.attempt,
        job=asked.job,
        argv=asked.program,
        seconds=asked.seconds,
        every=asked.every,
        patience=asked.patience,
    )
    signals = Signals()
    signals.listen()
    return attempt_carry_out(order, signals)


if __name__ == "__main__":
    sys.exit(main())
