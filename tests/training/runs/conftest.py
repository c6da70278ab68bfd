from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.fake_runs import fake_programs
from tests.support.kubernetes_stand_in import KubernetesStandIn
from tests.support.slurm_stand_in import SlurmStandIn
from tests.training.runs.kubernetes import cluster_settings, stand_in_start
from training.runs import scheduler_job
from training.runs.backends import endings
from training.runs.models import Run
from training.runs.services import run_create


@pytest.fixture(autouse=True)
def store(settings: Any, tmp_path: Any) -> Any:
    """An artifact store of the test's own, and a heartbeat that a test can wait for."""
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    settings.OUTERLOOP_HEARTBEAT_SECONDS = 0.05
    return settings.ARTIFACT_ROOT


@pytest.fixture
def behave(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    return fake_programs(monkeypatch)


@pytest.fixture
def order() -> Callable[..., Run]:
    def create(kind: str = "ppo", **config: Any) -> Run:
        made = run_create(line_id=uuid.uuid4(), kind=kind, seed=3, config=config, inputs={})
        return Run.objects.get(pk=made.id)

    return create


@pytest.fixture
def cluster(tmp_path: Any, monkeypatch: Any, settings: Any) -> Iterator[KubernetesStandIn]:
    """A cluster of the test's own, of which workers of this process hear quickly."""
    stand_in = stand_in_start(tmp_path / "kubernetes")
    for name, value in cluster_settings(stand_in).items():
        setattr(settings, f"OUTERLOOP_KUBERNETES_{name}", value)
    _heard_quickly(monkeypatch)
    yield stand_in
    stand_in.close()


@pytest.fixture
def slurm(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[SlurmStandIn]:
    """Slurm's commands as the tests want them, heard as quickly."""
    stand_in = SlurmStandIn(tmp_path / "slurm")
    monkeypatch.setenv("PATH", f"{stand_in.folder}:{os.environ['PATH']}")
    settings.OUTERLOOP_SLURM_SECONDS = 10
    _heard_quickly(monkeypatch)
    yield stand_in
    for number in range(1, 10):
        if (stand_in.folder / f"{number}.pid").exists():
            stand_in.mode("scancel", "")
            os.system(f"{stand_in.folder}/scancel {number} 2> /dev/null")


def _heard_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler_job, "ASK_SECONDS", 0.1)
    monkeypatch.setattr(scheduler_job, "ENDING_SECONDS", 0.1)
    monkeypatch.setattr(endings, "EXIT_SECONDS", 0.5)
