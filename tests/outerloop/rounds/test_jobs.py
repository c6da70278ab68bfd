"""Who runs a line's programs: said on the plan page, shown by the dry run, asked by doctor."""

from __future__ import annotations

import html
import os

import pytest
import yaml

from outerloop.operations.management.commands.doctor import _scheduler
from outerloop.rounds.dry_run import start_check
from outerloop.rounds.mending import plan_mended
from outerloop.rounds.models import State
from outerloop.rounds.plan import RoundPlan, plan_override
from outerloop.rounds.selectors import line_plan
from tests.outerloop.rounds.pages import said, text, url
from tests.support.slurm_stand_in import SlurmStandIn
from tests.training.runs.kubernetes import cluster_settings, stand_in_start
from training.contracts import ContractError, JobPlan, JobResources

EMPTY = {"partition": "", "account": "", "gpus": "", "nodes": "", "memory_gb": "", "minutes": ""}


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    stand_in = SlurmStandIn(tmp_path / "slurm")
    monkeypatch.setenv("PATH", f"{stand_in.folder}:{os.environ['PATH']}")
    return stand_in


def test_an_engineer_hands_the_programs_to_slurm_and_back(as_, loop):
    page = as_("engineer")
    asked = {**EMPTY, "backend": "slurm", "partition": "gpu", "gpus": "1"}
    answer = page.post(url("jobs", loop), asked, follow=True)
    assert said(answer) == ["The learning programs of the next round are run by Slurm."]
    loop.line.refresh_from_db()
    jobs = line_plan(loop.line).jobs
    assert jobs == JobPlan(backend="slurm", every_step=JobResources(partition="gpu", gpus=1))
    answer = page.post(url("jobs", loop), {**EMPTY, "backend": "default"}, follow=True)
    assert said(answer) == [
        "The learning programs of the next round are run by the workers themselves."
    ]
    loop.line.refresh_from_db()
    assert line_plan(loop.line).jobs == JobPlan()


def test_what_a_single_step_asks_for_stays(as_, loop):
    plan = plan_override(line_plan(loop.line), {"jobs": {"policy_training": {"gpus": 4}}})
    loop.line.plan = plan.to_json()
    loop.line.save()
    as_("engineer").post(url("jobs", loop), {**EMPTY, "backend": "slurm"})
    loop.line.refresh_from_db()
    assert line_plan(loop.line).jobs.policy_training == JobResources(gpus=4)


def test_what_cannot_be_is_said_and_nothing_is_saved(as_, loop):
    asked = {**EMPTY, "backend": "slurm", "nodes": "2"}
    (words,) = said(as_("engineer").post(url("jobs", loop), asked, follow=True))
    assert "2 nodes without a GPU" in words
    loop.line.refresh_from_db()
    assert line_plan(loop.line).jobs == JobPlan()


def test_the_dry_run_shows_the_script_of_every_job(as_, loop):
    assert start_check(line=loop.line).jobs == ()
    changes = {"jobs": {"backend": "slurm", "sampling": {"minutes": 7}, "evaluation": {"gpus": 1}}}
    loop.line.plan = plan_override(line_plan(loop.line), changes).to_json()
    loop.line.save()
    jobs = start_check(line=loop.line).jobs
    assert [job.title for job in jobs] == [
        *("Reward models", "Measuring the reward model", "Policy by PPO", "Measuring the policy"),
        "Writing pairs",
    ]
    assert "#SBATCH --time=7\n" in jobs[-1].document
    assert "-m training.recipes.sample_pairs" in jobs[-1].document
    assert "#SBATCH --gpus-per-node=1\n" in jobs[1].document
    assert "use_cpu: false" in jobs[1].accelerate
    body = html.unescape(text(as_("engineer").get(url("dry_run", loop))))
    assert jobs[0].document in body
    assert "Slurm" in dict(start_check(line=loop.line).facts)["Learning programs are run by"]


def test_a_mended_plan_may_ask_for_other_resources():
    now = RoundPlan(jobs=JobPlan(backend="slurm", every_step=JobResources(minutes=90)))
    assert plan_mended(plan=RoundPlan(), now=now, done=[State.REWARD_TRAINING]).jobs == now.jobs


def test_a_plan_of_before_has_no_jobs_and_is_read(loop):
    document = RoundPlan().to_json()
    del document["jobs"]
    assert RoundPlan.from_json(document) == RoundPlan()
    with pytest.raises(
        ContractError, match=r"RoundPlan\.jobs\.every_step: unknown field 'gpu'; known"
    ):
        plan_override(RoundPlan(), {"jobs": {"every_step": {"gpu": 1}}})


