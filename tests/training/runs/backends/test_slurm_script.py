"""What `sbatch` is given: the resources asked for, and a program line on one node and on several."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from training.runs.backends.accelerate import accelerate_render
from training.runs.backends.protocol import Resources
from training.runs.backends.slurm_script import script_render

ONE = Resources(
    gpus=0, nodes=1, cpus=0, memory_gb=0, minutes=0, partition="", account="", options=(), image="",
    mixed_precision="no", sharded=False,
)  # fmt: skip
DIRECTORY = Path("/store/runs/7f")
LAUNCH = [
    "/venv/bin/python",
    "-m",
    "accelerate.commands.launch",
    "--config_file",
    "/c.yaml",
    "-m",
    "x",
    "/s p.json",
]


def script(resources: Resources, directory: Path = DIRECTORY) -> str:
    return script_render(LAUNCH, resources, directory, 3, base=Path("/checkout"))


def asked(resources: Resources) -> list[str]:
    return [
        line.removeprefix("#SBATCH ")
        for line in script(resources).splitlines()
        if line.startswith("#SBATCH")
    ]


def test_what_is_left_to_the_scheduler_is_not_asked_for():
    assert asked(ONE) == [
        "--job-name=outerloop-7f-3",
        "--chdir=/checkout",
        "--output=/store/runs/7f/child.log",
        "--open-mode=append",
        "--requeue",
        "--signal=B:USR1@120",
        "--nodes=1",
        "--ntasks-per-node=1",
    ]


def test_without_a_shared_folder_the_script_starts_the_program_that_speaks_to_the_site(settings):
    settings.OUTERLOOP_JOB_SITE = "https://loop.example.org"
    settings.OUTERLOOP_JOB_SCRATCH = "/scr atch"
    launch = [LAUNCH[0], "-m", "x", f"{DIRECTORY}/spec.json", "--token", "3"]
    resources = replace(ONE, files="site")
    text = script_render(launch, resources, DIRECTORY, 3, base=Path("/checkout"))
    assert "#SBATCH '--output=/scr atch/outerloop-7f-3.log'" in text.splitlines()
    line = text.splitlines()[-1]
    assert shlex.split(line) == [
        *("exec", "/venv/bin/python", "-m", "training.remote"),
        *("--site", "https://loop.example.org", "--run", "7f", "--attempt", "3"),
        *("--folder", "/scr atch/outerloop-7f-3", "--every", "3", "--job", "$SLURM_JOB_ID", "--"),
        *("/venv/bin/python", "-m", "x", "/scr atch/outerloop-7f-3/runs/7f/spec.json"),
        *("--token", "3"),
    ]
    assert str(DIRECTORY) not in text
    assert not {"fence", "TOKEN"} & set(re.findall(r"\w+", text))


def test_resources_are_asked_for_by_node():
    more = replace(
        ONE, gpus=4, nodes=2, cpus=32, memory_gb=200, minutes=6, partition="gpu", account="rl",
        options=("--qos=night", "--exclusive"),
    )  # fmt: skip
    words = asked(more)
    assert words[5] == "--signal=B:USR1@90"  # a quarter of six minutes
    assert words[6:] == [
        *(
            "--nodes=2",
            "--ntasks-per-node=1",
            "--gpus-per-node=4",
            "--cpus-per-task=32",
            "--mem=200G",
        ),
        *("--time=6", "--partition=gpu", "--account=rl", "--qos=night", "--exclusive"),
    ]


def test_folders_with_spaces_are_quoted_and_bash_reads_the_script(tmp_path):
    for nodes in (1, 2):
        text = script(replace(ONE, nodes=nodes, gpus=1), Path("/a store/runs/7f"))
        assert "#SBATCH '--output=/a store/runs/7f/child.log'" in text
        (tmp_path / "script.sh").write_text(text)
        subprocess.run(["bash", "-n", tmp_path / "script.sh"], check=True)


def test_one_node_runs_the_very_line_and_several_fill_in_rank_and_address():
    line = "/venv/bin/python -m accelerate.commands.launch --config_file /c.yaml -m x '/s p.json'"
    assert f"\n{line} &\n" in script(ONE)
    text = script(replace(ONE, nodes=2, gpus=8))
    (program,) = [line for line in text.splitlines() if line.startswith("srun ")]
    # as the shell of each node sees it
    echoed = program.replace("exec /venv/bin/python", "echo").removesuffix(" &")
    echoed = echoed[echoed.index("bash -c") :]
    environment = {
        "SLURM_NODEID": "1",
        "main_address": "node7",
        "main_port": "20012",
        "PATH": "/bin:/usr/bin",
    }
    said = subprocess.run(
        ["bash", "-c", echoed], env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout.split()[:8] == [
        *("-m", "accelerate.commands.launch", "--machine_rank", "1", "--main_process_ip", "node7"),
        *("--main_process_port", "20012"),
    ]
    assert 'scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1' in text


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"distributed_type": "NO", "use_cpu": True, "num_processes": 1, "num_machines": 1}),
        ({"gpus": 1, "mixed_precision": "bf16"},
         {"distributed_type": "NO", "use_cpu": False, "num_processes": 1, "mixed_precision": "bf16"}),
        ({"gpus": 4}, {"distributed_type": "MULTI_GPU", "num_processes": 4, "main_process_port": 0}),
        ({"gpus": 8, "nodes": 2, "sharded": True},
         {"distributed_type": "FSDP", "num_processes": 16, "num_machines": 2, "rdzv_backend": "static",
          "fsdp_config": {"fsdp_version": 2, "fsdp_reshard_after_forward": True}}),
    ],
)  # fmt: skip
def test_accelerate_gets_a_process_for_each_gpu(changes, expected):
    found = yaml.safe_load(accelerate_render(replace(ONE, **changes)))
    assert {name: found.get(name) for name in expected} == expected
