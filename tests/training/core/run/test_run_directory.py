import fcntl
import json
import os
import subprocess
import sys
import time

import pytest

from tests.support.tiny_models import write_spec
from training.contracts import AttemptError, RunEvent, RunManifest, SamplePairsConfig
from training.core.run.run_directory import RunHeld, open_run, recipe_main


def spec_path(tmp_path, **inputs):
    return write_spec(tmp_path / "run", "sample_pairs", {}, inputs)


def start(path, body, *more):
    return recipe_main(body, "sample_pairs", SamplePairsConfig, [str(path), *more])


def finish(run):
    run.finish([], {"n": 1})


def events(path):
    lines = (path.parent / "events.jsonl").read_text().splitlines()
    return [RunEvent.from_json(json.loads(line)) for line in lines]


def error(path):
    return json.loads((path.parent / "error.json").read_text())


def test_finished_run_leaves_a_manifest_and_is_not_done_twice(tmp_path):
    path, calls = spec_path(tmp_path), []

    def body(run):
        calls.append(1)
        written = run.write_file("notes", "notes.txt", b"hello")
        run.finish([written], {"accuracy": float("nan"), "nested": [float("inf"), 1]})

    assert start(path, body) == 0
    assert start(path, body) == 0
    assert calls == [1]
    manifest = RunManifest.from_json(json.loads((path.parent / "manifest.json").read_text()))
    assert manifest.results == {"accuracy": None, "nested": [None, 1]}
    assert manifest.artifact("notes").path == "notes.txt"
    assert manifest.artifact("notes").bytes == 5
    assert manifest.peak_memory_mb > 1


def test_events_are_numbered_on_after_a_resume_and_a_torn_line_is_cut(tmp_path):
    path = spec_path(tmp_path)

    def crash(run):
        run.emit("train", 1, 2, {"loss": 0.5, "bad": float("nan")}, "going")
        raise RuntimeError("boom")

    assert start(path, crash) == 1
    assert error(path) == {"kind": "error", "message": "RuntimeError: boom", "exit_code": 1}
    with (path.parent / "events.jsonl").open("a") as stream:
        stream.write('{"seq": 3, "at"')
    assert start(path, finish) == 0
    assert [e.seq for e in events(path)] == [1, 2, 3, 4]
    assert events(path)[1].metrics == {"loss": 0.5, "bad": None}
    assert not (path.parent / "error.json").exists()


def test_seconds_of_earlier_attempts_count(tmp_path):
    path = spec_path(tmp_path)

    def slow(run):
        time.sleep(0.3)
        run.emit("train", 1, 1)
        raise RuntimeError

    start(path, slow)
    start(path, finish)
    seconds = json.loads((path.parent / "manifest.json").read_text())["seconds"]
    assert 0.3 <= seconds < 60


def test_input_that_does_not_match_its_digest_is_a_user_error(tmp_path, capsys):
    data = tmp_path / "data.jsonl"
    data.write_text("{}")
    path = spec_path(tmp_path, prompts=data)
    data.write_text("{ }")
    assert start(path, finish) == 2
    assert "data.jsonl: its SHA-256" in capsys.readouterr().err
    assert error(path)["kind"] == "user"


def test_bad_orders_end_in_one_sentence(tmp_path, capsys):
    path = spec_path(tmp_path)
    assert recipe_main(finish, "sft", SamplePairsConfig, [str(path)]) == 2
    assert "orders a 'sample_pairs' run" in error(path)["message"]
    path.write_text("{")
    assert start(path, finish) == 2
    assert start(tmp_path / "nowhere" / "spec.json", finish) == 2
    assert "there is no such run spec" in capsys.readouterr().err


def test_manifest_of_another_order_is_refused(tmp_path):
    path = spec_path(tmp_path)
    assert start(path, finish) == 0
    write_spec(tmp_path / "run", "sample_pairs", {"completions_per_prompt": 3})
    assert start(path, finish) == 2
    assert "belongs to another order" in error(path)["message"]


def test_second_program_is_turned_away_and_writes_nothing(tmp_path, capsys):
    path = spec_path(tmp_path)
    with (path.parent / "lock").open("a") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        assert start(path, finish) == 75
    assert "held by another running program" in capsys.readouterr().err
    assert sorted(p.name for p in path.parent.iterdir()) == ["lock", "spec.json"]


def test_stale_token_is_turned_away_at_the_start(tmp_path, capsys):
    path = spec_path(tmp_path)
    (path.parent / "fence").write_text("8\n")
    assert start(path, finish, "--token", "7") == 75
    assert not (path.parent / "error.json").exists()
    record = AttemptError.from_json(json.loads(capsys.readouterr().err.splitlines()[-1]))
    assert (record.kind, record.exit_code) == ("held", 75)  # all that a launcher lets through
    assert start(path, finish, "--token", "8") == 0


def test_attempt_that_is_fenced_off_midway_writes_no_more(tmp_path):
    path = spec_path(tmp_path)
    (path.parent / "fence").write_text("1")

    def body(run):
        (path.parent / "fence").write_text("2")
        with pytest.raises(RunHeld):
            run.write_file("x", "x.txt", b"x")
        run.finish([], {})

    assert start(path, body, "--token", "1") == 75
    assert not (path.parent / "manifest.json").exists()
    assert not (path.parent / "x.txt").exists()


def test_cancelled_run_saves_first(tmp_path):
    path, saved = spec_path(tmp_path), []
    (path.parent / "cancel").touch()

    def body(run):
        run.check_cancel(lambda: saved.append(1))
        run.finish([], {})

    assert start(path, body) == 130
    assert saved == [1]
    assert error(path)["kind"] == "cancelled"
    (path.parent / "cancel").unlink()
    assert start(path, body) == 0


def test_recipe_without_a_manifest_is_an_error(tmp_path):
    path = spec_path(tmp_path)
    assert start(path, lambda run: None) == 1
    assert "without writing its manifest" in error(path)["message"]


def test_other_ranks_write_nothing(tmp_path, monkeypatch):
    path = spec_path(tmp_path)
    monkeypatch.setenv("RANK", "1")
    with open_run(path, "sample_pairs", SamplePairsConfig) as run:
        run.emit("train", 1, 1)
        run.finish([], {})
    assert [p.name for p in path.parent.iterdir()] == ["spec.json"]


def test_missing_input_is_named(tmp_path):
    path = spec_path(tmp_path)
    assert start(path, lambda run: run.input("policy") and None) == 2
    assert "input 'policy' is missing" in error(path)["message"]


CHILD = """
import sys, time
from training.contracts import SamplePairsConfig
from training.core.run.run_directory import recipe_main
def body(run):
    print("running", flush=True)
    time.sleep(60)
sys.exit(recipe_main(body, "sample_pairs", SamplePairsConfig))
"""


def test_child_ends_when_its_worker_is_gone(tmp_path):
    path = spec_path(tmp_path)
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "OUTERLOOP_LIFELINE": "stdin"},
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == b"running\n"
    child.stdin.close()
    assert child.wait(timeout=10) == 75
    child.stdout.close()
