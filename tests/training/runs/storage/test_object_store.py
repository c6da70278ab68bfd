"""Artifacts in object storage: what one machine keeps another reads, whole and verified, or not at all."""

from __future__ import annotations

import time

import pytest

from tests.support.object_storage import bucket_of, hanging_server
from tests.training.runs.storage.conftest import content, model_write
from training.digests import DigestError, path_sha256
from training.runs.storage import StoreAway, StoreMissing
from training.runs.storage.cache import Cache
from training.runs.storage.object_store import MARKER, ObjectStore

MODEL = "runs/7/policy"


def weights_key(store, sha256):
    """The largest object of the model."""
    return max(store.bucket.listed(f"{MODEL}/{sha256}/"), key=lambda each: each.bytes).key


def test_a_folder_kept_by_one_machine_is_the_same_on_another(machine):
    one, two = machine("one"), machine("two")
    sha256 = model_write(one, MODEL)
    one.keep(MODEL, sha256)
    here = two.local(MODEL, sha256)
    assert here == two.cache.root / MODEL
    assert path_sha256(here) == sha256
    assert (here / "manifest.json").read_text() == "not part of the digest"
    assert (here / "tokenizer" / "vocab.json").read_text() == "{}"


def test_a_single_file_travels_under_its_name(machine):
    one, two = machine("one"), machine("two")
    file = one.cache.root / "snapshots" / "rows.jsonl"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"one\ntwo\n")
    sha256 = path_sha256(file)
    one.keep("snapshots/rows.jsonl", sha256)
    assert two.local("snapshots/rows.jsonl", sha256).read_bytes() == b"one\ntwo\n"


def test_files_with_the_same_content_and_empty_ones_travel_too(machine):
    one, two = machine("one"), machine("two")
    folder = one.cache.root / MODEL
    folder.mkdir(parents=True)
    for name in ("a", "b", "empty"):
        (folder / name).write_text("" if name == "empty" else "alike")
    sha256 = path_sha256(folder)
    one.keep(MODEL, sha256)
    assert path_sha256(two.local(MODEL, sha256)) == sha256


def test_without_the_manifest_which_is_written_last_there_is_nothing(machine, monkeypatch):
    one, two = machine("one"), machine("two")
    sha256 = model_write(one, MODEL)
    put = one.bucket.put

    def refused(key, content):
        if key.endswith("/manifest.json"):
            raise StoreAway("cut off before the end")
        put(key, content)

    monkeypatch.setattr(one.bucket, "put", refused)
    with pytest.raises(StoreAway):
        one.keep(MODEL, sha256)
    assert list(one.bucket.listed(MODEL))  # files are there
    assert not two.has(MODEL, sha256)
    assert two.digest(MODEL) is None
    assert [each.whole for each in two.listed()[MODEL]] == [False]
    for reads in (two.local, two.check):
        with pytest.raises(DigestError, match="nothing whole"):
            reads(MODEL, sha256)
    assert not (two.cache.root / MODEL).exists()


def test_what_is_kept_already_is_not_sent_again(machine, monkeypatch):
    one = machine("one")
    sha256 = model_write(one, MODEL)
    one.keep(MODEL, sha256)
    monkeypatch.setattr(one.bucket, "put", None)
    one.keep(MODEL, sha256)  # nothing is put
    other = machine("other")
    model_write(other, MODEL)
    monkeypatch.setattr(other.bucket, "put", None)
    other.keep(MODEL, sha256)


def test_a_changed_object_is_an_error_that_names_its_file(machine):
    one, two = machine("one"), machine("two")
    sha256 = model_write(one, MODEL)
    one.keep(MODEL, sha256)
    one.bucket.put(weights_key(one, sha256), content(1000, seed=9))
    with pytest.raises(DigestError, match=r"model\.safetensors.*was recorded"):
        two.local(MODEL, sha256)
    assert not (two.cache.root / MODEL).exists()
    one.bucket.put(weights_key(one, sha256), content(1000))
    assert path_sha256(two.local(MODEL, sha256)) == sha256


def test_a_missing_or_shortened_object_is_named_without_reading_it(machine):
    one = machine("one")
    sha256 = model_write(one, MODEL)
    one.keep(MODEL, sha256)
    one.check(MODEL, sha256)
    key = weights_key(one, sha256)
    one.bucket.put(key, content(999))
    with pytest.raises(DigestError, match=r"model\.safetensors.*has 999 bytes, not 1,000"):
        one.check(MODEL, sha256)
    one.bucket.remove([key])
    with pytest.raises(DigestError, match=r"model\.safetensors.*is missing"):
        one.check(MODEL, sha256)
    with pytest.raises(DigestError, match=r"model\.safetensors.*is missing"):
        machine("two").local(MODEL, sha256)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"config.json", b"../../outside"),
        (b'"bytes"', b'"size"'),
        (b"{", b""),
        (b"runs/7", b"runs/8"),
    ],
)
def test_a_changed_manifest_is_refused(machine, old, new):
    one, two = machine("one"), machine("two")
    sha256 = model_write(one, MODEL)
    one.keep(MODEL, sha256)
    key = f"{MODEL}/{sha256}/manifest.json"
    one.bucket.put(key, one.bucket.get(key).replace(old, new, 1))
    with pytest.raises(DigestError, match=r"manifest\.json"):
        two.local(MODEL, sha256)
    assert not (two.cache.root / "outside").exists()


