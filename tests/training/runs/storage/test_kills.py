"""A process that is killed in the middle, or a server that dies: what has arrived counts, nothing half is seen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from tests.support.object_storage import KEYS, Relay, bucket_of
from tests.training.runs.storage.conftest import model_write
from training.digests import path_sha256
from training.runs.storage import StoreAway, transfers
from training.runs.storage.bucket import PIECE
from training.runs.storage.cache import Cache
from training.runs.storage.object_store import ObjectStore

MODEL = "runs/7/policy"
PARTS = 4

PROGRAM = textwrap.dedent(
    """
    import os, signal, sys
    import django
    django.setup()
    from pathlib import Path
    from training.runs.storage import transfers
    from training.runs.storage.bucket import Bucket, PIECE, Place
    from training.runs.storage.cache import Cache
    from training.runs.storage.object_store import ObjectStore

    act, address, bucket, prefix, root, path, sha256 = sys.argv[1:]
    transfers.PART, transfers.AT_ONCE = 5 * PIECE, 1
    place = Bucket(Place(bucket, prefix, address, "us-east-1", 5))
    store = ObjectStore(place, place, Cache(Path(root), 0, set, place=prefix))
    tick = transfers.Transfer.tick

    def killed(transfer, count):
        tick(transfer, count)
        if transfer.done > 9 * PIECE:
            os.kill(os.getpid(), signal.SIGKILL)

    transfers.Transfer.tick = killed
    getattr(store, act)(path, sha256)
    """
)


def killed_while(act, store, address, sha256):
    place = store.bucket.place
    environment = {**os.environ, **KEYS, "DJANGO_SETTINGS_MODULE": "outerloop.settings.test"}
    argv = [act, address, place.bucket, place.prefix, str(store.cache.root), MODEL, sha256]
    child = subprocess.run(
        [sys.executable, "-c", PROGRAM, *argv], env=environment, capture_output=True, timeout=120
    )
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()[-2000:]


def counted(store, name, monkeypatch):
    """The calls of a method of the store's bucket from now on."""
    calls, method = [], getattr(store.bucket, name)

    def call(*args):
        calls.append(args)
        return method(*args)

    monkeypatch.setattr(store.bucket, name, call)
    return calls


@pytest.mark.slow
def test_killed_while_sending_and_while_fetching_it_goes_on_where_it_was(
    machine, server, small_parts, monkeypatch
):
    one, two = machine("one"), machine("two")
    sha256 = model_write(one, MODEL, size=PARTS * small_parts)
    killed_while("keep", one, server, sha256)
    assert two.digest(MODEL) is None
    assert not two.has(MODEL, sha256)
    put = counted(one, "part_put", monkeypatch)
    one.keep(MODEL, sha256)
    assert 0 < len(put) < PARTS  # not the parts that had arrived
    assert one.listed()[MODEL][0].whole
    assert list(one.bucket.uploads("")) == []

    killed_while("local", two, server, sha256)
    assert not (two.cache.root / MODEL).exists()
    assert two.cache.copies() == []
    asked = counted(two, "stream", monkeypatch)
    assert path_sha256(two.local(MODEL, sha256)) == sha256
    starts = [args[1] for args in asked if len(args) > 1]
    assert max(starts) > 5 * PIECE  # not the bytes that had arrived


def test_a_server_that_dies_while_it_is_read_is_asked_again_for_the_rest(
    machine, server, settings, prefix, tmp_path, monkeypatch
):
    monkeypatch.setattr(transfers, "PAUSE_SECONDS", 0.05)
    one = machine("one")
    sha256 = model_write(one, MODEL, size=6 * PIECE)
    one.keep(MODEL, sha256)
    relay = Relay(server)
    relay.allowed = 3 * PIECE
    settings.OUTERLOOP_S3_ENDPOINT = relay.address
    bucket = bucket_of(settings, prefix=prefix)
    two = ObjectStore(bucket, bucket, Cache(tmp_path / "two", 0, set, place=prefix))
    with pytest.raises(StoreAway, match="does not answer"):
        two.local(MODEL, sha256)
    assert relay.cut
    assert not (two.cache.root / MODEL).exists()

    def back():
        time.sleep(0.5)
        relay.allowed = float("inf")

    threading.Thread(target=back).start()
    asked = counted(two, "stream", monkeypatch)
    monkeypatch.setattr(transfers, "READS", 100)
    while True:  # the manifest itself has no second try
        try:
            place = two.local(MODEL, sha256)
            break
        except StoreAway:
            time.sleep(0.05)
    assert path_sha256(place) == sha256
    assert max(args[1] for args in asked if len(args) > 1) > PIECE
    relay.close()


def test_what_was_half_fetched_and_damaged_since_is_fetched_anew(machine):
    one, two = machine("one"), machine("two")
    sha256 = model_write(one, MODEL, size=2 * PIECE)
    one.keep(MODEL, sha256)
    arriving = two.cache.arriving(MODEL, sha256)
    arriving.mkdir(parents=True)
    (arriving / "model.safetensors.part").write_bytes(b"not the beginning of it")
    assert path_sha256(two.local(MODEL, sha256)) == sha256
