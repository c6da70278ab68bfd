"""Who runs a program and with what: the step, then every step, then the installation."""

from __future__ import annotations

import pytest

from training.contracts import ContractError, JobPlan, JobResources
from training.runs.backends.ordering import job_order


def test_without_a_plan_the_installation_says_everything(settings):
    assert job_order("sft", None).backend == "local"
    settings.OUTERLOOP_JOBS, settings.OUTERLOOP_JOB_GPUS = "slurm", 2
    settings.OUTERLOOP_SLURM_PARTITION = "night"
    order = job_order("sft", None)
    assert (order.backend, order.resources.gpus, order.resources.partition) == ("slurm", 2, "night")
    assert order.resources.processes == 2


def test_a_step_asks_for_what_it_says_and_else_for_what_every_step_does(settings):
    settings.OUTERLOOP_JOB_MINUTES = 30
    plan = JobPlan(
        backend="slurm",
        every_step=JobResources(gpus=1, partition="gpu"),
        policy_training=JobResources(gpus=0, options=("--qos=night",)),
    )
    policy, other = job_order("dpo", plan).resources, job_order("sample_pairs", plan).resources
    assert (policy.gpus, policy.partition, policy.minutes, policy.options) == (
        0,
        "gpu",
        30,
        ("--qos=night",),
    )
    assert (other.gpus, other.partition, other.minutes, other.options) == (1, "gpu", 30, ())


def test_a_plan_may_stay_on_its_worker_where_the_installation_uses_slurm(settings):
    settings.OUTERLOOP_JOBS = "slurm"
    assert job_order("ppo", JobPlan(backend="local")).backend == "local"


def test_several_nodes_without_a_gpu_are_refused():
    asked = JobResources(nodes=2)
    with pytest.raises(ContractError, match="2 nodes without a GPU"):
        job_order("ppo", JobPlan(backend="slurm", every_step=asked))
    assert job_order("ppo", JobPlan(backend="local", every_step=asked)).backend == "local"


def test_sharded_weights_in_fp16_are_refused_before_a_job_waits_for_a_node():
    asked = JobResources(gpus=2, sharded=True, mixed_precision="fp16")
    with pytest.raises(ContractError, match="sharded weights in fp16"):
        job_order("ppo", JobPlan(backend="slurm", every_step=asked))


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("gpus", -1, "JobResources.gpus is -1; use 0 or more"),
        ("nodes", 0, "JobResources.nodes is 0; use 1 or more"),
        ("partition", "a b", "JobResources.partition is 'a b', which is no name"),
        ("options", ["--qos night"], "is no option of sbatch; write it as --name=value"),
        ("options", ["--qos=a\n#SBATCH --uid=0"], "is no option of sbatch"),
        ("options", ["--output=/tmp/x"], "--output is set by Outerloop"),
        ("options", ["--outp=/tmp/x"], "--outp is set by Outerloop"),
        ("options", ["--arr=0-3"], "--arr is set by Outerloop"),
        ("options", ["--clusters=b"], "--clusters is set by Outerloop"),
        ("options", ["--ntasks-per-node=4"], "--ntasks-per-node is set by Outerloop"),
    ],
)
def test_what_cannot_be_asked_for_is_named(field, value, says):
    with pytest.raises(ContractError, match=says):
        JobResources.from_json({field: value})
