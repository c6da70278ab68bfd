import fcntl
import json
import os
import subprocess
import time

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.support.encoding import demonstration
from tests.support.recipes import (
    events,
    manifest,
    recipe_kill_after,
    recipe_run,
    recipe_run_on_two,
    recipe_start,
)
from tests.support.tiny_models import TINY_SIZES, json_lines, tiny_policy, write_spec
from training.contracts import Sampling, SftConfig
from training.core.data.tokenizers import decode, prompt_encode
from training.core.model.loading import policy_load_path
from training.core.model.supervised import assistant_loss
from training.core.rollout.generation import generate
from training.core.run.run_directory import Run, recipe_main
from training.digests import artifact_verify
from training.recipes import runtime, sft

ANSWERS = {f"What is {a} plus {b}?": f"It's {a + b}." for a in range(3) for b in range(4)}


def demonstrations(path, pairs=None):
    return json_lines(
        path,
        [
            {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]}
            for q, a in (pairs or ANSWERS).items()
        ],
    )


def config(**changes):
    return {
        "model": {"kind": "fresh", **TINY_SIZES, "init_std": 0.08},
        "phases": [
            {
                "data": "clean",
                "steps": 12,
                "learning_rate": 0.02,
                "batch_size": 4,
                "warmup_steps": 3,
            },
            {
                "data": "clean",
                "steps": 8,
                "learning_rate": 0.01,
                "batch_size": 6,
                "warmup_steps": 2,
            },
        ],
        "max_length": 40,
        "checkpoint_every": 5,
        "log_every": 2,
        **changes,
    }


def spec_of(tmp_path, name="run", **changes):
    clean = demonstrations(tmp_path / "clean.jsonl")
    return write_spec(
        tmp_path / name, "sft", config(**changes), {"clean": clean, "validation": clean}
    )


def run_sft(spec):
    return recipe_main(sft.main, "sft", SftConfig, [str(spec)])


def test_only_the_assistants_tokens_are_in_the_loss():
    loaded = tiny_policy()
    messages = [
        {"role": "user", "content": "What is 7 plus 5?"},
        {"role": "assistant", "content": "7 plus 5 is 12."},
    ]
    encoded = demonstration(loaded.tokenizer, messages, max_length=40)
    short = demonstration(
        loaded.tokenizer, [{**messages[0], "content": "How?"}, messages[1]], max_length=40
    )
    by_hand, tokens = 0.0, 0
    for example in (encoded, short):
        logits = loaded.model(torch.tensor([example.ids])).logits[0].detach().log_softmax(-1)
        for i, trained in enumerate(example.trained):
            if trained:
                by_hand -= float(logits[i - 1, example.ids[i]])
                tokens += 1
    loss = assistant_loss(loaded.model, [encoded, short], loaded.pad_id)
    assert loss.tokens == tokens == 14
    assert float(loss.total.detach()) == pytest.approx(by_hand, rel=1e-5)


def test_training_writes_a_policy_that_learned(tmp_path):
    phases = [
        {"data": "clean", "steps": 150, "learning_rate": 0.02, "batch_size": 12, "warmup_steps": 9}
    ]
    spec = spec_of(tmp_path, phases=phases, log_every=50)
    assert run_sft(spec) == 0
    done = manifest(spec)
    policy = done.artifact("policy")
    artifact_verify(spec.parent / policy.path, policy.sha256)
    assert (done.results["steps"], done.results["cut_texts"]) == (150, 0)
    assert done.results["validation_loss"] < 0.2
    AutoModelForCausalLM.from_pretrained(spec.parent / policy.path)
    loaded = policy_load_path(spec.parent / policy.path)
    prompt = prompt_encode(loaded.tokenizer, [{"role": "user", "content": "What is 2 plus 3?"}])
    result = generate(
        loaded.model, [prompt], seeds=[0], sampling=Sampling(temperature=0.0),
        pad_id=loaded.pad_id, end_ids=loaded.end_ids,
    )  # fmt: skip
    assert decode(loaded.tokenizer, result.response(0)) == "It's 5."
    assert bool(result.ended[0])
    losses = [e["metrics"]["loss"] for e in events(spec) if e["phase"] == "train"]
    assert losses[-1] < losses[0]
    assert not (spec.parent / "checkpoints").exists()


