"""Files from and to object storage by addresses that the site gave: no credentials are here."""

from __future__ import annotations

import base64
import hashlib
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any

from training.digests import DigestError

from .directory import TreeUnit
from .site import OPENER, SECONDS, Away, Site, answer_read

AT_ONCE = 4
PIECE = 1 << 20


def fetched(artifacts: Iterable[Mapping[str, Any]], store: Path) -> None:
    """Bring artifacts (as the site links them) to their paths below `store`; each file is verified.

    What is whole already is not fetched again. Raises `Away`, and `DigestError` for what was damaged."""
    _all(
        partial(_fetch, _place(artifact, name, store), told)
        for artifact in artifacts
        for name, told in artifact["files"].items()
    )


def _place(artifact: Mapping[str, Any], name: str, store: Path) -> Path:
    place = store / str(artifact["path"])
    return place / name if artifact["folder"] else place


def _fetch(target: Path, told: Mapping[str, Any]) -> None:
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part, digest = target.with_name(f".{target.name}.part"), hashlib.sha256()
    request = urllib.request.Request(told["url"])  # noqa: S310 - the site's
    try:
        with OPENER.open(request, timeout=SECONDS) as answer, part.open("wb") as file:
            while piece := answer.read(PIECE):
                file.write(piece)
                digest.update(piece)
    except urllib.error.HTTPError as error:
        raise Away(f"the storage answers {error.code} for {target.name}") from None
    except (OSError, HTTPException) as error:
        raise Away(f"{target.name} does not come ({error})") from None
    if digest.hexdigest() != told["sha256"]:
        part.unlink()
        raise DigestError(
            f"{target}: it is not what its SHA-256 says; the object was changed or damaged."
        )
    part.replace(target)


def fetched_or_passed_over(artifacts: Iterable[Mapping[str, Any]], store: Path) -> list[str]:
    """The same, but what was damaged is left out whole: a program goes on from an older checkpoint. Says which."""
    left_out = []
    for artifact in artifacts:
        try:
            fetched([artifact], store)
        except DigestError as error:
            place = store / str(artifact["path"])
            shutil.rmtree(place, ignore_errors=True)
            place.unlink(missing_ok=True)
            left_out.append(str(error))
    return left_out


def sent(site: Site, units: Iterable[TreeUnit], known: Mapping[str, str]) -> dict[str, str]:
    """Have the store keep these; returns path -> SHA-256 of all. `known` are there. Raises `SiteRefused`, `Away`."""
    tree = {}
    for unit in units:
        if known.get(unit.path) != unit.sha256:
            _send(site, unit)
        tree[unit.path] = unit.sha256
    return tree


def _send(site: Site, unit: TreeUnit) -> None:
    pieces = site.call("send", unit.document())["files"]
    _all(
        partial(_put, unit.sources[sha256], *piece)
        for sha256, several in pieces.items()
        for piece in several
    )
    site.call("kept", unit.document())


def _put(source: Path, start: int, length: int, url: str) -> None:
    with source.open("rb") as file:
        file.seek(start)
        content = file.read(length)
    md5 = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
    headers = {"Content-MD5": md5, "Content-Type": "application/octet-stream"}
    request = urllib.request.Request(url, content, headers, method="PUT")  # noqa: S310 - the site's
    try:
        answer_read(request, PIECE)
    except urllib.error.HTTPError as error:
        raise Away(f"the storage answers {error.code} for {source.name}") from None


def _all(work: Iterable[Callable[[], None]]) -> None:
    """Several at a time; the first error of any is raised once those under way have ended."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures = [pool.submit(each) for each in work]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
