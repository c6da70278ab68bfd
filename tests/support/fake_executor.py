"""`python -m tests.support.fake_executor RUN_ID`: a worker that executes one run with the fake program."""

from __future__ import annotations

import sys
from uuid import UUID

import django

django.setup()

from tests.support.fake_runs import fake_command  # noqa: E402
from training.runs import execution  # noqa: E402

execution.child_command = fake_command
execution.run_execute(run_id=UUID(sys.argv[1]), owner="executor")
