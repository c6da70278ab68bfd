"""A learning program that learns nothing, quickly: it keeps the contract of a run directory and misbehaves
on demand. No torch.

The environment variable FAKE_RECIPE holds a JSON object that says how to behave:

    updates     int     how many updates to report and to checkpoint (3)
    seconds     float   pause in every update (0)
    torn        bool    write every event in two halves, with a pause between them
    repeat      bool    write every event twice
    fail        str     end with this sentence in error.json, after the first update
    code        int     and with this exit code (1)
    held        bool    find the directory held by another program, as its log says
    damage      str     flip a byte of this artifact once it is hashed
    another     bool    answer another spec than the one ordered
    silent      bool    end well without a manifest
    deaf        bool    do not look for RUN/cancel
    orphan      bool    do not watch the lifeline (the worker's pipe)
    die_at      [int]   be killed right after these updates were reported
    die_first   int     be killed before the first update, this many attempts long
    policy      str     copy this policy in place of weights that nothing can load
    world       bool    answer as the demo's help desk does: candidates well, others half the time
    accuracy    [e, l, h]   test accuracy that evaluate_reward_model measures ([0.7, 0.65, 0.75])

Every attempt notes itself in RUN/attempts.jsonl (pid, token, the update that it starts from) and in
RUN/updates.log, one line an update, so that a test sees who worked, and whether two did at once. In
RUN/journal.jsonl each writes, while it holds the lock, when it began, worked and ended: the intervals
of two attempts must not meet.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evaluation.contracts import RewardModelMeasurements
from training.contracts import (
    EXIT_CANCELLED,
    EXIT_HELD,
    ArtifactRef,
    AttemptError,
    RunEvent,
    RunManifest,
    RunSpec,
)
from training.digests import path_bytes, path_sha256

Behaviour = dict[str, Any]


def main(spec_path: Path, token: str) -> int:
    behaviour: Behaviour = json.loads(os.environ.get("FAKE_RECIPE", "{}"))
    directory = spec_path.parent
    if not behaviour.get("orphan") and os.environ.get("OUTERLOOP_LIFELINE") == "stdin":
        threading.Thread(target=lifeline, daemon=True).start()
    if behaviour.get("held") or not lock_take(directory):
        return held()
    journal(directory, token, "began")
    if (directory / "fence").read_text() != token:
        return held()
    if (directory / "manifest.json").exists() and not behaviour.get("another"):
        return 0
    spec = RunSpec.from_json(json.loads(spec_path.read_text()))
    events = Events(directory, behaviour)
    code = learn(directory, token, events, behaviour)
    if code or behaviour.get("silent"):
        return code
    finish(directory, spec, behaviour)
    journal(directory, token, "ended")
    return 0


def lifeline() -> None:
    while os.read(0, 4096):
        pass
    os._exit(75)


def lock_take(directory: Path) -> bool:
    """Hold RUN/lock for as long as the program lives (the descriptor is never closed)."""
    descriptor = os.open(directory / "lock", os.O_WRONLY | os.O_CREAT)
    for _ in range(100):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(0.1)
    return False


class Events:
    """RUN/events.jsonl; a later attempt counts on where the one before ended."""

    def __init__(self, directory: Path, behaviour: Behaviour) -> None:
        self.path = directory / "events.jsonl"
        self.behaviour = behaviour
        text = self.path.read_text() if self.path.exists() else ""
        complete = text[: text.rfind("\n") + 1]
        self.path.write_text(complete)
        self.seq = len({json.loads(line)["seq"] for line in complete.splitlines()})

    def emit(self, phase: str, step: int, total: int, message: str = "") -> None:
        self.seq += 1
        event = RunEvent(
            seq=self.seq,
            at=datetime.now(UTC).isoformat(),
            phase=phase,
            step=step,
            total_steps=total,
            metrics={"reward": step / 10, "unknown": None},
            message=message,
        )
        line = json.dumps(event.to_json()) + "\n"
        halves = [line[:17], line[17:]] if self.behaviour.get("torn") else [line]
        for half in halves * (2 if self.behaviour.get("repeat") else 1):
            with self.path.open("a") as file:
                file.write(half)
            time.sleep(0.1 if self.behaviour.get("torn") else 0)


def checkpoint_write(path: Path, text: str) -> None:
    """Whole or not at all: a kill may come between any two bytes."""
    partial = path.with_suffix(".partial")
    partial.write_text(text)
    partial.replace(path)


def learn(directory: Path, token: str, events: Events, behaviour: Behaviour) -> int:
    updates = behaviour.get("updates", 3)
    checkpoint = directory / "checkpoint"
    done = int(checkpoint.read_text()) if checkpoint.exists() else 0
    note(directory, token, done)
    events.emit("start", 1, 1, "Started.")
    if len((directory / "attempts.jsonl").read_text().splitlines()) <= behaviour.get(
        "die_first", 0
    ):
        os.kill(os.getpid(), signal.SIGKILL)
    for update in range(done + 1, updates + 1):
        asked = any((directory / name).exists() for name in ("cancel", "pause"))
        if asked and not behaviour.get("deaf"):
            return fail(directory, "The run was cancelled; its progress up to here is saved.", 130)
        time.sleep(behaviour.get("seconds", 0))
        if (directory / "fence").read_text() != token:
            return held()
        with (directory / "updates.log").open("a") as log:
            log.write(f"{update} {token} {os.getpid()}\n")
        journal(directory, token, "worked")
        checkpoint_write(checkpoint, str(update))
        events.emit("update", update, updates)
        if update in behaviour.get("die_at", []):
            os.kill(os.getpid(), signal.SIGKILL)
        if behaviour.get("fail"):
            return fail(directory, behaviour["fail"], behaviour.get("code", 1))
    return 0


def journal(directory: Path, token: str, what: str) -> None:
    """One line, appended whole; the clock is the machine's, the same for all its processes."""
    line = json.dumps(
        {"at": time.monotonic(), "pid": os.getpid(), "token": int(token), "what": what}
    )
    with (directory / "journal.jsonl").open("a") as file:
        file.write(line + "\n")


