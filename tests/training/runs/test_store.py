"""A store is what its marker says it is, and can be written; nobody who only asks makes it."""

from __future__ import annotations

import errno
import shutil
import uuid
from pathlib import Path

import pytest

from training.runs import store as place
from training.runs.models import ModelKind, ModelVersion
from training.runs.storage import StoreMissing
from web.files import file_write

pytestmark = pytest.mark.django_db


def version_add(root: Path, name: str = "models/one") -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    ModelVersion.objects.create(
        line=uuid.uuid4(), number=1, name=name, kind=ModelKind.POLICY, path=name, sha256="0" * 64
    )
    return folder


def test_a_new_installation_marks_its_store(store):
    assert "is not there" in place.store_problem()
    assert not store.exists()  # asking makes nothing
    place.store_enter()
    assert place.store_problem() == ""
    assert [path.name for path in store.iterdir()] == [place.MARKER]


def test_a_share_that_is_not_mounted_is_no_store(store):
    version_add(store)
    place.store_enter()
    aside = store.with_name("aside")
    store.rename(aside)
    store.mkdir()  # the mount point
    assert place.MARKER in place.store_problem()
    with pytest.raises(StoreMissing, match="mount"):
        place.store_enter()
    assert list(store.iterdir()) == []
    store.rmdir()
    shutil.move(aside, store)
    assert place.store_problem() == ""


def test_an_older_installation_with_its_models_is_marked(store):
    version_add(store)
    assert place.MARKER in place.store_problem()
    place.store_enter()
    assert place.store_problem() == ""


def test_a_full_disk_is_found_though_it_takes_the_name_of_a_file(store, monkeypatch):
    place.store_enter()

    def full(path, content):
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(place, "file_write", full)
    assert "No space left on device" in place.store_problem()
    assert [path.name for path in store.iterdir()] == [place.MARKER]


def test_a_disk_that_keeps_nothing_is_found(store, monkeypatch):
    place.store_enter()
    monkeypatch.setattr(place, "file_write", lambda path, content: path.touch())
    assert "does not give back" in place.store_problem()


def test_two_containers_of_the_same_process_number_write_probes_of_their_own(store, monkeypatch):
    """A process is number 1 in every container; one of them removed what the other had just written."""
    place.store_enter()
    probes = []

    def write(path, content):
        probes.append(path)
        file_write(path, content)

    monkeypatch.setattr(place, "file_write", write)
    assert (place.store_problem(), place.store_problem()) == ("", "")
    assert len(set(probes)) == 2
    assert all(probe.name.startswith(place.PROBE) for probe in probes)
