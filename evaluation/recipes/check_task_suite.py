"""Check a task of lm-evaluation-harness before it is attached as a suite, offline and without a model.

    python -m evaluation.recipes.check_task_suite < SUITE.json

Reads a `TaskSuite` and writes it to standard output with its score, the number of its items and their
digest filled in; exit code 0. A task that cannot be measured: {"error": SENTENCE} and exit code 2.
"""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from dataclasses import replace

from evaluation.contracts import TaskSuite
from evaluation.core.task_library import TaskRefused, task_opened, task_scored
from evaluation.core.task_models import knows_nothing, model_watched
from training.contracts import EXIT_USER

LEAST_ITEMS = 2


def main() -> int:
    suite = TaskSuite.from_json(json.load(sys.stdin))
    try:
        with redirect_stdout(sys.stderr):  # libraries print
            answer, code = check(suite).to_json(), 0
    except TaskRefused as error:
        answer, code = {"error": str(error)}, EXIT_USER
    print(json.dumps(answer))
    return code


def check(suite: TaskSuite) -> TaskSuite:
    """The suite as it can be attached; `TaskRefused` says why it cannot."""
    with task_opened(suite) as opened:
        model = model_watched(knows_nothing(), lambda answered, total: None, size=1000)
        try:
            scores = task_scored(suite, opened, model, seed=None)
        except TaskRefused:
            raise
        except Exception as error:  # whatever a task's own code raises
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise TaskRefused(f"lm-eval cannot ask {suite.task}: {said}") from error
    items = len(scores.values)
    if items < LEAST_ITEMS:
        raise TaskRefused(f"{suite.task} has {items} item; a difference needs at least 2.")
    return replace(suite, metric=scores.metric, items=items, digest=scores.digest)


if __name__ == "__main__":
    sys.exit(main())
