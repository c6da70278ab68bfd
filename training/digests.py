"""Digests of files and artifact directories; both the site and the learning programs use them.

Standard library only. The digest of a directory is the SHA-256 of the canonical JSON of
{relative path: SHA-256 of the file}, sorted, without the directory's own `manifest.json`: the same
weights have the same digest in every run, whenever and wherever they were written.

By hand: `python -m training.digests PATH` prints the digest for a run spec.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

from training.contracts import json_sha256

MANIFEST = "manifest.json"
_CHUNK = 1 << 20


class DigestError(ValueError):
    """Content that is not what its digest says; the message names the file."""


def nothing() -> None:
    """For callers who hold no lease."""


def file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def directory_files(directory: Path, *, beat: Callable[[], None] = nothing) -> dict[str, str]:
    """{relative POSIX path: SHA-256} of every file below `directory` but its own manifest.

    `beat` is called before each file, for whoever holds a lease meanwhile.
    """
    files = {}
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if path.is_file() and name != MANIFEST:
            beat()
            files[name] = file_sha256(path)
    return files


def files_sha256(files: dict[str, str]) -> str:
    return json_sha256(files)


def path_sha256(path: Path, *, beat: Callable[[], None] = nothing) -> str:
    """The digest of a file, or of a directory."""
    if path.is_dir():
        return files_sha256(directory_files(path, beat=beat))
    return file_sha256(path)


def path_bytes(path: Path) -> int:
    """Bytes on disk: of a file, or of every file below a directory."""
    if path.is_dir():
        return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
    return path.stat().st_size


def artifact_verify(path: Path, sha256: str | None = None) -> str:
    """Check a file or artifact directory against `sha256`, and a directory against its manifest.

    Returns the digest found. Raises `DigestError` naming the file that is missing, extra or
    changed. Without `sha256` only a directory's own manifest is checked.
    """
    if not path.exists():
        raise DigestError(f"{path}: there is no such file or directory.")
    if path.is_file():
        return _compare(path, file_sha256(path), sha256)
    files = directory_files(path)
    if (path / MANIFEST).exists():
        _compare_files(path, files, _manifest_files(path))
    return _compare(path, files_sha256(files), sha256)


def _manifest_files(directory: Path) -> dict[str, str]:
    manifest = directory / MANIFEST
    try:
        document = json.loads(manifest.read_bytes())
        files, total = dict(document["files"]), document["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise DigestError(f"{manifest}: not a readable artifact manifest.") from error
    if files_sha256(files) != total:
        raise DigestError(f"{manifest}: its list of files does not match its own digest.")
    return files


def _compare_files(directory: Path, found: dict[str, str], expected: dict[str, str]) -> None:
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            raise DigestError(f"{directory / name}: the file is missing.")
        if name not in expected:
            raise DigestError(f"{directory / name}: the file is not in the artifact's manifest.")
        _compare(directory / name, found[name], expected[name])


def _compare(path: Path, found: str, expected: str | None) -> str:
    if expected is not None and found != expected:
        raise DigestError(
            f"{path}: its SHA-256 is {found[:12]}..., but {expected[:12]}... was recorded; "
            "the content was changed or damaged."
        )
    return found


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).exists():
        sys.exit("usage: python -m training.digests PATH   (an existing file or directory)")
    print(path_sha256(Path(sys.argv[1])))
