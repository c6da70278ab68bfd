"""Artifacts by addresses of single objects: what a machine without credentials fetches and sends."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.training.runs.storage.conftest import content, model_write
from training.digests import DigestError, path_sha256
from training.remote import objects
from training.remote.directory import TreeUnit, directory_staged, staged_units
from training.remote.site import Away, Site
from training.runs.storage import links
from training.runs.storage.layout import entry_write
from training.runs.storage.links import entry_told, fetch_links, send_end, send_links


class SiteHere(Site):
    """What the site does with `send` and `kept`, without its doors."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.calls: list[tuple[str, str, int]] = []

    def call(self, action: str, document: Any) -> Any:
        entry = entry_told(json.loads(json.dumps(document)), below="runs/7f")
        pieces: Any = {}
        if action == "kept":
            send_end(self.store, entry)
        else:
            pieces = send_links(self.store, entry)
        self.calls.append((action, entry.path, sum(map(len, pieces.values()))))
        return {"files": pieces}


def made(root: Path, name: str, size: int) -> list[TreeUnit]:
    """What a program left in its run directory: a model, and a small file."""
    run = root / "runs" / "7f"
    folder = run / name
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(content(size))
    (folder / "config.json").write_text("{}")
    about = {"files": {}, "sha256": "0" * 64}
    (folder / "manifest.json").write_text(json.dumps(about))
    (run / "samples.jsonl").write_text("one\n")
    assert directory_staged(run) is not None
    return staged_units(run, "runs/7f")


def test_what_is_sent_by_links_is_an_artifact_like_any(machine, tmp_path):
    store, site = machine(), SiteHere(machine())
    units = made(tmp_path, "policy", 5000)
    tree = objects.sent(site, units, {})
    assert tree == {unit.path: unit.sha256 for unit in units}
    held = store.local("runs/7f/policy", tree["runs/7f/policy"])
    assert path_sha256(held) == path_sha256(tmp_path / "runs" / "7f" / "policy")
    store.check("runs/7f/samples.jsonl", tree["runs/7f/samples.jsonl"])
    before = list(site.calls)
    objects.sent(site, units, tree)
    assert site.calls == before  # what is known is not asked about


def test_a_large_file_goes_in_parts_and_those_that_came_are_not_sent_again(
    machine, tmp_path, small_parts, monkeypatch
):
    monkeypatch.setattr(links, "PART", small_parts)
    site = SiteHere(machine())
    units = made(tmp_path, "policy", 2 * small_parts + 77)
    put, full = objects._put, list[int]()

    def breaks(source: Path, start: int, length: int, url: str) -> None:
        if length == small_parts:
            full.append(start)
        if len(full) > 1:
            raise Away("cut")
        put(source, start, length, url)

    monkeypatch.setattr(objects, "AT_ONCE", 1)
    monkeypatch.setattr(objects, "_put", breaks)
    with pytest.raises(Away):
        objects.sent(site, units, {})
    monkeypatch.setattr(objects, "_put", put)
    tree = objects.sent(site, units, {})
    sent = [
        count for action, path, count in site.calls if (action, path) == ("send", "runs/7f/policy")
    ]
    assert sent[0] > sent[1] >= 1
    held = machine("two").local("runs/7f/policy", tree["runs/7f/policy"])
    assert (held / "model.safetensors").read_bytes() == content(2 * small_parts + 77)
    assert not list(machine().bucket.uploads(""))


def test_an_artifact_is_fetched_by_links_and_verified(machine, tmp_path):
    store = machine()
    sha256 = model_write(store, "models/base", 3000)
    store.keep("models/base", sha256)
    told = fetch_links(store, "models/base", sha256)
    objects.fetched([told], tmp_path / "node")
    assert path_sha256(tmp_path / "node" / "models" / "base") == sha256
    weights = told["files"]["model.safetensors"]
    key = f"models/base/{sha256}/{weights['sha256']}"
    store.bucket.put(key, b"x" * weights["bytes"])
    with pytest.raises(DigestError, match=r"model\.safetensors: it is not what its SHA-256 says"):
        objects.fetched([told], tmp_path / "another")
    said = objects.fetched_or_passed_over([told], tmp_path / "third")
    assert len(said) == 1
    assert not (tmp_path / "third" / "models" / "base").exists()


def test_a_link_that_is_over_is_for_later(machine, tmp_path, monkeypatch):
    store = machine()
    sha256 = model_write(store, "models/base", 3000)
    store.keep("models/base", sha256)
    told = fetch_links(store, "models/base", sha256)
    store.remove("models/base")
    with pytest.raises(Away, match="the storage answers 404"):
        objects.fetched([told], tmp_path / "node")


def test_what_was_told_has_to_agree_with_itself(machine, tmp_path):
    store = machine()
    sha256 = model_write(store, "runs/7f/policy", 30)
    store.keep("runs/7f/policy", sha256)
    entry = store.entry("runs/7f/policy", sha256)
    document = json.loads(entry_write(entry))
    assert entry_told(document, below="runs/7f") == entry
    for changed in (
        document | {"sha256": "0" * 64},
        document | {"files": {"../x": {"sha256": "0" * 64, "bytes": 1}}},
        document | {"path": "runs/8/policy"},
        json.loads(entry_write(replace(entry, path="runs/7f"))),
    ):
        with pytest.raises(DigestError):
            entry_told(changed, below="runs/7f")
