"""S3-compatible object storage on a port of this machine (moto), and one that does not do its work."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from functools import lru_cache
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from training.runs.storage.bucket import Bucket, Place

BUCKET = "outerloop-test"
KEYS = {"AWS_ACCESS_KEY_ID": "reader-and-writer", "AWS_SECRET_ACCESS_KEY": "never-to-be-seen"}


@contextlib.contextmanager
def storage_server() -> Iterator[str]:
    """Its address; it holds nothing afterwards."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def storage_use(address: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Point the settings at a place of the test's own there; returns its prefix, which ends in a slash."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    prefix = uuid.uuid4().hex
    settings.OUTERLOOP_ARTIFACT_STORE = f"s3://{BUCKET}/{prefix}"
    settings.OUTERLOOP_S3_ENDPOINT = address
    settings.OUTERLOOP_S3_SECONDS = 5
    bucket_of(settings, prefix="").client.create_bucket(Bucket=BUCKET)
    return f"{prefix}/"


def bucket_of(settings: Any, *, prefix: str, name: str = BUCKET) -> Bucket:
    bucket = copy(
        _bucket(
            name,
            settings.OUTERLOOP_S3_ENDPOINT,
            settings.OUTERLOOP_S3_SECONDS,
            os.environ.get("AWS_ACCESS_KEY_ID"),
        )
    )
    bucket.place = replace(bucket.place, prefix=prefix)
    return bucket


@lru_cache
def _bucket(name: str, endpoint: str, seconds: float, key: str | None) -> Bucket:
    """Its client takes a third of a second to make, and reads the credentials once."""
    return Bucket(Place(name, "", endpoint, "us-east-1", seconds))


@contextlib.contextmanager
def hanging_server() -> Iterator[str]:
    """Takes every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken: list[socket.socket] = []

        def take() -> None:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(listener.accept()[0])

        threading.Thread(target=take, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        for each in taken:
            each.close()


class Relay:
    """Stands before a storage server, and lets the connections end once `allowed` bytes of answers went by."""

    def __init__(self, address: str) -> None:
        host, port = address.removeprefix("http://").split(":")
        self.target = (host, int(port))
        self.allowed: float = float("inf")
        self.cut = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(self.target)
                for ends in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65_536):
                if counted and len(piece) > self.allowed:
                    self.cut += 1
                    break
                if counted:
                    self.allowed -= len(piece)
                target.sendall(piece)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
