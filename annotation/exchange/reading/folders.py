"""Dataset folders: what `datasets.save_to_disk` writes, and folders of Parquet or other row files."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings

from annotation.exchange.records import ImportFailed
from web.storage import STORAGE, storage_sentence

from .limits import size_checked

ENDINGS = (".parquet", ".arrow", ".jsonl", ".ndjson", ".json", ".csv", ".tsv")
PACKED = ("", ".gz", ".zst", ".xz")
# Files beside the rows that hold none.
ABOUT = (
    "dataset_info.json",
    "state.json",
    "dataset_dict.json",
    "dataset_infos.json",
    "manifest.json",
)
_BROKEN = (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError)


def folder_size(folder: Path) -> int:
    return sum(file.stat().st_size for file, _ in files_of(folder))


def files_of(folder: Path) -> list[tuple[Path, str]]:
    """The files of rows in their order, each with the name of its part ("" for a folder without parts)."""
    parts = _document(folder / "dataset_dict.json").get("splits")
    if isinstance(parts, list) and parts:
        return [(file, str(part)) for part in parts for file in _files(folder / str(part))]
    return [(file, "") for file in _files(folder)]


def _files(folder: Path) -> list[Path]:
    named = _document(folder / "state.json").get("_data_files")
    if isinstance(named, list) and named:
        files = [folder / Path(str(_filename(item))).name for item in named]
    else:
        files = sorted(f for f in folder.rglob("*") if f.is_file() and _has_rows(f))
    missing = next((file.name for file in files if not file.is_file()), "")
    if missing or not files:
        raise ImportFailed(
            f"{folder.name} is no dataset folder: "
            + (
                f"{missing} is missing."
                if missing
                else "it holds no Parquet, Arrow, JSON or CSV file."
            )
        )
    return files


def _filename(item: Any) -> Any:
    return item.get("filename", "") if isinstance(item, dict) else item


def _has_rows(file: Path) -> bool:
    name = file.name.lower()
    wanted = tuple(ending + packed for ending in ENDINGS for packed in PACKED)
    return name.endswith(wanted) and name not in ABOUT and not name.startswith(".")


def _document(path: Path) -> dict[str, Any]:
    """The object of a small JSON file; {} where there is none."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ImportFailed(f"{path.name} of the dataset folder is no JSON ({error}).") from error
    return found if isinstance(found, dict) else {}


def is_archive(path: Path) -> bool:
    """Whether it is a ZIP with files of rows in it: a dataset folder in one piece."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    try:
        with path.open("rb") as file:
            if file.read(4) != b"PK\x03\x04":
                return False
        with zipfile.ZipFile(path) as archive:
            return any(_has_rows(Path(name)) for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


@contextmanager
def unzipped(path: Path) -> Iterator[Path]:
    """The archive's files in a folder of their own, for as long as they are read. It lies in the data folder, which
    has the room that imports need, as that of the system need not."""
    place = Path(settings.VAR_DIR) / "uploads"
    try:
        place.mkdir(parents=True, exist_ok=True)
        unpacking = tempfile.TemporaryDirectory(prefix="unpacked-", dir=place)
    except OSError as error:
        raise ImportFailed(storage_sentence(error, place)) from error
    with unpacking as folder:
        try:
            with zipfile.ZipFile(path) as archive:
                size = sum(item.file_size for item in archive.infolist())
                size_checked(path, size, packed=path.stat().st_size)
                archive.extractall(folder)
        except _BROKEN as error:
            if isinstance(error, OSError) and error.errno in STORAGE:
                raise ImportFailed(storage_sentence(error, place)) from error
            raise ImportFailed(
                f"{path.name} is a broken or locked ZIP archive ({error}): copy or download it again."
            ) from error
        yield _single(Path(folder))


def _single(folder: Path) -> Path:
    """The folder itself, or the one folder that is all it holds."""
    inside = list(folder.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder
