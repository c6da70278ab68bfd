"""Copies on a machine: within their limit, the one unused for longest goes, never one in use."""

from __future__ import annotations

import logging
import os
import threading
import time

import pytest

from tests.training.runs.storage.conftest import model_write
from training.digests import path_bytes
from training.runs.storage import cache as caching

NAMES = ("models/a", "models/b", "models/c")


@pytest.fixture
def kept(machine):
    """Three models that another machine has kept: path -> digest; and the bytes of one."""
    maker = machine("maker")
    digests = {}
    for seed, path in enumerate(NAMES):
        digests[path] = model_write(maker, path, size=10_000, seed=seed)
        maker.keep(path, digests[path])
    return digests, path_bytes(maker.cache.root / NAMES[0])


def there(store):
    return [path for path in NAMES if (store.cache.root / path).exists()]


def aged(store, path, seconds):
    """As if the copy had last been used so long ago."""
    then = time.time() - seconds
    os.utime(store.cache._stamp(path), (then, then))


def test_the_copy_unused_for_longest_makes_room(machine, kept):
    digests, size = kept
    store = machine("reader", limit=int(2.5 * size))
    for path, age in (("models/a", 5000), ("models/b", 9000)):
        store.local(path, digests[path])
        aged(store, path, age)
    store.local("models/c", digests["models/c"])
    assert there(store) == ["models/a", "models/c"]
    assert not list((store.cache.folder / "gone").iterdir())
    aged(store, "models/a", 5000)
    aged(store, "models/c", 4000)
    store.local("models/a", digests["models/a"])  # used again
    store.local("models/b", digests["models/b"])
    assert there(store) == ["models/a", "models/b"]


def test_what_is_held_read_by_a_run_or_just_used_stays(machine, kept, caplog):
    digests, size = kept
    store = machine("reader", limit=size, needed={"models/b"})
    held = store.hold("models/a", digests["models/a"])
    store.local("models/b", digests["models/b"])
    for path in ("models/a", "models/b"):
        aged(store, path, 5000)
    with caplog.at_level(logging.WARNING):
        store.local("models/c", digests["models/c"])
    assert there(store) == list(NAMES)
    assert "the rest is in use" in caplog.text
    store.cache.room_make(0)
    assert there(store) == list(NAMES)  # c was used just now
    held.release()
    store.cache.room_make(0)
    assert there(store) == ["models/b", "models/c"]


def test_without_a_limit_nothing_goes(machine, kept):
    digests, _ = kept
    store = machine("reader")
    for path in NAMES:
        store.local(path, digests[path])
        aged(store, path, 5000)
    store.cache.room_make(10**12)
    assert there(store) == list(NAMES)


def test_what_a_run_is_making_never_goes(machine, kept, monkeypatch):
    digests, _ = kept
    monkeypatch.setattr(caching, "SHORT_USE_SECONDS", -1.0)
    store = machine("reader", limit=1)
    model_write(store, "runs/1/policy")  # no copy of anything: it has not been kept yet
    store.local("models/a", digests["models/a"])
    store.local("models/b", digests["models/b"])
    assert there(store) == ["models/b"]
    assert (store.cache.root / "runs/1/policy").exists()


def test_readers_of_one_machine_fetch_a_copy_once(machine, kept, monkeypatch):
    digests, _ = kept
    store = machine("reader")
    got, fetched = [], []
    entry = store.entry

    def slowly(path, sha256):
        fetched.append(path)
        time.sleep(0.2)
        return entry(path, sha256)

    monkeypatch.setattr(store, "entry", slowly)
    readers = [
        threading.Thread(target=lambda: got.append(store.local(NAMES[0], digests[NAMES[0]])))
        for _ in range(3)
    ]
    for each in readers:
        each.start()
    for each in readers:
        each.join()
    assert got == [store.cache.root / NAMES[0]] * 3
    assert fetched == [NAMES[0]]


def test_a_copy_that_somebody_deleted_is_fetched_again(machine, kept):
    digests, _ = kept
    store = machine("reader")
    place = store.local(NAMES[0], digests[NAMES[0]])
    place.rename(place.with_name("elsewhere"))
    assert store.local(NAMES[0], digests[NAMES[0]]).exists()