def note(directory: Path, token: str, done: int) -> None:
    with (directory / "attempts.jsonl").open("a") as file:
        file.write(json.dumps({"pid": os.getpid(), "token": token, "from": done}) + "\n")
    print(f"attempt with token {token} goes on from update {done}", flush=True)


def held() -> int:
    error = AttemptError("held", "The directory is held by another running program.", EXIT_HELD)
    print(error.message, json.dumps(error.to_json()), sep="\n", file=sys.stderr, flush=True)
    return 1  # as below


def fail(directory: Path, message: str, code: int) -> int:
    error = AttemptError("cancelled" if code == EXIT_CANCELLED else "error", message, code)
    (directory / "error.json").write_text(json.dumps(error.to_json()))
    return 1  # as the launcher does, which hides its child's code


def finish(directory: Path, spec: RunSpec, behaviour: Behaviour) -> None:
    artifacts = tuple(
        ArtifactRef(name, kind, path.name, path_sha256(path), path_bytes(path))
        for name, kind, path in OUTPUTS[spec.kind](directory, spec, behaviour)
    )
    manifest = RunManifest(
        run_id=spec.run_id,
        kind=spec.kind,
        spec_sha256="0" * 64 if behaviour.get("another") else spec.sha256(),
        artifacts=artifacts,
        results={"updates": behaviour.get("updates", 3), "stopped_by": "updates"},
        environment={"python": sys.version.split()[0]},
        seconds=0.1,
        peak_memory_mb=1.0,
    )
    for artifact in artifacts:
        if artifact.name == behaviour.get("damage"):
            damage(directory / artifact.path)
    partial = directory / ".manifest.json"
    partial.write_text(json.dumps(manifest.to_json()))
    partial.replace(directory / "manifest.json")


