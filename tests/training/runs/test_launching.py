"""What a learning program is started with."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import yaml
from accelerate.commands.config import load_config_from_file

from training.runs import execution, launching
from training.runs.execution import RunFailed
from training.runs.launching import (
    LaunchError,
    accelerate_config,
    child_environment,
    launch_command,
    shipped_configs,
)

HOW_TO = Path(__file__).parents[3] / "docs" / "how-to" / "multi-gpu.md"


def test_without_a_setting_it_is_one_process_on_what_there_is(settings, monkeypatch):
    settings.OUTERLOOP_ACCELERATE_CONFIG = ""
    monkeypatch.setattr(launching, "has_gpu", lambda: False)
    command = launch_command("ppo", Path("/r/spec.json"), token=4)
    assert command[1:3] == ["-m", "accelerate.commands.launch"]
    assert command[-5:] == ["-m", "training.recipes.ppo", "/r/spec.json", "--token", "4"]
    assert "--cpu" in command
    monkeypatch.setattr(launching, "has_gpu", lambda: True)
    assert "--cpu" not in launch_command("ppo", Path("/r/spec.json"))
    assert "--token" not in launch_command("ppo", Path("/r/spec.json"))


@pytest.mark.parametrize("name", shipped_configs())
def test_a_shipped_configuration_is_named_readable_and_says_where_it_ran(settings, name):
    settings.OUTERLOOP_ACCELERATE_CONFIG = name
    command = launch_command("sft", Path("/r/spec.json"))
    path = Path(command[command.index("--config_file") + 1])
    assert "Run on:" in path.read_text()
    config = load_config_from_file(str(path))
    assert config.num_processes >= 1
    assert "gradient_accumulation_steps" not in yaml.safe_load(path.read_text())
    assert f"| `{name}` |" in HOW_TO.read_text()


def test_a_file_of_ones_own_is_taken_as_it_is(tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_text("num_processes: 3\n")
    assert accelerate_config(str(own)) == own
    assert accelerate_config("") is None


def test_an_unknown_name_is_refused_with_the_names_there_are():
    with pytest.raises(
        LaunchError, match=r"neither a file nor one of cpu, cpu-two, cpu-two-fsdp, fsdp"
    ):
        accelerate_config("twelve-gpus")


SECRETS = {
    "DATABASE_URL": "postgresql://me:word@host/loop", "OUTERLOOP_SECRET_KEY": "s" * 50,
    "CELERY_BROKER_URL": "redis://:word@host/0", "EMAIL_HOST_PASSWORD": "word",
    "OUTERLOOP_METRICS_TOKEN": "t" * 20, "OIDC_SECRET": "word", "AWS_SECRET_ACCESS_KEY": "word",
    "HF_TOKEN": "word", "VLLM_API_KEY": "word", "PGPASSWORD": "word", "ANYTHING": "word",
    "SLURM_JWT": "word", "WANDB_API_KEY": "word", "MLFLOW_REGISTRY_URI": "http://me:word@runs:5000",
    "HTTPS_PROXY": "http://me:word@proxy:3128", "all_proxy": "me:word@proxy:3128",
}  # fmt: skip
WANTED = {
    "CUDA_VISIBLE_DEVICES": "1", "OMP_NUM_THREADS": "3", "HF_HOME": "/cache", "NCCL_DEBUG": "INFO",
    "OUTERLOOP_THREADS": "2", "OUTERLOOP_MEMORY_CHECK": "warn", "LC_ALL": "C.UTF-8",
    "HTTP_PROXY": "http://proxy:3128", "https_proxy": "http://proxy:3128", "NO_PROXY": "localhost",
    "REQUESTS_CA_BUNDLE": "/etc/ca.pem", "CURL_CA_BUNDLE": "/etc/ca.pem", "CC": "gcc-14", "CXX": "g++-14",
    "CPATH": "/opt/include", "LIBRARY_PATH": "/opt/lib", "LANGUAGE": "de:en", "FI_PROVIDER": "efa",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8", "CUDNN_LOGLEVEL_DBG": "1", "MIOPEN_FIND_MODE": "FAST",
    "SLURM_JOB_ID": "7", "OUTERLOOP_TRACKERS": "wandb", "WANDB_MODE": "offline",
    "MLFLOW_TRACKING_URI": "http://runs:5000",
}  # fmt: skip


def test_a_program_inherits_named_variables_and_no_secret(monkeypatch, settings):
    for name, value in {**SECRETS, **WANTED}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    found = child_environment(OUTERLOOP_LIFELINE="stdin")
    assert not SECRETS.keys() & found.keys()
    assert found.items() >= WANTED.items()
    assert found["PATH"] == os.environ["PATH"]
    assert (found["OUTERLOOP_LIFELINE"], found["HF_HUB_OFFLINE"]) == ("stdin", "1")
    settings.OUTERLOOP_CHILD_VARIABLES = ["ANYTHING", "HF_TOKEN", "HTTPS_PROXY"]
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    found = child_environment()
    assert (found["ANYTHING"], found["HF_HUB_OFFLINE"]) == ("word", "0")
    assert (found["HF_TOKEN"], found["HTTPS_PROXY"]) == ("word", SECRETS["HTTPS_PROXY"])


def test_the_started_child_itself_has_no_secret(monkeypatch, order, tmp_path, db):
    told = tmp_path / "told.json"
    program = f"import json, os; json.dump(dict(os.environ), open({str(told)!r}, 'w'))"
    command = [sys.executable, "-c", program]
    monkeypatch.setattr(execution, "child_command", lambda run, config: command)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RunFailed, match=r"left no manifest\.json"):
        execution.run_execute(run_id=order().id, owner="w")
    assert not SECRETS.keys() & json.loads(told.read_text()).keys()
