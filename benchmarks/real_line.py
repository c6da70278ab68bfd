"""One round of the product on SmolLM2, from `create_line` to the verdict, on a database of its own.

The commands are those that a lab types; what `make up` does between them (workers that carry a round on) is
done here in one process, so that nothing else takes the machine.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from django.conf import settings
from django.core.management import call_command
from django.db import connection

import benchmarks.django_ready  # noqa: F401
from annotation import facade as annotation
from benchmarks.databases import database_new
from benchmarks.real_annotators import (
    NAMES,
    gate_replay,
    judge_open,
    log_odds,
    replays_summary,
)
from benchmarks.real_rows import Row, rows_read, rows_write, turns
from benchmarks.real_runs import Program
from evaluation import facade as evaluation
from evaluation.contracts import GatePolicySettings
from evaluation.gates.selectors import gate_test
from evaluation.statistics.betting import Aim
from outerloop.rounds import services
from outerloop.rounds.models import PolicyLine, Round, State
from outerloop.rounds.runs import step_run_record
from outerloop.rounds.services import round_start
from tests.support.postgres import PostgresServer, wheel_binaries
from training.core.data.tokenizers import prompt_encode
from training.core.reward.scoring import reward_model_load
from training.runs.backends import LocalBackend

LINE = "SmolLM2"
BATCH = 24  # labels between two looks at the gate
SHARPNESS = (1.0, 3.0, 10.0)
REPLAYS = 20


def files_write(
    folder: Path, tokenizer: Any, *, most_tokens: int, evaluation_prompts: int
) -> tuple[Path, Path, list[Row]]:
    """What is imported: judged pairs with a prompt of at most `most_tokens`, and first questions of the
    other conversations for the gate. Third: those others whole, which may teach the annotators."""
    pairs, others, questions = [], [], []
    for row in rows_read("hh_harmless"):
        messages = turns(row["chosen"])
        if len(prompt_encode(tokenizer, messages[:-1])) <= most_tokens:
            pairs.append(row)
            continue
        others.append(row)
        if len(prompt_encode(tokenizer, messages[:1])) <= most_tokens:
            questions.append(messages[0]["content"])
    known = {turns(row["chosen"])[0]["content"] for row in pairs}
    fresh = [text for text in dict.fromkeys(questions) if text not in known]
    prompts: list[Row] = [
        {"prompt": text, "split": "evaluation"} for text in fresh[:evaluation_prompts]
    ]
    return (
        rows_write(folder / "prompts.jsonl", prompts),
        rows_write(folder / "pairs.jsonl", pairs),
        others,
    )


def round_run(
    folder: Path,
    *,
    base: Path,
    plan: dict[str, Any],
    files: tuple[Path, Path],
    annotators: Path,
    gate_labels: int,
    seed: int,
) -> dict[str, Any]:
    """The round, and what a person would read of it. Its programs are forks, without a launcher."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plan.json").write_text(json.dumps(plan, indent=1) + "\n")
    with PostgresServer(wheel_binaries(), durable=False) as server:
        database_new(server, "line")
        settings.ARTIFACT_ROOT = folder / "artifacts"
        settings.OUTERLOOP_MODEL_FOLDERS = [str(base.parent)]
        call_command("create_line", LINE, base=base, plan=folder / "plan.json")
        line = PolicyLine.objects.get()
        for path in files:
            call_command("import_judgments", str(path), line=str(line.id))
        evaluation.gate_policy_save(
            line_id=line.id, settings=GatePolicySettings(max_labels=gate_labels), actor="benchmark"
        )
        round_ = round_start(line=line, trigger="benchmark", forced=True)
        with mock.patch.object(LocalBackend, "submit", _program_submit):
            _carried_on(round_, judge_open(annotators, seed=seed))
        found = _told(round_) | {"annotated_again": _annotated_again(round_, annotators)}
        connection.close()
    return found


def _program_submit(
    backend: Any, argv: Sequence[str], environment: Any, resources: Any, directory: Path, token: int
) -> str:
    """A fork of this process in the place of a child: `argv` ends with MODULE SPEC --token NUMBER."""
    module, *arguments = argv[-4:]
    program = Program(module, arguments, backend.logs(directory))
    backend.children[str(program.pid)] = program
    return str(program.pid)


def _carried_on(round_: Round, judge: Any) -> None:
    """Be the workers, and the annotators while the round waits for them, until there is a verdict."""
    line = round_.line_id
    while not round_.verdict:
        state = services.round_advance(round_id=round_.id)
        round_.refresh_from_db()
        print(f"  {round_.state}: {round_.summary or round_.error}", flush=True)
        if state is not None or round_.verdict:
            continue
        if round_.state != State.AWAITING_LABELS:
            raise SystemExit(f"The round ended: {round_.state} {round_.error}")
        ids = [each.id for each in annotation.line_campaigns(line_id=line) if each.open]
        given = annotation.labels_simulate(
            campaign_ids=ids, names=NAMES, wanted=BATCH, judge=judge, report=lambda done: None
        )
        if not given:
            raise SystemExit("The round waits for labels, and there is no pair to judge.")


def _told(round_: Round) -> dict[str, Any]:
    steps = {}
    for step in round_.steps.order_by("started_at"):
        began, ended = step.started_at, step.finished_at
        seconds = round((ended - began).total_seconds()) if began and ended else None
        steps[step.name] = {"seconds": seconds, "note": step.note}
    decided = evaluation.decided_on(round_.id)
    gate = evaluation.effective_gate(round_.id) if decided else None
    return {
        "verdict": round_.verdict,
        "summary": round_.summary,
        "steps": steps,
        "labels": decided.labels.to_json() if decided and decided.labels else None,
        "policy": decided.policy.to_json() if decided and decided.policy else None,
        "reward_model": decided.reward_model.to_json()
        if decided and decided.reward_model
        else None,
        "checks": [
            {"id": c.id, "status": c.status, "required": c.required, "says": c.sentence}
            for c in (gate.checks if gate else ())
        ],
        "runs": {
            state: str(run.directory)
            for state in ("REWARD_TRAINING", "POLICY_TRAINING", "POLICY_EVALUATION")
            if (run := step_run_record(round_, State(state))) is not None
        },
    }


def _annotated_again(round_: Round, annotators: Path) -> dict[str, Any] | None:
    """The gate on labels of sharper annotators too, many times: the verdict on win rate and its price."""
    measured, test = evaluation.decided_on(round_.id), gate_test(round_.id)
    run = step_run_record(round_, State.POLICY_EVALUATION)
    if measured is None or test is None or run is None:
        return None
    rows = [row for row in evaluation.samples_read(run) if row["sample"] == 0]
    margins = log_odds(
        reward_model_load(annotators),
        [(r["messages"], r["candidate"]["text"], r["incumbent"]["text"]) for r in rows],
    )
    settled = GatePolicySettings()  # with the labels that a line may ask for by default
    aim = Aim(test.level, settled.max_labels)
    return {
        "mean_log_odds": sum(margins) / len(margins),
        "share_above_0": sum(margin > 0 for margin in margins) / len(margins),
        "by_sharpness": {
            str(sharpness): replays_summary(
                [
                    gate_replay(
                        margins, measured, settings=settled, aim=aim, sharpness=sharpness, seed=seed
                    )
                    for seed in range(REPLAYS)
                ]
            )
            for sharpness in SHARPNESS
        },
    }
