"""A model registered in MLflow, by its own client and a registry in a folder; where MLflow is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from outerloop.publishing.models import Push
from outerloop.publishing.services import push_create, push_run
from training.facade import ModelVersionRecord


@pytest.fixture
def registry(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    settings.OUTERLOOP_MLFLOW = f"file://{tmp_path}/registry"
    return mlflow.MlflowClient(settings.OUTERLOOP_MLFLOW, settings.OUTERLOOP_MLFLOW)


def pushed(version: ModelVersionRecord, **fields: Any) -> Push:
    push = push_create(version_id=version.id, destination="mlflow", name="Help desk", **fields)
    push_run(push_id=push.pk)
    push.refresh_from_db()
    return push


def test_a_version_is_registered_with_its_files_card_and_identities(
    registry: Any, version: ModelVersionRecord, tmp_path: Path
) -> None:
    push = pushed(version)
    assert (push.state, push.error, push.reference) == ("done", "", "1")
    found = registry.get_model_version("Help desk", "1")
    assert found.tags["outerloop.sha256"] == version.sha256
    assert found.description.startswith("---\nlibrary_name: transformers")
    kept = Path(registry.download_artifacts(found.run_id, "model", str(tmp_path)))
    assert (kept / "model.safetensors").read_bytes() == b"policy v7"
    assert (kept / "README.md").read_text() == found.description
    assert (kept / "config.json").is_file()


def test_a_push_that_is_carried_out_twice_makes_one_version(
    registry: Any, version: ModelVersionRecord
) -> None:
    push = pushed(version)
    Push.objects.filter(pk=push.pk).update(state="queued")
    push_run(push_id=push.pk)
    push.refresh_from_db()
    assert push.reference == "1"
    assert pushed(version).reference == "2"


def test_what_mlflow_refuses_ends_the_push_with_a_sentence(
    registry: Any, version: ModelVersionRecord, settings: Any
) -> None:
    settings.OUTERLOOP_MLFLOW = "http://10.1.2.3:5000"
    settings.OUTERLOOP_OUTGOING_HTTP = True
    push = pushed(version)
    assert push.state == "failed"
    assert "10.1.2.3, which is no public address" in push.error


def test_without_mlflow_nothing_is_ordered(
    version: ModelVersionRecord, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from web.jobs import JobFailed

    settings.OUTERLOOP_MLFLOW = "https://mlflow.example.org"
    monkeypatch.setattr("outerloop.publishing.services.is_installed", lambda: False)
    with pytest.raises(JobFailed, match=r"outerloop\[mlflow\]"):
        push_create(version_id=version.id, destination="mlflow", name="Help desk")
