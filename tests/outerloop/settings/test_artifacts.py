"""Where artifacts are kept: what is no address of a bucket or a server is refused at the start."""

from __future__ import annotations

import importlib

import pytest
from django.core.exceptions import ImproperlyConfigured

from outerloop.settings import artifacts


@pytest.fixture
def read(monkeypatch):
    """The settings as they are read with these variables."""

    def settings(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return importlib.reload(artifacts)

    yield settings
    monkeypatch.undo()
    importlib.reload(artifacts)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OUTERLOOP_ARTIFACT_STORE", "models"),
        ("OUTERLOOP_ARTIFACT_STORE", "/srv/models"),
        ("OUTERLOOP_ARTIFACT_STORE", "gs://models"),
        ("OUTERLOOP_ARTIFACT_STORE", "s3://Models"),
        ("OUTERLOOP_ARTIFACT_STORE", "s3://models/../other"),
        ("OUTERLOOP_ARTIFACT_STORE", "s3://key:secret@models"),
        ("OUTERLOOP_S3_ENDPOINT", "storage.example.org"),
        ("OUTERLOOP_S3_ENDPOINT", "https://key:secret@storage.example.org"),
        ("OUTERLOOP_S3_REGION", "Frankfurt am Main"),
        ("OUTERLOOP_S3_SECONDS", "0"),
        ("OUTERLOOP_CACHE_GB", "-1"),
    ],
)
def test_what_cannot_be_right_is_refused_by_name(read, name, value):
    with pytest.raises(ImproperlyConfigured, match=name) as refused:
        read(**{name: value})
    assert "secret" not in str(refused.value)


def test_a_bucket_may_have_a_prefix_and_a_server_a_port(read):
    found = read(
        OUTERLOOP_ARTIFACT_STORE="s3://models.example/a/b-1/",
        OUTERLOOP_S3_ENDPOINT="http://127.0.0.1:9000",
    )
    assert found.OUTERLOOP_ARTIFACT_STORE == "s3://models.example/a/b-1/"
    assert found.OUTERLOOP_S3_ENDPOINT == "http://127.0.0.1:9000"


def test_by_default_there_is_a_folder_and_no_bucket(read):
    assert read().OUTERLOOP_ARTIFACT_STORE == ""
