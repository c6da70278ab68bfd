"""`celery -A tests.support.fake_celery worker`: the product's workers, whose programs learn nothing.

The children are `tests.support.fake_recipe`, and the gate is shown evidence of a good candidate; all
else (claims, leases, fences, messages, artifacts) is the product's own.
"""

from __future__ import annotations

import django

from outerloop.celery import app

__all__ = ["app"]

django.setup()

from evaluation.gates.services import decisions  # noqa: E402
from tests.outerloop.rounds.world import Evidence  # noqa: E402
from tests.support.fake_runs import fake_command  # noqa: E402
from training.runs import execution  # noqa: E402

execution.child_command = fake_command
execution.POLL_SECONDS = 0.05
decisions.round_measure = Evidence()  # type: ignore[attr-defined]
