"""Reading what the evaluation programs of a round left behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from outerloop.rounds.models import Round, RoundStep, State
from training import facade as training
from training.contracts import JsonContract

ContractT = TypeVar("ContractT", bound=JsonContract)


def measurements_load(run: training.RunRecord, contract: type[ContractT]) -> ContractT:
    path = Path(training.input_from_run(run, "measurements").path)
    return contract.from_json(json.loads(path.read_text()))


def step_run_record(round_: Round, state: State) -> training.RunRecord | None:
    """The finished run of a round's step, or None while there is none."""
    step = RoundStep.objects.filter(round=round_, name=state, run__isnull=False).first()
    if step is None or step.run is None:
        return None
    run = training.run_get(step.run)
    return run if run.state == "succeeded" else None


def samples_read(run: training.RunRecord) -> Iterator[dict[str, Any]]:
    """Rows of the `samples` artifact of a policy evaluation."""
    with Path(training.input_from_run(run, "samples").path).open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