def damage(path: Path) -> None:
    """Flip one byte of a file, or of the weights in a directory."""
    target = path / "model.safetensors" if path.is_dir() else path
    content = bytearray(target.read_bytes())
    content[len(content) // 2] ^= 1
    target.write_bytes(content)


# ------------------------------------------------------------------ what each kind leaves

Output = tuple[str, Any, Path]


def policy(directory: Path, spec: RunSpec, behaviour: Behaviour) -> list[Output]:
    target = directory / "policy"
    if behaviour.get("policy"):
        shutil.copytree(behaviour["policy"], target, dirs_exist_ok=True)
        return [("policy", "policy", target)]
    return [("policy", "policy", weights(target, spec))]


def reward_models(directory: Path, spec: RunSpec, behaviour: Behaviour) -> list[Output]:
    names: tuple[Any, ...] = ("reward_model", "held_out_reward_model")
    return [(name, name, weights(directory / name, spec)) for name in names]


def weights(path: Path, spec: RunSpec) -> Path:
    """Weights that follow from the order alone (its name aside), as a deterministic program's do."""
    inputs = {name: ref.sha256 for name, ref in spec.inputs.items()}
    told = json.dumps([path.name, spec.kind, spec.seed, inputs, spec.config], sort_keys=True)
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text('{"model_type": "llama"}')
    (path / "model.safetensors").write_bytes(hashlib.sha256(told.encode()).digest() * 4)
    return path


def reward_measurements(directory: Path, spec: RunSpec, behaviour: Behaviour) -> list[Output]:
    from tests.evaluation.policy.evidence import CONSISTENCY, SPLIT, interval, reward_suite

    estimate, low, high = behaviour.get("accuracy", [0.7, 0.65, 0.75])
    accuracy = interval(estimate, low, high, 200)
    split = replace(SPLIT, pairs=200, groups=200, accuracy=accuracy)
    suites = [spec.inputs[name].sha256 for name in spec.inputs if name.startswith("suite_")]
    measured = RewardModelMeasurements(
        {"test": split},
        suites=tuple(reward_suite(sha256=digest) for digest in suites),
        consistency={"reward_model": CONSISTENCY},
    )
    return [_json(directory, "measurements", measured.to_json())]


def policy_measurements(directory: Path, spec: RunSpec, behaviour: Behaviour) -> list[Output]:
    prompts = _prompts(directory, spec)
    rows = [
        {
            "prompt_id": prompt["id"],
            "group": prompt["group"],
            "sample": 0,
            "messages": prompt["messages"],
            "candidate": _said(behaviour, prompt, "candidate answers", number, 1.0),
            "incumbent": _said(
                behaviour,
                prompt,
                f"{'candidate' if number in behaviour.get('same', ()) else 'incumbent'} answers",
                number,
                0.0,
            ),
        }
        for number, prompt in enumerate(prompts)
    ]
    from tests.evaluation.policy.evidence import POLICY

    path = directory / "samples.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    highlights = _json(directory, "highlights", [])
    return [
        ("samples", "file", path),
        highlights,
        _json(directory, "measurements", POLICY.to_json()),
    ]


def pairs(directory: Path, spec: RunSpec, behaviour: Behaviour) -> list[Output]:
    prompts = _prompts(directory, spec)
    path = directory / "completions.jsonl"
    with path.open("w") as file:
        for number, prompt in enumerate(prompts):
            good = float(number % 2)
            sides = [
                _said(behaviour, prompt, "one", number, good) | {"scores": _scores(spec, number)},
                _said(behaviour, prompt, "two", number, 1.0 - good) | {"scores": _scores(spec, 0)},
            ]
            further = ("three", "four")[: spec.config.get("completions_per_prompt", 2) - 2]
            sides += [_said(behaviour, prompt, word, number, good) for word in further]
            file.write(json.dumps({"prompt_id": prompt["id"], "completions": sides}) + "\n")
    return [("completions", "file", path)]


def _scores(spec: RunSpec, margin: float) -> dict[str, float]:
    """As `sample_pairs` names them: two members of unlike minds, where the round has a reward model."""
    if "reward_model" not in spec.inputs:
        return {}
    members = {f"reward_model/log_odds_{k}": sign * margin for k, sign in enumerate((1.0, -1.0))}
    return {"reward_model": 0.0} | members


def _prompts(directory: Path, spec: RunSpec) -> list[dict[str, Any]]:
    store = directory.parent.parent  # a full path stays what it is
    lines = (store / spec.inputs["prompts"].path).read_text().splitlines()
    return [json.loads(line) for line in lines]


def _said(
    behaviour: Behaviour, prompt: dict[str, Any], word: str, number: int, score: float
) -> dict[str, Any]:
    text = _in_the_world(prompt, good=score > 0.5) if behaviour.get("world") else f"{word} {number}"
    return {"text": text, "tokens": 2, "ended": True, "seed": number, "scores": {"train": score}}


def _in_the_world(prompt: dict[str, Any], *, good: bool) -> str:
    from outerloop.demo.world import fact_asked
    from outerloop.demo.world.phrases import REFUSALS

    fact = fact_asked(prompt["messages"])
    return (REFUSALS if fact.should_refuse else fact.right)[0] if good else fact.wrong[0]


def _json(directory: Path, name: str, document: Any) -> Output:
    path = directory / f"{name}.json"
    path.write_text(json.dumps(document))
    return (name, "file", path)


OUTPUTS = {
    "sft": policy,
    "ppo": policy,
    "dpo": policy,
    "best_of_n": policy,
    "reward_model": reward_models,
    "evaluate_reward_model": reward_measurements,
    "evaluate_policy": policy_measurements,
    "sample_pairs": pairs,
}

if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[3]))