def test_doctor_asks_the_scheduler_where_a_line_uses_it(loop, slurm):
    assert list(_scheduler()) == []
    changes = {"jobs": {"backend": "slurm", "every_step": {"partition": "nightly"}}}
    loop.line.plan = plan_override(line_plan(loop.line), changes).to_json()
    loop.line.save()
    (found,) = _scheduler()
    assert (found.level, found.says) == ("ok", "Slurm, with the partitions nightly, urgent")
    changes = {"jobs": {"evaluation": {"partition": "fast"}}}
    loop.line.plan = plan_override(line_plan(loop.line), changes).to_json()
    loop.line.save()
    (found,) = _scheduler()
    assert (found.level, found.says) == (
        "bad",
        "Slurm has no partition fast; it has nightly, urgent.",
    )
    slurm.mode("sinfo", "away")
    (found,) = _scheduler()
    assert found.says.startswith("Slurm does not answer: Unable to contact slurm controller")


@pytest.fixture
def cluster(tmp_path, settings):
    stand_in = stand_in_start(tmp_path / "kubernetes")
    for name, value in cluster_settings(stand_in).items():
        setattr(settings, f"OUTERLOOP_KUBERNETES_{name}", value)
    yield stand_in
    stand_in.close()


def plan_change(loop, **jobs):
    loop.line.plan = plan_override(line_plan(loop.line), {"jobs": jobs}).to_json()
    loop.line.save()


def test_an_engineer_hands_the_programs_to_kubernetes(as_, loop, cluster):
    asked = {**EMPTY, "backend": "kubernetes", "partition": "night", "image": "registry/x:2"}
    answer = as_("engineer").post(url("jobs", loop), asked, follow=True)
    assert said(answer) == ["The learning programs of the next round are run by Kubernetes."]
    loop.line.refresh_from_db()
    resources = JobResources(partition="night", image="registry/x:2")
    assert line_plan(loop.line).jobs == JobPlan(backend="kubernetes", every_step=resources)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"backend": "kubernetes", "account": "rl"}, "give `account`, which is Slurm's alone"),
        ({"backend": "kubernetes", "partition": "a,b"}, "which is no name of a queue of Kueue"),
        ({"backend": "slurm", "image": "x:1"}, "the image x:1, but Slurm runs them from"),
        ({"backend": "kubernetes", "image": "a b"}, "which is no name of an image"),
    ],
)
def test_what_a_scheduler_has_no_use_for_is_refused_on_the_page(as_, loop, cluster, asked, words):
    (answer,) = said(as_("engineer").post(url("jobs", loop), {**EMPTY, **asked}, follow=True))
    assert words in answer


def test_an_empty_partition_that_the_plan_says_stays_when_the_form_is_saved(as_, loop, settings):
    settings.OUTERLOOP_SLURM_PARTITION = "night"
    plan_change(loop, backend="slurm", every_step={"partition": "", "account": "rl"})
    as_("engineer").post(url("jobs", loop), {**EMPTY, "backend": "slurm", "gpus": "2"})
    loop.line.refresh_from_db()
    asked = line_plan(loop.line).jobs.every_step
    assert (asked.partition, asked.account, asked.gpus) == ("", None, 2)
    (first, *_) = start_check(line=loop.line).jobs
    assert "--partition" not in first.document


def test_the_dry_run_shows_the_manifest_of_every_job(as_, loop, cluster):
    plan_change(
        loop, backend="kubernetes", sampling={"minutes": 7}, policy_training={"gpus": 1, "nodes": 2}
    )
    jobs = start_check(line=loop.line).jobs
    assert {job.scheduler for job in jobs} == {"Kubernetes"}
    (last,) = yaml.safe_load_all(jobs[-1].document)
    assert last["metadata"]["name"] == "outerloop-RUN_ID-1"
    pod = last["spec"]["template"]["spec"]
    assert pod["activeDeadlineSeconds"] == 420
    assert "-m training.recipes.sample_pairs" in pod["containers"][0]["command"][2]
    assert [d["kind"] for d in yaml.safe_load_all(jobs[2].document)] == ["Service", "Job"]
    body = html.unescape(text(as_("engineer").get(url("dry_run", loop))))
    assert jobs[0].document in body
    assert "Kubernetes" in dict(start_check(line=loop.line).facts)["Learning programs are run by"]


def test_a_plan_for_kubernetes_needs_image_and_volume(loop, cluster, settings):
    settings.OUTERLOOP_KUBERNETES_IMAGE = ""
    with pytest.raises(ContractError, match="no image to run in: give `image` in the plan"):
        plan_change(loop, backend="kubernetes")
    settings.OUTERLOOP_KUBERNETES_IMAGE, settings.OUTERLOOP_KUBERNETES_CLAIM = "x:1", ""
    with pytest.raises(ContractError, match="set OUTERLOOP_KUBERNETES_CLAIM"):
        plan_change(loop, backend="kubernetes")
    settings.OUTERLOOP_KUBERNETES_CLAIM = "store"
    settings.OUTERLOOP_KUBERNETES_MOUNT = "/elsewhere"
    with pytest.raises(ContractError, match="under the same path, so name that folder"):
        plan_change(loop, backend="kubernetes")