def test_what_differs_from_its_digest_here_is_not_sent(machine):
    one = machine("one")
    sha256 = model_write(one, MODEL)
    (one.cache.root / MODEL / "config.json").write_text("{}")
    with pytest.raises(DigestError, match="changed or damaged"):
        one.keep(MODEL, sha256)
    assert not list(one.bucket.listed())


def test_what_two_attempts_made_under_one_path_lies_side_by_side(machine):
    one, two = machine("one"), machine("two")
    first, second = model_write(one, MODEL, seed=1), model_write(two, MODEL, seed=2)
    two.keep(MODEL, second)
    one.keep(MODEL, first)  # the slower one, which lost its lease
    assert path_sha256(machine("three").local(MODEL, second)) == second
    assert path_sha256(one.local(MODEL, second)) == second  # its own makes way


def test_what_was_made_before_there_was_a_bucket_is_sent_when_it_is_used(machine):
    one = machine("one")
    sha256 = model_write(one, MODEL)
    assert one.local(MODEL, sha256).exists()
    assert path_sha256(machine("two").local(MODEL, sha256)) == sha256


def test_large_files_go_in_parts_and_come_back_the_same(machine, small_parts):
    one, two = machine("one"), machine("two")
    sha256 = model_write(one, MODEL, size=2 * small_parts + 1)
    told = []
    one.keep(MODEL, sha256, watch=lambda done, total: told.append((done, total)))
    assert path_sha256(two.local(MODEL, sha256)) == sha256
    assert told[-1][0] == told[-1][1] > 2 * small_parts
    assert list(one.bucket.uploads("")) == []


def test_what_the_watcher_raises_stops_sending(machine, small_parts):
    one = machine("one")
    sha256 = model_write(one, MODEL, size=3 * small_parts)

    def lost(done, total):
        raise KeyError("the lease")

    with pytest.raises(KeyError):
        one.keep(MODEL, sha256, watch=lost)
    assert not one.has(MODEL, sha256)


def test_removing_takes_objects_unended_uploads_and_copies_but_not_the_log(machine):
    one, two = machine("one"), machine("two")
    sha256 = model_write(one, MODEL)
    one.keep(MODEL, sha256)
    two.local(MODEL, sha256)
    one.bucket.upload_begin(f"{MODEL}/{sha256}/{'a' * 64}")
    one.note_put("runs/7/child.log", b"what it said")
    two.remove("runs/7")
    assert [each.key for each in one.bucket.listed()] == ["runs/7/child.log"]
    assert list(one.bucket.uploads("")) == []
    assert not (two.cache.root / MODEL).exists()
    assert two.note("runs/7/child.log") == b"what it said"
    assert two.note("runs/8/child.log") == b""


def test_the_probe_says_what_is_wrong(machine, settings, monkeypatch):
    one = machine("one")
    assert "never prepared" in one.problem()
    one.enter({})
    assert one.problem() == ""
    assert [each.key for each in one.bucket.listed()] == [MARKER]
    settings.OUTERLOOP_S3_ENDPOINT = "http://127.0.0.1:9"
    away = bucket_of(settings, prefix="x/")
    nobody = ObjectStore(away, away, one.cache)
    assert "does not answer at http://127.0.0.1:9" in nobody.problem()


def test_a_bucket_that_is_not_there_and_missing_credentials_are_named(
    machine, settings, monkeypatch
):
    one = machine("one")
    elsewhere = bucket_of(settings, prefix="x/", name="nobody-made-it")
    assert "no bucket nobody-made-it" in ObjectStore(elsewhere, elsewhere, one.cache).problem()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    closed = bucket_of(settings, prefix="x/")
    unknown = ObjectStore(closed, closed, one.cache)
    assert "AWS_SECRET_ACCESS_KEY" in unknown.problem()


def test_a_store_without_the_models_that_the_database_knows_is_not_marked(machine):
    one = machine("one")
    with pytest.raises(StoreMissing, match="artifacts_send"):
        one.enter({"models/1": "0" * 64})
    assert list(one.bucket.listed()) == []


def test_a_server_that_hangs_is_left_in_time(settings, prefix, tmp_path):
    with hanging_server() as address:
        settings.OUTERLOOP_S3_ENDPOINT, settings.OUTERLOOP_S3_SECONDS = address, 0.2
        bucket = bucket_of(settings, prefix=prefix)
        store = ObjectStore(bucket, bucket, Cache(tmp_path / "one", 0, set, place=prefix))
        began = time.monotonic()
        assert "does not answer" in store.problem()
        with pytest.raises(StoreAway):
            store.local(MODEL, "0" * 64)
        assert time.monotonic() - began < 60
