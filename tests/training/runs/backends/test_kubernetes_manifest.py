"""What Kubernetes is sent, whole: two files that a person can read, and that the API's own models know."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.kubernetes_objects import expanded
from tests.support.kubernetes_stand_in import round_trip
from training.runs.backends.kubernetes_cluster import Cluster, cluster_configured
from training.runs.backends.kubernetes_manifest import (
    manifests,
    manifests_yaml,
    pod_environment,
    token_secret,
    wants_token,
)
from training.runs.backends.kubernetes_script import pod_script
from training.runs.backends.protocol import Resources
from training.runs.job_token import JOB_TOKEN

HERE = Path(__file__).parent
LAUNCH = [
    *("/venv/bin/python", "-m", "accelerate.commands.launch", "--config_file"),
    "/srv/outerloop/artifacts/runs/7f/jobs/3/accelerate.yaml",
    *("-m", "training.recipes.ppo", "/srv/outerloop/artifacts/runs/7f/spec.json", "--token", "3"),
]
RUN = Path("/srv/outerloop/artifacts/runs/7f")
PLAIN = Resources(
    gpus=0, nodes=1, cpus=0, memory_gb=0, minutes=0, partition="", account="", options=(),
    image="registry.example.org/outerloop-trainer:1", mixed_precision="no", sharded=False,
)  # fmt: skip
CLUSTER = Cluster(
    namespace="research", claim="outerloop", mount=Path("/srv/outerloop/artifacts"), folder="/app",
    python="python", gpu="nvidia.com/gpu", node_labels={}, tolerations=(), secret="",
)  # fmt: skip
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "NCCL_DEBUG": "INFO", "PATH": "/usr/bin"}


def made(resources: Resources, cluster: Cluster = CLUSTER, directory: Path = RUN) -> Any:
    return manifests(LAUNCH, ENVIRONMENT, resources, directory, 3, cluster=cluster)


WHOLE = {
    "kubernetes_job.yaml": made(PLAIN),
    "kubernetes_nodes.yaml": made(
        replace(PLAIN, gpus=8, nodes=2, cpus=64, memory_gb=500, minutes=480, partition="night"),
        replace(
            CLUSTER,
            node_labels={"gpu": "h100"},
            tolerations=({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},),
            secret="hub-token",
        ),
    ),
}


def test_a_job_that_speaks_to_the_site_has_no_volume_and_a_secret_of_its_name(settings):
    settings.OUTERLOOP_JOB_SCRATCH = "/scratch"
    cluster = replace(CLUSTER, claim="", secret="hub-token")
    resources = replace(PLAIN, files="site", minutes=60)
    environment = {**ENVIRONMENT, JOB_TOKEN: "secret"}
    (job,) = manifests(LAUNCH, environment, resources, RUN, 3, cluster=cluster)
    assert "secret" not in json.dumps(job["spec"]["template"]["spec"]["containers"][0]["env"])
    pod = job["spec"]["template"]["spec"]
    assert pod["volumes"][0] == {"name": "store", "emptyDir": {}}
    (container,) = pod["containers"]
    assert container["volumeMounts"][0] == {"name": "store", "mountPath": "/scratch"}
    assert [each["secretRef"]["name"] for each in container["envFrom"]] == [
        "hub-token",
        "outerloop-7f-3",
    ]
    assert "--seconds 3480 --job outerloop-7f-3 -- python -m accelerate" in container["command"][2]
    assert wants_token(job)
    assert not wants_token(made(PLAIN)[0])
    secret = token_secret({"metadata": {**job["metadata"], "uid": "1"}}, "secret")
    assert round_trip(job, "V1Job") == job
    assert round_trip(secret, "V1Secret") == secret


@pytest.mark.parametrize("name", WHOLE)
def test_the_whole_of_it_is_what_the_file_shows(name):
    """OUTERLOOP_TEST_RENDER=1 writes the files anew; read what changed."""
    text = manifests_yaml(WHOLE[name])
    if os.environ.get("OUTERLOOP_TEST_RENDER"):
        (HERE / name).write_text(text)
    assert text == (HERE / name).read_text()
    assert list(yaml.safe_load_all(text)) == WHOLE[name]


@pytest.mark.parametrize("name", WHOLE)
def test_the_api_knows_every_field_by_its_type(name):
    for document in WHOLE[name]:
        kind = f"V1{document['kind']}"
        assert round_trip(document, kind) == document
        misspelt = json.loads(json.dumps(document).replace('"spec"', '"sepc"', 1))
        assert _differs(misspelt, kind)


def _differs(document: Any, kind: str) -> bool:
    try:
        return bool(round_trip(document, kind) != document)
    except ValueError:
        return True


def test_resources_are_those_of_each_pod_and_what_is_left_open_is_not_asked_for():
    (job,) = made(PLAIN)
    pod = job["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"] == {}
    assert "activeDeadlineSeconds" not in pod
    (job,) = made(replace(PLAIN, gpus=4, cpus=16, memory_gb=200, minutes=30))
    pod = job["spec"]["template"]["spec"]
    asked = {"memory": "200Gi", "nvidia.com/gpu": "4"}
    assert pod["containers"][0]["resources"] == {
        "requests": {"cpu": "16", **asked},
        "limits": asked,
    }
    assert pod["activeDeadlineSeconds"] == 1800


def test_a_pod_gets_nothing_of_the_workers_machine_and_nothing_secret():
    given = {
        "NCCL_DEBUG": "INFO", "HTTP_PROXY": "http://proxy:3128", "OUTERLOOP_THREADS": "2",
        "PATH": "/bin", "HOME": "/root", "PYTHONPATH": "/x", "LD_LIBRARY_PATH": "/x", "CC": "gcc",
        "CUDA_VISIBLE_DEVICES": "1", "SSL_CERT_FILE": "/x", "HF_TOKEN": "word",
        "DATABASE_URL": "postgresql://me:word@host/loop", "all_proxy": "me:word@proxy:3128",
    }  # fmt: skip
    assert pod_environment(given).keys() == {"NCCL_DEBUG", "HTTP_PROXY", "OUTERLOOP_THREADS"}


def test_bash_reads_the_script_and_kubernetes_changes_nothing_in_it(tmp_path):
    for resources in (replace(PLAIN, minutes=5), replace(PLAIN, nodes=2, gpus=1, minutes=5)):
        script = pod_script(LAUNCH, resources, Path("/a store/runs/7f"), 3, python="python")
        assert expanded(script, {**ENVIRONMENT, "run": "x", "attempt": "x"}) == script
        (tmp_path / "script.sh").write_text(script)
        subprocess.run(["bash", "-n", tmp_path / "script.sh"], check=True)
        assert "run='/a store/runs/7f'" in script
        assert "sleep 225" in script  # a quarter of five minutes before their end


def test_each_of_several_nodes_is_told_its_rank_and_the_first_ones_address():
    script = pod_script(LAUNCH, replace(PLAIN, nodes=2, gpus=8), RUN, 3, python="python")
    (program,) = [line for line in script.splitlines() if line.startswith("python -m")]
    echoed = program.replace("python -m", "echo").removesuffix(" &")
    environment = {"JOB_COMPLETION_INDEX": "1", "main_address": "first", "PATH": "/bin:/usr/bin"}
    said = subprocess.run(
        ["bash", "-c", echoed], env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout.split()[:7] == [
        *("accelerate.commands.launch", "--machine_rank", "1", "--main_process_ip", "first"),
        *("--main_process_port", "29500"),
    ]
    assert "main_address=outerloop-7f-3-0.outerloop-7f-3" in script


def test_the_cluster_is_what_the_settings_say(settings):
    settings.ARTIFACT_ROOT = Path("/srv/outerloop/artifacts")
    settings.OUTERLOOP_KUBERNETES_CLAIM = "outerloop"
    settings.OUTERLOOP_KUBERNETES_NAMESPACE = "research"
    assert cluster_configured() == CLUSTER
    settings.OUTERLOOP_KUBERNETES_MOUNT = "/srv/outerloop"
    settings.OUTERLOOP_KUBERNETES_NODE_LABELS = ["pool=gpu", "zone="]
    settings.OUTERLOOP_KUBERNETES_TOLERATIONS = ["a/b:NoSchedule", "c=d:NoExecute", "e"]
    found = cluster_configured()
    assert found.mount == Path("/srv/outerloop")
    assert found.node_labels == {"pool": "gpu", "zone": ""}
    assert found.tolerations == (
        {"key": "a/b", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "c", "operator": "Equal", "value": "d", "effect": "NoExecute"},
        {"key": "e", "operator": "Exists"},
    )
