"""The program around a recipe loads neither the site nor a learning library."""

from __future__ import annotations

import subprocess
import sys


def test_it_is_standard_library_and_contracts_alone():
    code = "import sys, training.remote.__main__; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not set(done.stdout.split()) & {"django", "torch", "numpy", "boto3", "celery"}


def test_without_a_token_it_says_where_one_comes_from():
    words = ["--site", "http://x", "--run", "7f", "--attempt", "1", "--job", "1", "--folder", "/x"]
    command = [sys.executable, "-m", "training.remote", *words, "--", "true"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={})
    assert done.returncode == 2
    assert "OUTERLOOP_JOB_TOKEN is not set" in done.stderr