class Killed(BaseException):
    """Stands for a kill: nothing after it runs."""


@pytest.mark.parametrize("at", [7, 12, 17, 19])
def test_interrupted_run_ends_with_the_same_weights(tmp_path, monkeypatch, at):
    whole, broken = spec_of(tmp_path, "whole"), spec_of(tmp_path, "broken")
    assert run_sft(whole) == 0
    steps, real = [], runtime.optimizer_step

    def dies(*arguments):
        steps.append(1)
        if len(steps) == at:
            raise Killed
        return real(*arguments)

    monkeypatch.setattr(sft, "optimizer_step", dies)
    with pytest.raises(Killed):
        run_sft(broken)
    monkeypatch.setattr(sft, "optimizer_step", real)
    torch.rand(7)  # another place in the global random stream
    assert run_sft(broken) == 0
    assert manifest(broken).artifact("policy").sha256 == manifest(whole).artifact("policy").sha256
    assert manifest(broken).results == manifest(whole).results


def test_cancelled_run_keeps_its_progress(tmp_path):
    spec = spec_of(tmp_path)
    real = Run.emit

    def emit(run, phase, step, *more, **named):
        real(run, phase, step, *more, **named)
        if phase == "train 1/2" and step == 4:
            (spec.parent / "cancel").touch()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "emit", emit)
        assert run_sft(spec) == 130
    assert os.listdir(spec.parent / "checkpoints") == ["checkpoint-000000004"]
    (spec.parent / "cancel").unlink()
    assert run_sft(spec) == 0


def test_bad_orders_are_refused_before_training(tmp_path):
    spec = spec_of(tmp_path, max_length=1000)
    assert run_sft(spec) == 2
    message = json.loads((spec.parent / "error.json").read_text())["message"]
    assert message == "max_length is 1000, but the model reads at most 96 tokens."
    spec = spec_of(tmp_path, "two", phases=[{"data": "none", "steps": 1, "learning_rate": 0.1}])
    assert run_sft(spec) == 2
    assert "input 'none' is missing" in (spec.parent / "error.json").read_text()


@pytest.mark.slow
def test_killed_program_resumes_to_the_same_digest(tmp_path):
    phases = [
        {"data": "clean", "steps": 200, "learning_rate": 0.01, "batch_size": 8, "warmup_steps": 9}
    ]
    whole = spec_of(tmp_path, "whole", phases=phases, checkpoint_every=25)
    killed = spec_of(tmp_path, "killed", phases=phases, checkpoint_every=25)
    assert recipe_run("training.recipes.sft", whole) == 0
    recipe_kill_after("training.recipes.sft", killed, "train", 60)
    assert recipe_run("training.recipes.sft", killed) == 0
    assert manifest(killed).artifact("policy").sha256 == manifest(whole).artifact("policy").sha256
    assert [e["seq"] for e in events(killed)] == list(range(1, len(events(killed)) + 1))
    assert len(events(killed)) > len(events(whole))


@pytest.mark.slow
def test_two_processes_take_the_same_steps_as_one(tmp_path):
    one, two = spec_of(tmp_path, "one"), spec_of(tmp_path, "two")
    assert run_sft(one) == 0
    assert recipe_run_on_two("training.recipes.sft", two) == 0
    assert manifest(two).environment["processes"] == 2
    losses = [manifest(spec).results["validation_loss"] for spec in (one, two)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


@pytest.mark.slow
def test_program_under_the_launcher_ends_when_its_worker_is_gone(tmp_path):
    phases = [{"data": "clean", "steps": 100_000, "learning_rate": 0.001}]
    spec = spec_of(tmp_path, phases=phases)
    launcher = recipe_start(
        "training.recipes.sft", spec, stdin=subprocess.PIPE, OUTERLOOP_LIFELINE="stdin"
    )
    deadline = time.monotonic() + 60
    while not any(e["phase"] == "train" for e in events(spec)):
        assert time.monotonic() < deadline, (spec.parent / "child.log").read_text()
        time.sleep(0.05)
    assert launcher.stdin is not None
    launcher.stdin.close()
    assert launcher.wait(timeout=20) != 0
    with (spec.parent / "lock").open() as stream:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the child has let go of it