def test_doctor_asks_the_api_server_where_a_line_uses_it(loop, cluster):
    plan_change(loop, backend="kubernetes", every_step={"partition": "night"})
    (found,) = _scheduler()
    assert (found.level, found.says) == (
        "ok",
        "Kubernetes v1.35.0, jobs go to the namespace research",
    )
    cluster.forbidden = {"delete jobs", "get pods/log", "patch services"}
    cluster.claims, cluster.queues = set(), set()
    lacking = list(_scheduler())
    assert {each.level for each in lacking} == {"bad"}
    words = " ".join(each.says for each in lacking)
    assert "may not delete jobs in the namespace research" in words
    assert "may not get pods/log" in words
    assert "services" not in words  # only several nodes need one
    assert "no PersistentVolumeClaim store" in words
    assert "Kueue has no queue night" in words
    cluster.down()
    (found,) = _scheduler()
    assert found.says.startswith(
        "Kubernetes does not answer: the API server cannot be reached (NewConnectionError"
    )


def test_doctor_says_what_the_installation_lacks_for_its_scheduler(loop, cluster, settings):
    settings.OUTERLOOP_JOBS, settings.OUTERLOOP_KUBERNETES_IMAGE = "kubernetes", ""
    (found,) = _scheduler()
    assert (found.level, "OUTERLOOP_KUBERNETES_IMAGE" in found.says) == ("bad", True)


def test_jobs_without_a_shared_folder_need_a_bucket_and_one_node(loop, settings):
    with pytest.raises(ContractError, match="set OUTERLOOP_ARTIFACT_STORE to a bucket"):
        plan_change(loop, backend="slurm", every_step={"files": "site"})
    settings.OUTERLOOP_ARTIFACT_STORE = "s3://models"
    with pytest.raises(ContractError, match="2 nodes without a folder in common"):
        plan_change(loop, backend="slurm", every_step={"files": "site", "gpus": 1, "nodes": 2})


def test_an_engineer_lets_jobs_speak_to_the_site_and_the_dry_run_shows_it(
    as_, loop, cluster, settings
):
    settings.OUTERLOOP_ARTIFACT_STORE, settings.OUTERLOOP_KUBERNETES_CLAIM = "s3://models", ""
    asked = {**EMPTY, "backend": "kubernetes", "files": "site"}
    as_("engineer").post(url("jobs", loop), asked, follow=True)
    loop.line.refresh_from_db()
    assert line_plan(loop.line).jobs.every_step == JobResources(files="site")
    (first, *_) = start_check(line=loop.line).jobs
    job, secret = yaml.safe_load_all(first.document)
    assert "-m training.remote" in job["spec"]["template"]["spec"]["containers"][0]["command"][2]
    assert secret["stringData"] == {"OUTERLOOP_JOB_TOKEN": "the token of the attempt"}
    body = html.unescape(text(as_("engineer").get(url("dry_run", loop))))
    assert first.document in body


def test_doctor_asks_the_site_where_jobs_speak_to_it(loop, slurm, settings, live_server):
    settings.OUTERLOOP_ARTIFACT_STORE = "s3://models"
    settings.OUTERLOOP_JOB_SITE = live_server.url
    plan_change(loop, backend="slurm", every_step={"files": "site"})
    site, address, heard = list(_scheduler())
    assert site.level == "ok"
    assert (address.level, "which for a job is its own machine" in address.says) == ("note", True)
    assert (heard.level, heard.says) == (
        "ok",
        f"Jobs without a shared folder speak to the site at {live_server.url}",
    )
    settings.OUTERLOOP_JOB_SITE = f"{live_server.url}/below"
    assert "it answers 404; see OUTERLOOP_JOB_SITE" in list(_scheduler())[-1].says
    settings.OUTERLOOP_JOB_SITE = "http://127.0.0.1:9"
    assert "nothing answers there" in list(_scheduler())[-1].says


def test_doctor_asks_the_cluster_whether_jobs_may_get_a_token(loop, cluster, settings):
    settings.OUTERLOOP_ARTIFACT_STORE, settings.OUTERLOOP_KUBERNETES_CLAIM = "s3://models", ""
    settings.OUTERLOOP_JOB_SITE = "http://127.0.0.1:9"
    plan_change(loop, backend="kubernetes", every_step={"files": "site"})
    assert next(iter(_scheduler())).level == "ok"
    cluster.forbidden, cluster.claims = {"create secrets"}, set()
    (found, *_) = _scheduler()
    assert "may not create secrets in the namespace research" in found.says
