"""Tasks of lm-evaluation-harness as suites, with the real library, against a computation by hand.

    python -m benchmarks.lm_eval_suite

The library is installed into an environment of its own (`benchmarks.peers`). There the very programs of a
round run: the check of a task, and `evaluate_policy` with two tasks of 200 items over local JSON lines, one
of multiple choice by likelihood and one of exact match by generation, on tiny policies. In this environment
the same scores are worked out item by item with plain torch. Labels and answers are the incumbent's own for
70 % of the items, so that it is above chance and its accuracy is known beforehand. Besides: what is refused,
that the same weights differ by nothing, that a second run measures the same, what G8 says, and that the
stand-in of the tests (`tests/support/stand_ins`) measures what the library does.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.peers import ROOT, peer_python, results_write, versions
from evaluation.contracts import (
    GateMeasurements,
    GatePolicySettings,
    PolicyMeasurements,
    SuiteRate,
    TaskSuite,
)
from evaluation.policy import CHECKS, DEFAULT_CHECKS
from evaluation.suite_files import suite_write
from tests.evaluation.recipes.tiny_artifacts import tiny_reward_artifact
from tests.support.lm_eval_tasks import CHOICES, PICK, STAND_INS, WRITE
from tests.support.tiny_models import TEXTS, json_lines, tiny_policy_artifact, write_spec
from training.core.model.loading import LoadedModel, policy_load_path

REQUIREMENTS = ["lm-eval>=0.4.13,<0.5"]
ITEMS, OWN, TOKENS = 200, 0.7, 3
TASKS = {"pick": "pick.yaml", "write": "write.yaml"}
CONFIG = {"sampling": {"max_new_tokens": 4}, "bootstrap_resamples": 100, "max_prompts": 4}
Rates = dict[str, SuiteRate]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    python = peer_python("lm_eval", REQUIREMENTS)
    with tempfile.TemporaryDirectory() as place:
        document = measure(python, Path(place))
    document["versions"] = versions(python, ("lm_eval", "datasets", "torch", "transformers"))
    print(json.dumps(document, indent=1))
    print(f"written to {results_write('lm_eval_suite', document, path=arguments.results)}")


def measure(python: Path, place: Path) -> dict[str, Any]:
    inputs = artifacts(place / "artifacts")
    policies = {side: policy_load_path(inputs[side]) for side in ("candidate", "incumbent")}
    files, by_hand = task_files(policies)
    suites = {
        name: checked(python, TaskSuite(name, file, files=files)) for name, file in TASKS.items()
    }
    rates, seconds = answered(python, place / "library", inputs, suites)
    again, _ = answered(python, place / "again", inputs, suites)
    same = {**inputs, "candidate": tiny_policy_artifact(place / "copy", seed=2)}
    equal, _ = answered(python, place / "same", same, suites)
    stand_in, _ = answered(Path(sys.executable), place / "stand_in", inputs, suites, STAND_INS)
    return {
        "items": ITEMS,
        "suites": {name: row(rates[name], by_hand[name], stand_in[name]) for name in TASKS},
        "second_run_is_the_same": again == rates,
        "same_weights_difference": {n: equal[n].difference.estimate for n in TASKS},
        "gate": {"same_weights": gate(equal), "other_weights": gate(rates)},
        "seconds_of_evaluate_policy": round(seconds, 1),
        "refused": refusals(python, files),
    }


def row(rate: SuiteRate, hand: Mapping[str, float], stand_in: SuiteRate) -> dict[str, Any]:
    found = {"candidate": rate.candidate.estimate, "incumbent": rate.incumbent.estimate}
    return {
        "library": found,
        "by_hand": dict(hand),
        "largest_difference": max(abs(found[side] - hand[side]) for side in found),
        "chance": rate.chance,
        "difference": [rate.difference.low, rate.difference.estimate, rate.difference.high],
        "stand_in_agrees": stand_in == rate,
    }


def gate(rates: Rates) -> dict[str, str]:
    flat = next(iter(rates.values())).difference
    policy = PolicyMeasurements(2, 2, flat, flat, {}, flat, None, {}, suites=tuple(rates.values()))
    found = CHECKS["G8"].decide(
        GateMeasurements("c", "i", policy=policy),
        GatePolicySettings(),
        DEFAULT_CHECKS["G8"].thresholds,
    )
    return {"status": found.status, "says": found.sentence}


# ------------------------------------------------------------------------------ programs


def artifacts(home: Path) -> dict[str, Path]:
    rows = [
        {"id": f"p{i}", "group": f"g{i}", "messages": [{"role": "user", "content": TEXTS[i]}]}
        for i in range(4)
    ]
    return {
        "candidate": tiny_policy_artifact(home / "candidate", seed=1),
        "incumbent": tiny_policy_artifact(home / "incumbent", seed=2),
        "reference": tiny_policy_artifact(home / "reference", seed=3),
        "reward_model": tiny_reward_artifact(home / "train"),
        "held_out_reward_model": tiny_reward_artifact(home / "held_out", seed=9),
        "prompts": json_lines(home / "prompts.jsonl", rows),
    }


def answered(
    python: Path,
    home: Path,
    inputs: Mapping[str, Path],
    suites: Mapping[str, TaskSuite],
    path: Path | None = None,
) -> tuple[Rates, float]:
    """What `evaluate_policy` measures of the suites in another interpreter, and its seconds."""
    home.mkdir()
    told = {}
    for n, (name, suite) in enumerate(suites.items(), start=1):
        told[f"suite_{n}"] = home / f"{name}.json"
        told[f"suite_{n}"].write_text(suite_write(suite))
    spec = write_spec(home / "run", "evaluate_policy", CONFIG, {**inputs, **told})
    began = time.monotonic()
    done = program(python, "evaluation.recipes.evaluate_policy", [str(spec)], path=path)
    if done.returncode:
        sys.exit(f"evaluate_policy ended with {done.returncode}: {done.stderr[-2000:]}")
    text = (home / "run" / "measurements.json").read_text()
    found = PolicyMeasurements.from_json(json.loads(text)).suites
    return {rate.suite: rate for rate in found}, time.monotonic() - began


def checked(python: Path, suite: TaskSuite) -> TaskSuite:
    answer = check_answer(python, suite)
    if "error" in answer:
        sys.exit(answer["error"])
    return TaskSuite.from_json(answer)


def check_answer(python: Path, suite: TaskSuite) -> dict[str, Any]:
    done = program(
        python, "evaluation.recipes.check_task_suite", [], input=json.dumps(suite.to_json())
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def program(
    python: Path, module: str, arguments: list[str], *, input: str = "", path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": "1",
    }
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    return subprocess.run(
        [str(python), "-m", module, *arguments],
        cwd=ROOT,
        env=environment,
        input=input,
        capture_output=True,
        text=True,
    )


def refusals(python: Path, files: Mapping[str, str]) -> dict[str, str]:
    """The sentences for what cannot be attached."""
    bleu = WRITE.replace("metric: exact_match", "metric: bleu")
    bleu = bleu.replace("aggregation: mean", "aggregation: bleu")
    wrong = {
        "unknown": TaskSuite("x", "gsm9k"),
        "not_offline": TaskSuite("x", "gsm8k"),
        "data_missing": TaskSuite("x", "pick.yaml", files={"pick.yaml": PICK}),
        "not_per_item": TaskSuite("x", "write.yaml", files={**files, "write.yaml": bleu}),
    }
    return {name: str(check_answer(python, suite).get("error")) for name, suite in wrong.items()}


# ------------------------------------------------------------------------------- by hand


def task_files(
    policies: Mapping[str, LoadedModel],
) -> tuple[dict[str, str], dict[str, dict[str, float]]]:
    """The tasks' folder, and the accuracy of both policies worked out item by item."""
    questions = [f"What is {i % 20} plus {i // 20}?" for i in range(ITEMS)]
    liked = {side: [likeliest(p, q) for q in questions] for side, p in policies.items()}
    said = {side: [greedy(p, q) for q in questions] for side, p in policies.items()}
    own = [i % 10 < 10 * OWN for i in range(ITEMS)]
    labels = [c if mine else (c + 1) % 3 for c, mine in zip(liked["incumbent"], own, strict=True)]
    answers = [t if mine else "no" for t, mine in zip(said["incumbent"], own, strict=True)]
    picks = [
        {"question": q, "choices": list(CHOICES), "label": label}
        for q, label in zip(questions, labels, strict=True)
    ]
    writes = [
        {"question": q, "answer": answer} for q, answer in zip(questions, answers, strict=True)
    ]
    files = {"pick.yaml": PICK, "write.yaml": WRITE}
    for name, rows in (("pick", picks), ("write", writes)):
        files[f"{name}.jsonl"] = "".join(json.dumps(line) + "\n" for line in rows)
    return files, {
        "pick": {side: agreement(found, labels) for side, found in liked.items()},
        "write": {side: agreement(found, answers) for side, found in said.items()},
    }


