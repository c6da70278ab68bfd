"""What is made before any process starts; what hinders it is said in one sentence, whoever asks."""

from __future__ import annotations

import uuid

import pytest
from django.core.management import CommandError, call_command

from outerloop.processes.preparing import preparing
from training.runs.models import ModelKind, ModelVersion

pytestmark = pytest.mark.django_db


def by_up_and_demo():
    with preparing():
        pass


def by_prepare():
    call_command("prepare")


@pytest.fixture(params=[by_up_and_demo, by_prepare])
def prepare(request, settings, tmp_path):
    settings.VAR_DIR, settings.STATIC_ROOT = tmp_path / "var", tmp_path / "static"
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    return request.param


def test_a_store_that_is_not_mounted_is_said(prepare):
    ModelVersion.objects.create(
        line=uuid.uuid4(), number=1, name="one", kind=ModelKind.POLICY, path="one", sha256="0" * 64
    )
    with pytest.raises(CommandError, match="mount the artifact store there"):
        prepare()


def test_a_store_that_cannot_be_written_is_said(prepare, tmp_path):
    (tmp_path / "artifacts").write_text("no folder")
    with pytest.raises(CommandError, match=r"cannot be written .*OUTERLOOP_ARTIFACTS"):
        prepare()


def test_what_is_made_is_there(prepare, tmp_path):
    prepare()
    assert (tmp_path / "artifacts" / ".outerloop-store").exists()
