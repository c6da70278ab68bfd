"""`python -m tests.support.run_executor RUN_ID`: a worker that executes one run to its end, by the settings."""

from __future__ import annotations

import sys
import time
from uuid import UUID

import django

django.setup()

from training.runs.claims import LeaseLost, RunBusy  # noqa: E402
from training.runs.execution import run_execute  # noqa: E402
from web.outages import DATABASE_AWAY, connection_drop  # noqa: E402

while True:
    try:
        run_execute(run_id=UUID(sys.argv[1]), owner="executor")
        break
    except (RunBusy, LeaseLost):
        time.sleep(0.5)
    except DATABASE_AWAY:  # as a worker, which another message finds
        connection_drop()
        time.sleep(0.5)