def agreement(found: list[Any], wanted: list[Any]) -> float:
    return float(sum(a == b for a, b in zip(found, wanted, strict=True)) / len(wanted))


@torch.inference_mode()
def likeliest(policy: LoadedModel, question: str) -> int:
    """The choice with the greatest sum of log-probabilities of its tokens after the question."""
    start = len(policy.tokenizer(question)["input_ids"])
    sums = []
    for choice in CHOICES:
        ids = torch.tensor([policy.tokenizer(f"{question} {choice}")["input_ids"]])
        table = policy.model(input_ids=ids).logits[0, :-1].log_softmax(-1)
        each = table.gather(1, ids[0, 1:, None])[:, 0]
        sums.append(float(each[start - 1 :].sum()))
    return sums.index(max(sums))


@torch.inference_mode()
def greedy(policy: LoadedModel, question: str) -> str:
    """The likeliest token again and again, up to the end of a text or a line."""
    ids = list(policy.tokenizer(question)["input_ids"])
    new: list[int] = []
    while len(new) < TOKENS:
        token = int(policy.model(input_ids=torch.tensor([ids + new])).logits[0, -1].argmax())
        if token in policy.end_ids:
            break
        new.append(token)
    return str(policy.tokenizer.decode(new, skip_special_tokens=True)).split("\n")[0]


if __name__ == "__main__":
    main()
